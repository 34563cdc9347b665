//! A client's end of a connection. httparse reads the answers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

/// How long anything may take: far longer than any time-out of the server under test.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Wire {
    pub stream: TcpStream,
    received: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    /// The answer announced `Connection: close`.
    pub last: bool,
    pub content: Vec<u8>,
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Result<Wire, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
        let options = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        options.map_err(|error| format!("socket options: {error}"))?;
        Ok(Wire { stream, received: Vec::new() })
    }

    /// Sends everything.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| format!("send: {error}"))
    }

    /// Sends a request that the server may refuse before all of it has arrived. The answer can be read
    /// then.
    pub fn send_refused(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.stream.write_all(bytes) {
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                Ok(())
            }
            result => result.map_err(|error| format!("send: {error}")),
        }
    }

    /// Reads the next answer.
    pub fn answer(&mut self) -> Result<Answer, String> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut fields);
            let parsed = head
                .parse(&self.received)
                .map_err(|error| format!("no answer: {error}: {}", self.received.escape_ascii()))?;
            if let httparse::Status::Complete(head_bytes) = parsed {
                let status = head.code.ok_or("no status")?;
                let field = |name: &str| {
                    let field =
                        head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
                    field.map(|field| String::from_utf8_lossy(field.value).into_owned())
                };
                let last = field("connection").is_some_and(|value| value == "close");
                let content_bytes: usize = match field("content-length") {
                    Some(length) => {
                        length.parse().map_err(|_| format!("Content-Length {length}"))?
                    }
                    None if status < 200 => 0,
                    None => return Err("no Content-Length".into()),
                };
                let end = head_bytes + content_bytes;
                while self.received.len() < end {
                    self.receive()?;
                }
                let content = self.received[head_bytes..end].to_vec();
                self.received.drain(..end);
                return Ok(Answer { status, last, content });
            }
            self.receive()?;
        }
    }

    /// Reads an answer, which must have this status.
    pub fn expect(&mut self, status: u16) -> Result<Answer, String> {
        let answer = self.answer()?;
        if answer.status != status {
            let content = String::from_utf8_lossy(&answer.content).into_owned();
            return Err(format!("{} instead of {status}: {content}", answer.status));
        }
        Ok(answer)
    }

    /// Waits until the server has closed, with nothing more to read.
    pub fn expect_end(&mut self) -> Result<(), String> {
        if !self.received.is_empty() {
            return Err(format!("unasked-for bytes: {}", self.received.escape_ascii()));
        }
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Ok(_) => Err("bytes after the last answer".into()),
            Err(error) => Err(format!("still open: {error}")),
        }
    }

    /// Leaves with a reset instead of a FIN.
    pub fn vanish(self) {
        // If the option cannot be set, the connection ends with a FIN.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    pub fn half_close(&self) -> Result<(), String> {
        self.stream.shutdown(Shutdown::Write).map_err(|error| format!("shutdown: {error}"))
    }

    fn receive(&mut self) -> Result<(), String> {
        let mut room = [0; 16 * 1024];
        match self.stream.read(&mut room) {
            Ok(0) => Err("closed before the answer".into()),
            Ok(count) => {
                self.received.extend_from_slice(&room[..count]);
                Ok(())
            }
            Err(error) => Err(format!("receive: {error}")),
        }
    }
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n")
}

pub fn post(content: &str) -> String {
    let length = content.len();
    format!("POST /event HTTP/1.1\r\nHost: soak\r\nContent-Length: {length}\r\n\r\n{content}")
}
