//! The proxies whose word about a client's address is taken, as written.

use std::fmt;
use std::net::IpAddr;

/// Addresses and networks of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Proxies {
    /// Reads addresses and networks such as `10.0.0.7` and `10.0.0.0/8`, with commas between them.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the text in quotes. It explains what to write instead.
    pub(super) fn parse(text: &str) -> Result<Proxies, String> {
        text.split(',')
            .map(|text| Network::parse(text.trim()))
            .collect::<Result<_, _>>()
            .map(Proxies)
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether `address` is among them. An IPv4 address that is written as IPv6 is one of IPv4.
    pub fn include(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.includes(address))
    }
}

impl Network {
    fn parse(text: &str) -> Result<Network, String> {
        let wrong = || {
            "is not an address or a network of a proxy; write 127.0.0.1, ::1 or 10.0.0.0/8, without \
             a port"
                .to_owned()
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let address = address.to_canonical();
        let bits = bits_of(address).1;
        let prefix_bits = match prefix {
            None => bits,
            Some(prefix) => match prefix.parse() {
                Ok(prefix) if prefix <= bits => prefix,
                _ => return Err(format!("has no prefix of 0 to {bits} bits behind its '/'")),
            },
        };
        Ok(Network { address, prefix_bits })
    }

    fn includes(&self, address: IpAddr) -> bool {
        let ((own, bits), (other, other_bits)) = (bits_of(self.address), bits_of(address));
        // A shift by all 128 bits has no value, and all addresses have the empty prefix.
        let differing = (own ^ other).checked_shr(bits - self.prefix_bits).unwrap_or(0);
        bits == other_bits && differing == 0
    }
}

/// Returns the bits of an address, and their number.
fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Network { address, prefix_bits }) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(out, "{comma}{address}/{prefix_bits}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_compared() {
        for (text, address, included) in [
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.8", false),
            ("10.0.0.7", "::ffff:10.0.0.7", true),
            ("::ffff:10.0.0.7", "10.0.0.7", true),
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3/9", "10.127.0.0", true),
            ("10.1.2.3/9", "10.128.0.0", false),
            ("0.0.0.0/0", "200.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.7", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("127.0.0.1, ::1", "::1", true),
        ] {
            let proxies = Proxies::parse(text).unwrap();
            assert_eq!(proxies.include(address.parse().unwrap()), included, "{text} {address}");
        }
        assert!(!Proxies::default().include("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_message_says_what_to_write() {
        for (text, message) in [
            ("", "write 127.0.0.1"),
            ("proxy.example", "write 127.0.0.1"),
            ("127.0.0.1:80", "without a port"),
            ("[::1]", "write 127.0.0.1"),
            ("127.0.0.1,", "write 127.0.0.1"),
            ("10.0.0.0/33", "0 to 32 bits"),
            ("10.0.0.0/", "0 to 32 bits"),
            ("10.0.0.0/-1", "0 to 32 bits"),
            ("::/129", "0 to 128 bits"),
        ] {
            let error = Proxies::parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
