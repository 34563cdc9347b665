//! The protocol version of a request (RFC 9112, 2.3).

use super::error::HttpError;

/// The version as which a request is treated. A later minor version of 1 counts as 1.1 (RFC 9110,
/// 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    /// Bytes of every version as it is written.
    pub const BYTES: usize = "HTTP/1.1".len();

    /// Reads `HTTP/` DIGIT `.` DIGIT, in which case matters.
    ///
    /// # Errors
    /// `VersionUnsupported` for another major version than 1, `Version` for other text.
    pub fn read(text: &[u8]) -> Result<Version, HttpError> {
        match text {
            b"HTTP/1.0" => Ok(Version::Http10),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                Err(HttpError::VersionUnsupported)
            }
            _ => Err(HttpError::Version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_digit_stands_on_each_side_of_the_point() {
        for (text, expected) in [
            ("HTTP/1.0", Ok(Version::Http10)),
            ("HTTP/1.1", Ok(Version::Http11)),
            ("HTTP/1.9", Ok(Version::Http11)),
            ("HTTP/0.9", Err(HttpError::VersionUnsupported)),
            ("HTTP/2.0", Err(HttpError::VersionUnsupported)),
            ("HTTP/2", Err(HttpError::Version)),
            ("HTTP/1.10", Err(HttpError::Version)),
            ("HTTP/01.1", Err(HttpError::Version)),
            ("HTTP/1,1", Err(HttpError::Version)),
            ("http/1.1", Err(HttpError::Version)),
            ("HTTP/1.x", Err(HttpError::Version)),
            ("", Err(HttpError::Version)),
        ] {
            assert_eq!(Version::read(text.as_bytes()), expected, "{text}");
        }
    }
}
