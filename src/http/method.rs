//! The method of a request (RFC 9110, 9).

use super::error::HttpError;
use super::scan::TOKEN;

/// A method that HTTP defines (RFC 9110, 9; RFC 5789; QUERY, which is safe and has content), or any
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Query,
    /// A well-formed token that HTTP does not define.
    Unknown,
}

impl Method {
    /// Reads a method, which is a token in which case matters (RFC 9110, 9.1).
    ///
    /// # Errors
    /// `RequestLine` if `name` is not a token.
    pub fn read(name: &[u8]) -> Result<Method, HttpError> {
        if name.is_empty() || TOKEN.run_length(name) != name.len() {
            return Err(HttpError::RequestLine);
        }
        Ok(match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            b"QUERY" => Method::Query,
            _ => Method::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_token_in_exactly_its_case() {
        for (name, expected) in [
            ("GET", Ok(Method::Get)),
            ("HEAD", Ok(Method::Head)),
            ("QUERY", Ok(Method::Query)),
            ("get", Ok(Method::Unknown)),
            ("Post", Ok(Method::Unknown)),
            ("BREW", Ok(Method::Unknown)),
            ("M-SEARCH", Ok(Method::Unknown)),
            ("", Err(HttpError::RequestLine)),
            ("G(T", Err(HttpError::RequestLine)),
            ("GET\t", Err(HttpError::RequestLine)),
            ("G\u{e4}T", Err(HttpError::RequestLine)),
        ] {
            assert_eq!(Method::read(name.as_bytes()), expected, "{name}");
        }
    }
}
