//! What is served as it is: the dashboard and the description of the interface.
//!
//! The page is one document that asks for nothing but `/live` (and `/stats` where that does not come
//! through): its style and its script are in it, named by their hashes in the policy it comes with, so
//! that nothing else would run. `template.html`, `style.css` and `script.js` are what to edit; `make
//! page` puts them together and compresses the result, and a test compares.

/// The dashboard.
pub const PAGE: &[u8] = include_bytes!("page.html");
/// The same, compressed (RFC 1952).
pub const PAGE_GZIP: &[u8] = include_bytes!("page.html.gz");
/// Its `Content-Security-Policy` (W3C CSP 3).
pub const POLICY: &str = include_str!("page.policy");
/// OpenAPI 3.1.
pub const OPEN_API: &[u8] = include_bytes!("openapi.json");

/// What the dashboard may weigh in the binary, both forms together.
const _: () = assert!(PAGE.len() + PAGE_GZIP.len() <= 40 * 1024);

/// Whether a client whose `Accept-Encoding` field this is takes gzip (RFC 9110, 12.5.3).
pub fn accepts_gzip(field: Option<&[u8]>) -> bool {
    let codings = field.unwrap_or_default().split(|&byte| byte == b',');
    let verdict = |wanted: &[u8]| {
        codings.clone().find_map(|coding| {
            let mut parts = coding.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
            let weight = parts.find_map(|part| part.strip_prefix(b"q="));
            // A weight of zero, with up to three decimals, is a refusal (RFC 9110, 12.4.2).
            let zero = weight.is_some_and(|it| it.iter().all(|byte| b"0.".contains(byte)));
            (!name.is_empty()).then_some(!zero)
        })
    };
    verdict(b"gzip").or_else(|| verdict(b"*")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (field, expected) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("deflate, GZIP;q=0.5", true),
            ("br;q=1.0, *;q=0.1", true),
            ("", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("xgzip", false),
            ("*;q=0", false),
        ] {
            assert_eq!(accepts_gzip(Some(field.as_bytes())), expected, "{field}");
        }
        assert!(!accepts_gzip(None));
    }
}
