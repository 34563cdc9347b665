//! A line a request to standard output, in the combined format of Apache and nginx.
//!
//! Lines are gathered and leave in one write when the worker's round is over, or before, when they
//! are many: a busy worker makes one call for the requests of many connections, and what an idle one
//! has to say is there at once.

use std::io::Write;
use std::net::SocketAddr;

use crate::http::date::common_log_date;
use crate::http::{Method, Request, Status, Version};
use crate::limits::ACCESS_LOG_BUFFER_BYTES;
use crate::log;

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

    /// Notes a request and its answer.
    pub fn request(
        &mut self,
        peer: &SocketAddr,
        request: &Request<'_>,
        status: Status,
        answer: &[u8],
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
            Method::Query => "QUERY",
            Method::Unknown => "-",
        };
        let version = match request.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        };
        // A valid target is printable ASCII.
        let target = String::from_utf8_lossy(request.target());
        let request_line = format!("{method} {target} {version}");
        let [referer, user_agent] = ["Referer", "User-Agent"].map(|name| request.field(name));
        self.line(peer, &request_line, status, answer, [referer, user_agent]);
    }

    /// Notes a request that could not be read.
    pub fn refused(&mut self, peer: &SocketAddr, status: Status, answer: &[u8]) {
        self.line(peer, "-", status, answer, [None, None]);
    }

    /// Writes the lines out.
    pub fn flush(&mut self) {
        if !self.lines.is_empty() {
            log::access().put(&self.lines);
            self.lines.clear();
        }
    }

    fn line(
        &mut self,
        peer: &SocketAddr,
        request_line: &str,
        status: Status,
        answer: &[u8],
        fields: [Option<&[u8]>; 2],
    ) {
        let (ip, date, code) = (peer.ip().to_canonical(), &self.date, status.code());
        let head_end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let content_bytes = head_end.map_or(0, |at| answer.len() - at - 4);
        // Writing to a Vec cannot fail.
        let _ = write!(self.lines, "{ip} - - [{date}] \"");
        quote(&mut self.lines, request_line.as_bytes());
        let _ = write!(self.lines, "\" {code} {content_bytes}");
        for value in fields {
            self.lines.extend_from_slice(b" \"");
            quote(&mut self.lines, value.filter(|value| !value.is_empty()).unwrap_or(b"-"));
            self.lines.push(b'"');
        }
        self.lines.push(b'\n');
        if self.lines.len() >= ACCESS_LOG_BUFFER_BYTES {
            self.flush();
        }
    }
}

impl Drop for AccessLog {
    /// The last requests of a worker are answered after its last round.
    fn drop(&mut self) {
        self.flush();
    }
}

/// Appends what a client sent; what could end the quotes or the line, or is no ASCII, as `\xHH`.
fn quote(lines: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        match byte {
            b'"' | b'\\' | ..b' ' | 0x7f.. => {
                let _ = write!(lines, "\\x{byte:02X}");
            }
            _ => lines.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_can_neither_end_the_quotes_nor_the_line() {
        let mut lines = Vec::new();
        quote(&mut lines, b"a \"b\" \\ \xc3\xa4\t");
        assert_eq!(lines, br"a \x22b\x22 \x5C \xC3\xA4\x09");
    }
}
