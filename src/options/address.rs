//! The address to listen on, as written.
//!
//! Names are resolved when the server starts, since that may fail for reasons that are no error of
//! usage.

use std::fmt::{self, Display};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use crate::limits::PORT_DEFAULT;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Every interface, both IP versions where there are both.
    Default,
    /// What the operator chose.
    Address(HostPort),
}

impl Listen {
    /// Returns the addresses to try in this order; the first that can be bound is used.
    ///
    /// # Errors
    ///
    /// When a name cannot be resolved.
    pub fn candidates(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Default => Ok(vec![
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT_DEFAULT)),
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT_DEFAULT)),
            ]),
            Self::Address(address) => address.resolve(),
        }
    }
}

impl Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Default => write!(f, "[::]:{PORT_DEFAULT}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A host's address or name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// An IP address, without brackets, or a name.
    host: String,
    port: u16,
}

impl HostPort {
    /// Reads `127.0.0.1:80`, `[::1]:80` or `localhost:80`.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the text in quotes. It explains what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) if is_ipv6(address) => address,
            Some(other) => {
                let other = other.escape_debug();
                return Err(format!("has '{other}' in brackets, which is not an IPv6 address"));
            }
            None => check_host(host)?,
        };
        Ok(Self { host: host.to_owned(), port: check_port(port)? })
    }

    /// Returns its addresses, those of IPv4 first: a client that is given a name tries both versions,
    /// but one that is given `127.0.0.1` for `localhost` does not.
    ///
    /// # Errors
    ///
    /// When a name cannot be resolved.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let resolved = (self.host.as_str(), self.port).to_socket_addrs()?;
        let (mut addresses, mut others): (Vec<_>, Vec<_>) = resolved.partition(SocketAddr::is_ipv4);
        addresses.append(&mut others);
        addresses.dedup();
        Ok(addresses)
    }
}

impl Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Splits a text into host and port, neither of them empty.
fn split(text: &str) -> Result<(&str, &str), String> {
    if let Some((_, rest)) = text.split_once("://") {
        let host_port = rest.split('/').next().unwrap_or_default();
        return Err(match HostPort::parse(host_port) {
            Ok(address) => format!("is a URL; write {address}"),
            Err(_) => "is a URL; write HOST:PORT".to_owned(),
        });
    }
    if text.contains(':') && is_ipv6(text) && !text.starts_with('[') {
        return Err(unbracketed(text));
    }
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    if text.starts_with('[') && after_brackets == 0 {
        return Err("has no closing bracket; write [ADDRESS]:PORT, such as [::1]:8080".to_owned());
    }
    let Some(colon) = text[after_brackets..].rfind(':').map(|at| after_brackets + at) else {
        return Err(match check_port(text) {
            Ok(port) => without_host(port),
            Err(problem) if is_digits(text) => problem,
            Err(_) => match HostPort::parse(&format!("{text}:{PORT_DEFAULT}")) {
                Ok(address) => format!("has no port; write for example {address}"),
                Err(problem) => problem,
            },
        });
    };
    let (host, port) = (&text[..colon], &text[colon + 1..]);
    if port.is_empty() {
        return Err("has no port after the colon; write HOST:PORT".to_owned());
    }
    if host.is_empty() || host == "*" {
        return Err(check_port(port).map_or_else(|problem| problem, without_host));
    }
    if host.contains(':') && is_ipv6(host) {
        return Err(unbracketed(text));
    }
    Ok((host, port))
}

/// An IPv6 address, perhaps with a port, without brackets. `::1:8080` may be meant with a port or
/// without; where both are possible, the last group is taken for the port if it can be one of four
/// digits or more.
fn unbracketed(text: &str) -> String {
    let with_port = text.rsplit_once(':').filter(|(host, port)| {
        is_ipv6(host) && check_port(port).is_ok() && (port.len() >= 4 || !is_ipv6(text))
    });
    match with_port {
        Some((host, port)) => {
            format!("has an IPv6 address without brackets; write [{host}]:{port}")
        }
        None => format!(
            "is an IPv6 address without brackets and port; write for example [{text}]:{PORT_DEFAULT}"
        ),
    }
}

fn without_host(port: u16) -> String {
    format!(
        "names no host; write [::]:{port} to listen on all addresses, 127.0.0.1:{port} for clients of this machine only"
    )
}

fn check_port(port: &str) -> Result<u16, String> {
    port.parse().ok().filter(|_| is_digits(port)).ok_or_else(|| {
        let shown = port.escape_debug();
        if is_digits(port) {
            format!("has the port {shown}; the highest port is 65535")
        } else {
            format!("has the port '{shown}', which is not a number from 0 to 65535")
        }
    })
}

