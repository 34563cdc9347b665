//! The address to listen on, as written; names are resolved when the server starts, since that may
//! fail for reasons that are no error of usage.

use std::fmt::{self, Display};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

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
    /// The addresses to try in this order; the first that can be bound is the one.
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
    /// Reads `127.0.0.1:80`, `[::1]:80`, `localhost:80`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').filter(|host| is_ipv6(host))?,
            None => Some(host).filter(|host| host.parse::<Ipv4Addr>().is_ok() || is_name(host))?,
        };
        Some(Self { host: host.to_owned(), port })
    }
}

impl HostPort {
    /// Its addresses, those of IPv4 first: a client that is given a name tries both versions, but
    /// one that is given `127.0.0.1` for `localhost` does not.
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

/// An IPv6 address, perhaps with the zone of a link-local one (RFC 4007, section 11).
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "-"));
    matches!(address.parse(), Ok(IpAddr::V6(_))) && !zone.is_empty()
}

/// A name by its characters (RFC 952, RFC 1123 section 2.1, and the underscore of container
/// networks). All digits and points would be a mistyped IPv4 address.
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
        for text in [
            "",
            ":",
            "8080",
            "localhost",
            "localhost:",
            "localhost:65536",
            "localhost:+1",
            "localhost:8o",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[localhost]:80",
            "[127.0.0.1]:80",
            "[::1%]:80",
            "127.0.0.256:80",
            "127.1:80",
            "a b:80",
            "http://a:80",
            "é:80",
        ] {
            assert_eq!(HostPort::parse(text), None, "{text:?}");
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
