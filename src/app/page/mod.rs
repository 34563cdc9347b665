//! The documents that are served unchanged: the dashboard and the description of the interface.
//!
//! The page is one document. It fetches only `/live`, and `/stats` where a proxy holds `/live` back. Its
//! style and its script are part of it. The policy names both by their hashes, so nothing else runs. Edit
//! `template.html`, `style.css` and `script.js`; then `make page` puts them together and compresses the
//! result. A test compares.

use crate::http::weights::weight;

/// The dashboard.
pub const PAGE: &[u8] = include_bytes!("page.html");
/// The same, compressed (RFC 1952).
pub const PAGE_GZIP: &[u8] = include_bytes!("page.html.gz");
/// Its `Content-Security-Policy` (W3C CSP 3).
pub const POLICY: &str = include_str!("page.policy");
/// OpenAPI 3.1.
pub const OPEN_API: &[u8] = include_bytes!("openapi.json");

/// Bytes that the dashboard may take in the binary, both forms together.
const _: () = assert!(PAGE.len() + PAGE_GZIP.len() <= 40 * 1024);

/// Returns whether a client with these lines of `Accept-Encoding` takes gzip (RFC 9110, 12.5.3), and
/// does not prefer content without a coding.
pub fn accepts_gzip<'b>(lines: impl Iterator<Item = &'b [u8]> + Clone) -> bool {
    let identity = weight(lines.clone(), &["identity"]).unwrap_or(0);
    weight(lines, &["gzip", "x-gzip", "*"]).is_some_and(|gzip| gzip > 0 && gzip >= identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (lines, expected) in [
            (&[][..], false),
            (&["gzip"], true),
            (&["gzip, deflate, br, zstd"], true),
            (&["deflate, GZIP;q=0.5"], true),
            (&["deflate", "x-gzip"], true),
            (&["br;q=1.0, *;q=0.1"], true),
            (&["gzip, identity"], true),
            (&["gzip;q=0.5, identity;q=0.4"], true),
            (&["gzip;q=0.5", "identity"], false),
            (&[""], false),
            (&["identity"], false),
            (&["gzip;q=0"], false),
            (&["gzip;Q=0"], false),
            (&["*", "gzip ; Q = 0.0"], false),
            (&["gzip; q=0.000, *"], false),
            (&["xgzip"], false),
            (&["*;q=0"], false),
        ] {
            let found = accepts_gzip(lines.iter().map(|line| line.as_bytes()));
            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