fn check_host(host: &str) -> Result<&str, String> {
    if host.parse::<Ipv4Addr>().is_ok() || is_name(host) {
        return Ok(host);
    }
    let shown = host.escape_debug();
    Err(if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        format!("has the host '{shown}'; an IPv4 address is four numbers from 0 to 255")
    } else {
        format!(
            "has the host '{shown}', which is neither an address nor a name; write HOST:PORT, such as 127.0.0.1:8080"
        )
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is an IPv6 address, perhaps with the zone of a link-local one (RFC 4007, section 11).
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "-"));
    let zone_is_plain = zone.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone_is_plain
}

/// Whether this is a name by its characters (RFC 952, RFC 1123 section 2.1, and the underscore of
/// container networks). All digits and points would be a mistyped IPv4 address.
fn is_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    host.bytes().all(allowed) && host.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_read_and_shown_alike() {
        for text in [
            "127.0.0.1:80",
            "0.0.0.0:0",
            "[::]:8080",
            "[::1]:65535",
            "[fe80::1%eth0]:80",
            "localhost:1",
            "a-b.example_1.org:80",
        ] {
            assert_eq!(HostPort::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_would_be_one() {
        let not_a_name = "neither an address nor a name; write HOST:PORT, such as 127.0.0.1:8080";
        for (text, problem) in [
            (
                "",
                "names no host; write [::]:8080 to listen on all addresses, 127.0.0.1:8080 for clients of this machine only",
            ),
            (":", "has no port after the colon; write HOST:PORT"),
            (
                "8080",
                "names no host; write [::]:8080 to listen on all addresses, 127.0.0.1:8080 for clients of this machine only",
            ),
            (
                ":80",
                "names no host; write [::]:80 to listen on all addresses, 127.0.0.1:80 for clients of this machine only",
            ),
            (
                "*:80",
                "names no host; write [::]:80 to listen on all addresses, 127.0.0.1:80 for clients of this machine only",
            ),
            ("99999", "has the port 99999; the highest port is 65535"),
            (":99999", "has the port 99999; the highest port is 65535"),
            ("localhost", "has no port; write for example localhost:8080"),
            ("127.0.0.1", "has no port; write for example 127.0.0.1:8080"),
            ("[::1]", "has no port; write for example [::1]:8080"),
            ("localhost:", "has no port after the colon; write HOST:PORT"),
            ("localhost:65536", "has the port 65536; the highest port is 65535"),
            ("localhost:99999999999", "has the port 99999999999; the highest port is 65535"),
            ("localhost:+1", "has the port '+1', which is not a number from 0 to 65535"),
            ("localhost:http", "has the port 'http', which is not a number from 0 to 65535"),
            ("localhost:80/", "has the port '80/', which is not a number from 0 to 65535"),
            ("::1:8080", "has an IPv6 address without brackets; write [::1]:8080"),
            (
                "fe80::1%eth0:8080",
                "has an IPv6 address without brackets; write [fe80::1%eth0]:8080",
            ),
            ("::1", "is an IPv6 address without brackets and port; write for example [::1]:8080"),
            ("::", "is an IPv6 address without brackets and port; write for example [::]:8080"),
            (
                "fe80::1:80",
                "is an IPv6 address without brackets and port; write for example [fe80::1:80]:8080",
            ),
            (":::8080", "has an IPv6 address without brackets; write [::]:8080"),
            ("[::1:80", "has no closing bracket; write [ADDRESS]:PORT, such as [::1]:8080"),
            ("[localhost]:80", "has 'localhost' in brackets, which is not an IPv6 address"),
            ("[::1%]:80", "has '::1%' in brackets, which is not an IPv6 address"),
            (
                "127.0.0.256:80",
                "has the host '127.0.0.256'; an IPv4 address is four numbers from 0 to 255",
            ),
            ("127.1", "has the host '127.1'; an IPv4 address is four numbers from 0 to 255"),
            ("a b:80", &format!("has the host 'a b', which is {not_a_name}")),
            ("é:80", &format!("has the host 'é', which is {not_a_name}")),
            ("[::1]x:80", &format!("has the host '[::1]x', which is {not_a_name}")),
            ("http://localhost:8080/", "is a URL; write localhost:8080"),
            ("https://a", "is a URL; write HOST:PORT"),
        ] {
            assert_eq!(HostPort::parse(text).unwrap_err(), problem, "{text:?}");
        }
    }

    #[test]
    fn candidates_come_in_the_order_to_be_tried() {
        let candidates = |text| Listen::Address(HostPort::parse(text).unwrap()).candidates();
        assert_eq!(candidates("[::1]:5").unwrap(), ["[::1]:5".parse().unwrap()]);
        assert_eq!(candidates("localhost:5").unwrap()[0], "127.0.0.1:5".parse().unwrap());
        let default: [SocketAddr; 2] =
            ["[::]:8080".parse().unwrap(), "0.0.0.0:8080".parse().unwrap()];
        assert_eq!(Listen::Default.candidates().unwrap(), default);
    }
}
