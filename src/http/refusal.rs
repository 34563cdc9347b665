//! An error together with what its answer depends on: whether the request is a `HEAD`.
//!
//! An answer to `HEAD` has no content (RFC 9110, 9.3.2), also when the request is malformed. So each
//! error that ends a connection carries whether the method was read as `HEAD` before the error.

use super::content::ContentLimit;
use super::error::HttpError;
use super::line::empty_lines_length;

/// A request that is refused. Its answer is the last one on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The violation or the time-out.
    pub error: HttpError,
    /// Whether the answer must leave its content out, because the method is `HEAD`.
    pub head_only: bool,
    /// The limit that the content breaks, if it is too large.
    pub limit: Option<ContentLimit>,
}

impl Refusal {
    /// Refuses the request that `input` begins with, of which any part may be missing.
    ///
    /// The method is taken from the bytes alone. The result is therefore the same for a malformed
    /// request line, for a malformed field and for content that did not arrive in time.
    #[cold]
    pub fn new(error: HttpError, input: &[u8]) -> Refusal {
        Refusal { error, head_only: is_head(input), limit: None }
    }

    /// Refuses the request that `input` begins with, because its content is larger than `limit`.
    #[cold]
    pub fn too_large(limit: ContentLimit, input: &[u8]) -> Refusal {
        Refusal { limit: Some(limit), ..Refusal::new(HttpError::ContentTooLarge, input) }
    }
}

/// Returns whether the request that `input` begins with is a `HEAD`, as far as can be seen.
pub fn is_head(input: &[u8]) -> bool {
    input[empty_lines_length(input)..].starts_with(b"HEAD ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_recognized_wherever_the_request_breaks_off() {
        for (input, head_only) in [
            ("HEAD ", true),
            ("HEAD / HTTP/1.1\r\nHost", true),
            ("\r\nHEAD / HTTP/2.0\r\n", true),
            ("\r\n\n\r\nHEAD  ", true),
            ("\n\n\n\n\n\n\n\n\nHEAD / HTTP/1.1", false), // refused for the ninth empty line
            ("HEAD", false),
            ("HEAD\t/ HTTP/1.1\r\n", false),
            ("head / HTTP/1.1\r\n", false),
            ("HEADER / HTTP/1.1\r\n", false),
            ("GET / HTTP/1.1\r\nX: HEAD \r\n", false),
            ("\r\n", false),
            ("", false),
        ] {
            let refusal = Refusal::new(HttpError::RequestLine, input.as_bytes());
            assert_eq!(refusal.head_only, head_only, "{input:?}");
        }
    }
}
