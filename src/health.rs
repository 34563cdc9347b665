//! A question to a running server: is it healthy? This is what `--health` does, so that a container
//! that holds only this program can be asked.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::limits::{HEALTH_ANSWER_BYTES_MAX, HEALTH_TIMEOUT_MS};
use crate::options::HttpUrl;

/// Returns the content of the answer, if its status is 200.
///
/// # Errors
/// A message for the operator: there is no answer, not in time, or not with status 200.
pub fn ask(url: &HttpUrl) -> Result<String, String> {
    let server = &url.server;
    let addresses =
        server.resolve().map_err(|error| format!("cannot resolve {server}: {error}"))?;
    // One deadline for all addresses of a name, and for all parts of an answer.
    let deadline = Instant::now() + Duration::from_millis(HEALTH_TIMEOUT_MS);
    let mut last_error = format!("{server} has no address");
    for address in addresses {
        match ask_at(address, url, deadline) {
            Ok(answer) => return judge(&answer),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(format!(
                    "no answer from {address} within {} seconds",
                    HEALTH_TIMEOUT_MS / 1000
                ));
            }
            Err(error) => last_error = format!("no answer from {address}: {error}"),
        }
    }
    Err(last_error)
}

/// Asks at one address. A time-out is an error of the kind `WouldBlock` or `TimedOut`.
fn ask_at(address: SocketAddr, url: &HttpUrl, deadline: Instant) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, remaining(deadline)?)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    let HttpUrl { server, path } = url;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut room = [0; 4096];
    while answer.len() < HEALTH_ANSWER_BYTES_MAX {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut room) {
            Ok(0) if answer.is_empty() => {
                return Err(io::Error::other("the connection was closed"));
            }
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns the time that is left.
///
/// # Errors
/// `TimedOut` if there is none.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(remaining) }
}

fn judge(answer: &str) -> Result<String, String> {
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status_line = head.lines().next().unwrap_or_default();
    match status_line.split(' ').collect::<Vec<_>>()[..] {
        ["HTTP/1.1" | "HTTP/1.0", "200", ..] => Ok(content.to_owned()),
        _ => {
            // The answer may come from any server, and this goes to a terminal.
            let message = format!("not healthy: {status_line} {content}");
            Err(message.replace(char::is_control, " ").trim_end().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_healthy() {
        assert_eq!(judge("HTTP/1.1 200 OK\r\nA: b\r\n\r\nyes"), Ok("yes".to_owned()));
        assert_eq!(
            judge("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"a\":\x1b\"b\"}\n").unwrap_err(),
            "not healthy: HTTP/1.1 503 Service Unavailable {\"a\": \"b\"}"
        );
        assert!(judge("").is_err() && judge("SSH-2.0-x\r\n").is_err());
    }
}
