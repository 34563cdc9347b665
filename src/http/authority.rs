//! The host and port of a URI, as `Host` and two forms of a request target have it.
//!
//! ```text
//! uri-host [ ":" port ]                                      RFC 9110, 7.2; RFC 9112, 3.2
//! uri-host    = IP-literal / IPv4address / reg-name          RFC 3986, 3.2.2
//! IP-literal  = "[" ( IPv6address / IPvFuture ) "]"
//! IPvFuture   = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
//! reg-name    = *( unreserved / "%" HEXDIG HEXDIG / sub-delims )
//! port        = *DIGIT                                       RFC 3986, 3.2.3
//! ```
//!
//! Every IPv4address is also a reg-name. An empty host is refused, because no http URI has one
//! (RFC 9110, 4.2.1). User information is refused too: it is no part of this grammar, and a reader
//! may take it for the host (RFC 9110, 4.2.4).

use std::net::Ipv6Addr;

use super::scan::{HEX_DIGIT, REG_NAME};

/// A host and its port, which follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'b> {
    /// The host, in its brackets if it has any.
    pub host: &'b [u8],
    /// The digits of the port, if a colon follows the host; there may be none.
    pub port: Option<&'b [u8]>,
}

impl<'b> Authority<'b> {
    /// Reads `value` to its end; `None` if it is no authority.
    pub fn read(value: &'b [u8]) -> Option<Authority<'b>> {
        let host_length = match value {
            [b'[', literal @ ..] => "[]".len() + ip_literal_length(literal)?,
            _ => reg_name_length(value),
        };
        let (host, rest) = value.split_at(host_length);
        let port = match rest {
            [] => None,
            [b':', port @ ..] if port.iter().all(u8::is_ascii_digit) => Some(port),
            _ => return None,
        };
        (!host.is_empty()).then_some(Authority { host, port })
    }

    /// Returns the number of the port; `None` if it is missing, or is no port of TCP.
    pub fn port_number(&self) -> Option<u16> {
        let digits = std::str::from_utf8(self.port?).ok()?;
        digits.parse().ok().filter(|&port| port != 0)
    }
}

/// Bytes at the start of `value` that form a reg-name.
#[inline(always)]
fn reg_name_length(value: &[u8]) -> usize {
    let mut length = REG_NAME.run_length(value);
    while let [b'%', first, second, ..] = value[length..]
        && HEX_DIGIT.has(first)
        && HEX_DIGIT.has(second)
    {
        length += "%00".len();
        length += REG_NAME.run_length(&value[length..]);
    }
    length
}

/// Bytes between the brackets of an IP-literal; `value` begins behind the first bracket.
fn ip_literal_length(value: &[u8]) -> Option<usize> {
    let literal = &value[..value.iter().position(|&byte| byte == b']')?];
    let valid = match literal {
        [b'v' | b'V', future @ ..] => is_ip_future(future),
        _ => is_ipv6_address(literal),
    };
    valid.then_some(literal.len())
}

/// The standard library's grammar of an IPv6 address is that of RFC 3986. It has no zone.
fn is_ipv6_address(literal: &[u8]) -> bool {
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// `1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`
fn is_ip_future(text: &[u8]) -> bool {
    let digits = HEX_DIGIT.run_length(text);
    match &text[digits..] {
        [b'.', address @ ..] => {
            digits > 0
                && !address.is_empty()
                && address.iter().all(|&byte| byte == b':' || REG_NAME.has(byte))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (value, expected) in [
            ("h", Some(("h", None))),
            ("example.org:8080", Some(("example.org", Some("8080")))),
            ("127.0.0.1:80", Some(("127.0.0.1", Some("80")))),
            ("999.1.1.1", Some(("999.1.1.1", None))), // no IPv4address, but a reg-name
            ("h:", Some(("h", Some("")))),
            ("h:0000000080", Some(("h", Some("0000000080")))),
            ("a_b~c-d.e", Some(("a_b~c-d.e", None))),
            ("a!$&'()*+,;=b", Some(("a!$&'()*+,;=b", None))),
            ("%41%c3%A4:1", Some(("%41%c3%A4", Some("1")))),
            ("", None),
            (":80", None),
            ("h:8o", None),
            ("h:+80", None),
            ("h:-1", None),
            ("h: 80", None),
            ("h:80:80", None),
            ("u@h", None),
            ("u:p@h", None),
            ("a b", None),
            ("a\tb", None),
            ("h/", None),
            ("h?q", None),
            ("h#f", None),
            ("h\\x", None),
            ("\"h\"", None),
            ("<h>", None),
            ("\u{e4}", None),
            ("%", None),
            ("%4", None),
            ("%4g", None),
            ("%%41", None),
            ("a%zz", None),
        ] {
            let read = Authority::read(value.as_bytes());
            let expected = expected.map(|(host, port): (&str, Option<&str>)| Authority {
                host: host.as_bytes(),
                port: port.map(str::as_bytes),
            });
            assert_eq!(read, expected, "{value:?}");
        }
    }

    #[test]
    fn literals() {
        for (literal, valid) in [
            ("::", true),
            ("::1", true),
            ("2001:db8::8a2e:370:7334", true),
            ("1:2:3:4:5:6:7:8", true),
            ("1:2:3:4:5:6:7::", true),
            ("::2:3:4:5:6:7:8", true),
            ("ABCD:ef01::", true),
            ("::ffff:192.0.2.1", true),
            ("1:2:3:4:5:6:192.0.2.1", true),
            ("v1.a", true),
            ("VfF.a:b!~", true),
            ("", false),
            (":", false),
            (":::", false),
            ("1:2:3:4:5:6:7", false),
            ("1:2:3:4:5:6:7:8:9", false),
            ("1:2:3:4:5:6:7:8::", false),
            ("1::2::3", false),
            ("12345::", false),
            ("g::", false),
            ("::1.2.3", false),
            ("::1.2.3.256", false),
            ("::01.2.3.4", false),
            ("1.2.3.4::", false),
            ("1.2.3.4", false),
            ("fe80::1%eth0", false),
            ("fe80::1%25eth0", false),
            (" ::1", false),
            ("v.a", false),
            ("v1", false),
            ("v1.", false),
            ("vg.a", false),
            ("v1.a@", false),
            ("v1.%41", false),
            ("h", false),
        ] {
            for (after, valid) in
                [("", valid), (":80", valid), (":", valid), ("x", false), ("]", false)]
            {
                let value = format!("[{literal}]{after}");
                let read = Authority::read(value.as_bytes());
                assert_eq!(read.is_some(), valid, "{value}");
                if let Some(read) = read {
                    assert_eq!(read.host, &value.as_bytes()[..literal.len() + 2]);
                }
            }
            assert_eq!(Authority::read(format!("[{literal}").as_bytes()), None);
        }
    }

    #[test]
    fn port_numbers() {
        for (value, expected) in [
            ("h:1", Some(1)),
            ("h:0443", Some(443)),
            ("h:65535", Some(65_535)),
            ("h:65536", None),
            ("h:0", None),
            ("h:", None),
            ("h", None),
        ] {
            let port = Authority::read(value.as_bytes()).and_then(|read| read.port_number());
            assert_eq!(port, expected, "{value}");
        }
    }
}
