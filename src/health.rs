//! A question to a running server: is it well? What `--health` does, so that a container with
//! nothing but this program can be asked.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::limits::{HEALTH_ANSWER_BYTES_MAX, HEALTH_TIMEOUT_MS};
use crate::options::HttpUrl;

/// The content of the answer, if its status is 200.
///
/// # Errors
/// A line for people: nobody answers, in time or at all, or something else than 200.
pub fn ask(url: &HttpUrl) -> Result<String, String> {
    let server = &url.server;
    let addresses =
        server.resolve().map_err(|error| format!("cannot resolve {server}: {error}"))?;
    let mut last_error = format!("{server} has no address");
    for address in addresses {
        match ask_at(address, url) {
            Ok(answer) => return judge(&answer),
            Err(error) => last_error = format!("no answer from {address}: {error}"),
        }
    }
    Err(last_error)
}

fn ask_at(address: SocketAddr, url: &HttpUrl) -> io::Result<String> {
    let timeout = Duration::from_millis(HEALTH_TIMEOUT_MS);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let HttpUrl { server, path } = url;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(HEALTH_ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn judge(answer: &str) -> Result<String, String> {
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status_line = head.lines().next().unwrap_or_default();
    match status_line.split(' ').collect::<Vec<_>>()[..] {
        ["HTTP/1.1" | "HTTP/1.0", "200", ..] => Ok(content.to_owned()),
        _ => {
            Err(format!("not well: {} {content}", status_line.escape_debug()).trim_end().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_well() {
        assert_eq!(judge("HTTP/1.1 200 OK\r\nA: b\r\n\r\nyes"), Ok("yes".to_owned()));
        assert_eq!(
            judge("HTTP/1.1 503 Service Unavailable\r\n\r\nno").unwrap_err(),
            "not well: HTTP/1.1 503 Service Unavailable no"
        );
        assert!(judge("").is_err() && judge("SSH-2.0-x\r\n").is_err());
    }
}
