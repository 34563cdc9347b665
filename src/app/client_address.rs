//! The address of the client, where requests come through proxies that `--trusted-proxy` names.
//!
//! The way back begins at the peer of the connection. While an address on it is a trusted proxy, the
//! address that this proxy has noted is the next. The first that is not trusted is the client: what
//! stands before it in the list may be the client's own invention.
//!
//! A proxy that writes one of the two fields may pass the other on as the client sent it. So if both
//! stand in a request and lead to different addresses, neither counts.

use std::net::IpAddr;

use crate::http::forwarded::{nearest_first, of_forwarded, of_x_forwarded_for};
use crate::options::Proxies;

/// Returns the address of the client. `peer` is the other side of the connection, `values` returns the
/// lines of a field of the request.
pub(super) fn client_address<'r, V: Iterator<Item = &'r [u8]>>(
    peer: IpAddr,
    proxies: &Proxies,
    values: impl Fn(&'static str) -> V,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.include(peer) {
        return peer;
    }
    let standard = nearest_first(values("Forwarded"), of_forwarded);
    let older = nearest_first(values("X-Forwarded-For"), of_x_forwarded_for);
    let ends =
        [standard, older].map(|hops| (!hops.is_empty()).then(|| follow(peer, proxies, hops)));
    match ends {
        [Some(one), Some(other)] if one != other => peer,
        [one, other] => one.or(other).unwrap_or(peer),
    }
}

/// Goes back along `hops` as long as proxies are trusted.
fn follow(peer: IpAddr, proxies: &Proxies, hops: Vec<Option<IpAddr>>) -> IpAddr {
    let mut client = peer;
    for hop in hops {
        match hop {
            Some(address) if proxies.include(client) => client = address,
            _ => break,
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Invocation, parse};

    #[test]
    fn the_first_address_that_is_not_trusted_is_the_client() {
        let arguments = ["--trusted-proxy=127.0.0.1,10.0.0.0/8".into()];
        let Ok(Invocation::Run { options, .. }) = parse(arguments, []) else { panic!("usage") };
        for (peer, forwarded, x_forwarded_for, expected) in [
            ("192.0.2.9", "for=192.0.2.1", "192.0.2.1", "192.0.2.9"),
            ("::ffff:192.0.2.9", "", "192.0.2.1", "192.0.2.9"),
            ("127.0.0.1", "", "", "127.0.0.1"),
            ("127.0.0.1", "", "192.0.2.1", "192.0.2.1"),
            ("::ffff:127.0.0.1", "", "192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "", "1.2.3.4, 192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "", "1.2.3.4, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
            ("127.0.0.1", "", "10.0.0.8, 10.0.0.7", "10.0.0.8"),
            ("127.0.0.1", "", "192.0.2.1, unknown", "127.0.0.1"),
            ("127.0.0.1", "", "192.0.2.1, unknown, 10.0.0.7", "10.0.0.7"),
            ("127.0.0.1", "for=192.0.2.1;proto=http", "", "192.0.2.1"),
            ("127.0.0.1", "for=1.2.3.4, for=192.0.2.1", "", "192.0.2.1"),
            ("127.0.0.1", "for=192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "for=1.2.3.4", "192.0.2.1", "127.0.0.1"),
        ] {
            let values = |name| {
                let value = if name == "Forwarded" { forwarded } else { x_forwarded_for };
                (!value.is_empty()).then_some(value.as_bytes()).into_iter()
            };
            let client = client_address(peer.parse().unwrap(), &options.trusted_proxy, values);
            assert_eq!(client.to_string(), expected, "{peer} {forwarded:?} {x_forwarded_for:?}");
        }
    }
}
