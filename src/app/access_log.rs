//! A line a request to standard output, in the Common Log Format.
//!
//! Lines are gathered while a connection has its turn and leave in one write before its answers
//! do, so a line is there when its answer is, and a pipeline costs one call.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::http::date::common_log_date;
use crate::http::{Method, Request, Status, Version};

/// The access log of one worker.
pub struct AccessLog {
    lines: Vec<u8>,
    unix_s: u64,
    date: String,
}

impl AccessLog {
    /// No lines yet.
    pub fn new() -> Self {
        AccessLog { lines: Vec::new(), unix_s: 0, date: common_log_date(0) }
    }

    /// Brings the date of the lines to `unix_s`.
    pub fn refresh(&mut self, unix_s: u64) {
        if unix_s != self.unix_s {
            self.unix_s = unix_s;
            self.date = common_log_date(unix_s);
        }
    }

    /// Notes a request and the size of its answer.
    pub fn request(
        &mut self,
        peer: &SocketAddr,
        request: &Request<'_>,
        status: Status,
        answer_bytes: usize,
    ) {
        let method = match request.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Unknown => "-",
        };
        let version = match request.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        };
        // A target that was accepted is printable ASCII without quotes.
        let target = String::from_utf8_lossy(request.target());
        self.line(peer, &format!("{method} {target} {version}"), status, answer_bytes);
    }

    /// Notes a request that could not be read.
    pub fn refused(&mut self, peer: &SocketAddr, status: Status, answer_bytes: usize) {
        self.line(peer, "-", status, answer_bytes);
    }

    /// Writes the lines out.
    pub fn flush(&mut self) {
        if !self.lines.is_empty() {
            // Whoever reads the log may go away; the server goes on without.
            let _ = io::stdout().lock().write_all(&self.lines).and_then(|()| io::stdout().flush());
            self.lines.clear();
        }
    }

    fn line(&mut self, peer: &SocketAddr, request_line: &str, status: Status, answer_bytes: usize) {
        let (ip, date, code) = (peer.ip().to_canonical(), &self.date, status.code());
        let line = format!("{ip} - - [{date}] \"{request_line}\" {code} {answer_bytes}\n");
        self.lines.extend_from_slice(line.as_bytes());
    }
}
