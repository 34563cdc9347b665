//! The origin of a page, as a browser sends it in `Origin` (RFC 6454, 6.2 and 7; WHATWG Fetch, 3.2).
//!
//! ```text
//! origin = scheme "://" host [ ":" port ]    or    "null", for a page whose origin has no name
//! ```

use super::authority::Authority;

/// Returns whether `text` is an origin with a name.
pub fn is_origin(text: &[u8]) -> bool {
    authority(text).is_some()
}

/// Returns whether a page of `origin` lies on the server that `host`, the value of a `Host` field,
/// names. The scheme is not compared: behind a proxy that ends TLS, the server cannot see it.
pub fn is_of_host(origin: &[u8], host: &[u8]) -> bool {
    let Some((scheme, page)) = authority(origin) else { return false };
    let Some(server) = Authority::read(host) else { return false };
    let default = default_port(scheme);
    let port = |it: &Authority<'_>| it.port_number().or(default);
    page.host.eq_ignore_ascii_case(server.host) && port(&page) == port(&server)
}

/// Returns `origin` as browsers send it: they leave out the port that its scheme implies.
pub fn without_default_port(origin: &str) -> &str {
    match authority(origin.as_bytes()) {
        Some((scheme, page))
            if page.port.is_some() && page.port_number() == default_port(scheme) =>
        {
            origin.rsplit_once(':').map_or(origin, |(before, _)| before)
        }
        _ => origin,
    }
}

/// Takes an origin apart.
fn authority(text: &[u8]) -> Option<(&[u8], Authority<'_>)> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = text.split_at(colon);
    // RFC 3986, 3.1.
    let scheme_is_valid = scheme.first()?.is_ascii_alphabetic()
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let authority = Authority::read(rest.strip_prefix(b"://")?)?;
    let port_is_valid = authority.port.is_none() || authority.port_number().is_some();
    (scheme_is_valid && port_is_valid).then_some((scheme, authority))
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match () {
        () if scheme.eq_ignore_ascii_case(b"http") => Some(80),
        () if scheme.eq_ignore_ascii_case(b"https") => Some(443),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_the_host_that_it_came_from() {
        for (origin, host, same) in [
            ("http://h", "h", true),
            ("http://h", "H", true),
            ("http://h", "h:80", true),
            ("https://h", "h", true),
            ("https://h", "h:443", true),
            ("https://h", "h:80", false),
            ("http://h:8080", "h:8080", true),
            ("http://h:8080", "h", false),
            ("http://h:8080", "h:8081", false),
            ("http://h", "h:8080", false),
            ("http://h", "g", false),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://127.0.0.1:8080", "localhost:8080", false),
            ("chrome-extension://abc", "abc", true),
            ("null", "null", false),
            ("null", "", false),
            ("", "", false),
            ("http://", "", false),
            ("h", "h", false),
        ] {
            assert_eq!(is_of_host(origin.as_bytes(), host.as_bytes()), same, "{origin} {host}");
        }
    }

    #[test]
    fn the_port_of_the_scheme_is_left_out() {
        for (origin, expected) in [
            ("https://h:443", "https://h"),
            ("http://h:80", "http://h"),
            ("http://h:443", "http://h:443"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::1]", "http://[::1]"),
            ("ftp://h:21", "ftp://h:21"),
        ] {
            assert_eq!(without_default_port(origin), expected);
        }
    }
}
