//! The origins whose pages may count, as written.

use crate::http::origin::{is_origin, without_default_port};

/// Which other origins' pages may send events and read the statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// None.
    #[default]
    None,
    /// Any, those without a name (`Origin: null`) included.
    Any,
    /// These, in lower case.
    Listed(Vec<String>),
}

impl Origins {
    /// Reads `*`, or origins such as `https://shop.example` with commas between them.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the text in quotes. It explains what to write instead.
    pub(super) fn parse(text: &str) -> Result<Origins, String> {
        if text == "*" {
            return Ok(Origins::Any);
        }
        let origins: Result<Vec<String>, String> = text.split(',').map(parse_one).collect();
        origins.map(Origins::Listed)
    }

    /// Returns whether pages of `origin`, the value of an `Origin` field, are among them.
    pub fn include(&self, origin: &[u8]) -> bool {
        match self {
            Origins::None => false,
            Origins::Any => origin == b"null" || is_origin(origin),
            Origins::Listed(origins) => {
                origins.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(origin))
            }
        }
    }
}

fn parse_one(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    let is_one = |text: &str| is_origin(text.as_bytes()) && !text.contains('*');
    if is_one(&text) {
        return Ok(without_default_port(&text).to_owned());
    }
    Err(match text.trim_end_matches('/') {
        origin if is_one(origin) => {
            format!("has a '/' at its end, which an origin has not; write {origin}")
        }
        host if is_one(&format!("https://{host}")) => {
            format!("has no scheme; write https://{host} or http://{host}")
        }
        _ => "is not an origin; write a scheme, a host and perhaps a port, such as \
              https://shop.example, or * for all"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_compared() {
        for (text, origin, included) in [
            ("*", "https://a.example", true),
            ("*", "null", true),
            ("*", "chrome-extension://abcdef", true),
            ("*", "https://a.example/\u{1}", false),
            ("*", "a.example", false),
            ("https://a.example", "https://a.example", true),
            ("https://A.example", "https://a.EXAMPLE", true),
            ("https://a.example:443", "https://a.example", true),
            ("http://a.example:80", "http://a.example", true),
            ("http://a.example:443", "http://a.example", false),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://b.a.example", false),
            ("https://a.example", "null", false),
            ("https://a.example,http://[::1]:8080", "http://[::1]:8080", true),
            ("https://a.example, http://b.example", "http://b.example", true),
        ] {
            let origins = Origins::parse(text).unwrap();
            assert_eq!(origins.include(origin.as_bytes()), included, "{text} {origin}");
        }
        assert!(!Origins::None.include(b"https://a.example"));
    }

    #[test]
    fn a_message_says_what_to_write() {
        for (text, message) in [
            ("https://a.example/", "write https://a.example"),
            ("https://a.example/page", "is not an origin"),
            ("a.example", "write https://a.example or http://a.example"),
            ("a.example:8080", "write https://a.example:8080"),
            ("", "is not an origin"),
            ("null", "has no scheme"),
            ("https://", "is not an origin"),
            ("https://a.example:99999", "is not an origin"),
            ("https://a.example,", "is not an origin"),
            ("https://*.example", "is not an origin"),
        ] {
            let error = Origins::parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
