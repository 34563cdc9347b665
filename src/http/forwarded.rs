//! The addresses that proxies have noted in a request: `Forwarded` (RFC 7239) and the older
//! `X-Forwarded-For`.
//!
//! Each proxy on the way appends the address of the side from which the request came to it, so the last
//! address is the one that the nearest proxy has seen. A client can write any beginning of the list itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::list::{elements, parts};

/// Returns the address in an element of `X-Forwarded-For`. `None` if it is not an address.
pub fn of_x_forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(Ipv6Addr::into);
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
        .or_else(bracketed)
        .map(|address: IpAddr| address.to_canonical())
}

/// Returns the address in the parameter `for` of an element of `Forwarded`. `None` if there is none, or
/// if it is a name (`unknown`, or one that begins with `_`).
pub fn of_forwarded(element: &[u8]) -> Option<IpAddr> {
    let node = parts(element, b';').find_map(|pair| {
        let (name, value) = pair.split_at_checked("for=".len())?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })?;
    let quoted = node.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    of_x_forwarded_for(quoted.unwrap_or(node))
}

/// Returns the addresses of all lines of a field, the nearest proxy's first. `address` reads an element.
pub fn nearest_first<'v>(
    lines: impl Iterator<Item = &'v [u8]>,
    address: fn(&[u8]) -> Option<IpAddr>,
) -> Vec<Option<IpAddr>> {
    let mut addresses: Vec<Option<IpAddr>> = lines.flat_map(elements).map(address).collect();
    addresses.reverse();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form() {
        for (element, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:4711", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:4711", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
            ("192.0.2", None),
            ("[192.0.2.1]", None),
            ("192.0.2.1\u{e9}", None),
        ] {
            let expected: Option<IpAddr> = expected.map(|text| text.parse().unwrap());
            assert_eq!(of_x_forwarded_for(element.as_bytes()), expected, "{element}");
        }
    }

    #[test]
    fn the_parameter_for_is_found() {
        for (element, expected) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("proto=https;For=192.0.2.1;by=_x", Some("192.0.2.1")),
            ("for=\"[2001:db8::1]:80\"", Some("2001:db8::1")),
            ("host=\"a;for=192.0.2.9\"; for=192.0.2.1", Some("192.0.2.1")),
            ("for=_hidden", None),
            ("for=unknown", None),
            ("for=\"192.0.2.1", None),
            ("by=192.0.2.1", None),
            ("fo", None),
        ] {
            let expected: Option<IpAddr> = expected.map(|text| text.parse().unwrap());
            assert_eq!(of_forwarded(element.as_bytes()), expected, "{element}");
        }
    }

    #[test]
    fn the_last_element_of_the_last_line_comes_first() {
        let lines = [&b"192.0.2.1, x"[..], b",192.0.2.3"].into_iter();
        let expected = ["192.0.2.3", "x", "192.0.2.1"].map(|text| text.parse().ok());
        assert_eq!(nearest_first(lines, of_x_forwarded_for), expected);
    }
}
