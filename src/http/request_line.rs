//! The request line (RFC 9112, 3): `method SP request-target SP HTTP-version CRLF`.

use super::error::HttpError;
use super::method::Method;
use super::scan::{PATH, TOKEN};
use super::span::Span;
use super::target;
use super::version::Version;
use crate::limits::REQUEST_LINE_BYTES_MAX;

/// A request line that follows the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// Where the request target is in the input.
    pub target: Span,
    /// Where the target's path is in the input.
    pub path: Span,
    /// Where the header section begins.
    pub end: usize,
}

impl RequestLine {
    /// Reads the usual request line, which is whole, well-formed and short, such as
    /// `POST /event HTTP/1.1`. `line` begins at `line_at` of the input.
    ///
    /// The result is that of [`read`](Self::read). `None` means that `read` must decide.
    #[inline(always)]
    pub fn read_usual(line: &[u8], line_at: usize) -> Option<RequestLine> {
        const VERSION_11: &[u8] = b" HTTP/1.1\r\n";
        let (method, method_bytes) = match line.first_chunk::<5>()? {
            b"POST " => (Method::Post, b"POST ".len()),
            [b'G', b'E', b'T', b' ', _] => (Method::Get, b"GET ".len()),
            _ => return None,
        };
        let target = &line[method_bytes..];
        let path_bytes = PATH.run_length(target);
        if path_bytes > REQUEST_LINE_BYTES_MAX / 2
            || !target.starts_with(b"/")
            || !target[path_bytes..].starts_with(VERSION_11)
        {
            return None;
        }
        let start = line_at + method_bytes;
        let target = Span::from(start..start + path_bytes);
        let end = start + path_bytes + VERSION_11.len();
        Some(RequestLine { method, version: Version::Http11, target, path: target, end })
    }

    /// Reads any request line. `line` begins at `line_at` of the input and is without its CRLF.
    ///
    /// # Errors
    /// `RequestLine`, `Version`, `VersionUnsupported` and `Target`, looked for in this order.
    pub fn read(line: &[u8], line_at: usize) -> Result<RequestLine, HttpError> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HttpError::RequestLine);
        };
        let target_at = line_at + method.len() + " ".len();
        let method = Method::read(method)?;
        let version = Version::read(version)?;
        let path = target::path(method, target)?;
        Ok(RequestLine {
            method,
            version,
            target: Span::from(target_at..target_at + target.len()),
            path: Span::from(target_at + path.start..target_at + path.end),
            end: line_at + line.len() + "\r\n".len(),
        })
    }
}

/// Returns the error for a line of which more than [`REQUEST_LINE_BYTES_MAX`] bytes have arrived.
///
/// It depends on the part that is too long: a target is `414`, but a method longer than all that are
/// known is `501` (RFC 9112, 3).
#[cold]
pub fn too_long(line: &[u8]) -> HttpError {
    let method_bytes = TOKEN.run_length(line);
    if method_bytes > REQUEST_LINE_BYTES_MAX {
        HttpError::MethodTooLong
    } else if line[method_bytes] == b' ' {
        HttpError::RequestLineTooLong
    } else {
        HttpError::RequestLine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_request_line_is_read_as_any_other() {
        for line in
            ["POST /event HTTP/1.1\r\n", "GET /stats HTTP/1.1\r\n", "GET /a:b@c[]|^% HTTP/1.1\r\n"]
        {
            for line_at in [0, 3] {
                let usual = RequestLine::read_usual(line.as_bytes(), line_at).unwrap();
                let strict = RequestLine::read(line.trim_end().as_bytes(), line_at);
                assert_eq!(Ok(usual), strict, "{line:?}");
            }
        }
    }

    #[test]
    fn what_is_too_long_decides() {
        let long = "a".repeat(REQUEST_LINE_BYTES_MAX + 1);
        for (line, expected) in [
            (long.clone(), HttpError::MethodTooLong),
            (format!("GET /{long}"), HttpError::RequestLineTooLong),
            (format!("BREW /{long}"), HttpError::RequestLineTooLong),
            (format!("GET / {long}"), HttpError::RequestLineTooLong),
            (format!("G(T /{long}"), HttpError::RequestLine),
            (format!("{}(", &long[2..]), HttpError::RequestLine),
        ] {
            let line = format!("{line}{long}");
            assert_eq!(too_long(line.as_bytes()), expected, "{}", &line[..20]);
            assert_eq!(too_long(&line.as_bytes()[..long.len()]), expected, "{}", &line[..20]);
        }
    }
}
