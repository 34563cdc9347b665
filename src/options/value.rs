//! From the text of a value to the value. An error is what would have been right, as a phrase that
//! follows "is not".

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::listen::{HostPort, Listen};
use crate::limits::TIMEOUT_S_MAX;

/// A whole number from `min` to `max` in decimal digits.
pub(super) fn whole<N>(text: &str, min: N, max: N) -> Result<N, String>
where
    N: FromStr + PartialOrd + Display,
{
    // `FromStr` would also take a plus sign.
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|number| (&min..=&max).contains(&number))
        .ok_or_else(|| format!("a whole number from {min} to {max}"))
}

/// A time in seconds, at least a millisecond and at most [`TIMEOUT_S_MAX`].
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    // `FromStr` would also take signs, exponents, `inf` and `nan`.
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        .and_then(|decimal| Duration::try_from_secs_f64(decimal.parse().ok()?).ok())
        .filter(|time| {
            (Duration::from_millis(1)..=Duration::from_secs(TIMEOUT_S_MAX)).contains(time)
        })
        .ok_or_else(|| format!("a number of seconds from 0.001 to {TIMEOUT_S_MAX}"))
}

/// Yes or no, in the words that environments use.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("1, true, yes or on, nor 0, false, no or off".to_owned()),
    }
}

/// One of some names.
pub(super) fn choice<T: Copy>(text: &str, names: &[(&str, T)]) -> Result<T, String> {
    names.iter().find(|(name, _)| *name == text).map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|&(name, _)| name).collect();
        match names.split_last() {
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    })
}

/// An address to listen on.
pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let port = text.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if port.is_some() {
        return Err(format!("HOST:PORT (for every interface write [::]{text} or 0.0.0.0{text})"));
    }
    HostPort::parse(text)
        .map(Listen::Address)
        .ok_or_else(|| "HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or localhost:8080".to_owned())
}

/// Where to ask for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// The server.
    pub server: HostPort,
    /// The request target.
    pub path: String,
}

/// `http://HOST[:PORT][/PATH]`, without a user, a query or a fragment.
pub(super) fn http_url(text: &str) -> Result<HttpUrl, String> {
    let parse = || {
        let rest = text.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.len() > 1 { path } else { HEALTH_PATH };
        // RFC 3986, 3.3: what a path consists of, percent signs included.
        let in_path =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
        let server = HostPort::parse(authority)
            .or_else(|| HostPort::parse(&format!("{authority}:{HTTP_PORT}")))?;
        path.bytes().all(in_path).then(|| HttpUrl { server, path: path.to_owned() })
    };
    parse().ok_or_else(|| "http://HOST:PORT, such as http://127.0.0.1:8080".to_owned())
}

const HEALTH_PATH: &str = "/health";
/// The default of RFC 9110, 4.2.1.
const HTTP_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, server, path) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/health"),
            ("http://localhost/", "localhost:80", "/health"),
            ("http://[::1]:9/a/b%20c", "[::1]:9", "/a/b%20c"),
            ("http://[::1]", "[::1]:80", "/health"),
        ] {
            let url = http_url(text).unwrap();
            assert_eq!((url.server.to_string().as_str(), url.path.as_str()), (server, path));
        }
        for text in
            ["", "localhost", "https://h", "http://", "http://h:x/", "http://h/?q", "http://h/ "]
        {
            assert!(http_url(text).is_err(), "{text}");
        }
    }
}
