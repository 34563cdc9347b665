//! Where `--health` asks: a URL, as far as it is needed for that.

use super::address::HostPort;

/// Where to ask for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// The server.
    pub server: HostPort,
    /// The request target.
    pub path: String,
}

impl HttpUrl {
    /// Reads `http://HOST[:PORT][/PATH]`, without a user, a query or a fragment.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parse = || {
            let rest = text.strip_prefix("http://")?;
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.len() > 1 { path } else { HEALTH_PATH };
            // RFC 3986, 3.3: what a path consists of, percent signs included.
            let in_path =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
            let server = HostPort::parse(authority)
                .or_else(|_| HostPort::parse(&format!("{authority}:{HTTP_PORT}")));
            path.bytes()
                .all(in_path)
                .then_some(Self { server: server.ok()?, path: path.to_owned() })
        };
        parse().ok_or_else(|| {
            if text.starts_with("https://") {
                "begins with https, but millrace speaks plain HTTP; write http://HOST:PORT"
                    .to_owned()
            } else {
                match HostPort::parse(text) {
                    Ok(server) => format!("does not begin with http://; write http://{server}"),
                    Err(_) => "is not http://HOST:PORT, such as http://127.0.0.1:8080".to_owned(),
                }
            }
        })
    }
}

const HEALTH_PATH: &str = "/health";
/// The default port, RFC 9110, 4.2.1.
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
            let url = HttpUrl::parse(text).unwrap();
            assert_eq!((url.server.to_string().as_str(), url.path.as_str()), (server, path));
        }
        for text in
            ["", "localhost", "https://h", "http://", "http://h:x/", "http://h/?q", "http://h/ "]
        {
            assert!(HttpUrl::parse(text).is_err(), "{text}");
        }
    }
}
