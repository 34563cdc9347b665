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
    /// Lines of requests since the last [`settle`](Self::settle), in the order of the requests.
    pending: Vec<Line>,
    lines: Vec<u8>,
    unix_s: u64,
    date: String,
}

impl AccessLog {
    /// No lines yet.
    pub fn new() -> Self {
        AccessLog { pending: Vec::new(), lines: Vec::new(), unix_s: 0, date: common_log_date(0) }
    }

    /// Brings the date of the lines to `unix_s`.
    pub fn refresh(&mut self, unix_s: u64) {
        if unix_s != self.unix_s {
            self.unix_s = unix_s;
            self.date = common_log_date(unix_s);
        }
    }

    /// Begins the line of a request; [`complete`](Self::complete) follows with the answer.
    pub fn draft(&mut self, peer: &SocketAddr, request: &Request<'_>) -> Draft {
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
        self.begin(peer, &request_line, [referer, user_agent])
    }

    /// Completes a line with the answer.
    pub fn complete(&mut self, draft: Draft, status: Status, answer: &[u8]) {
        let head_end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let content_bytes = head_end.map_or(0, |at| answer.len() - at - 4);
        if let Some(line) = self.pending.get_mut(draft.0) {
            line.outcome = Some((status, content_bytes));
        }
    }

    /// Notes a request that could not be read.
    pub fn refused(&mut self, peer: &SocketAddr, status: Status, answer: &[u8]) {
        let draft = self.begin(peer, "-", [None, None]);
        self.complete(draft, status, answer);
    }

    /// Moves the lines of answered requests to the output, in the order of the requests. A request
    /// without an answer by now gets none, and no line.
    pub fn settle(&mut self) {
        for Line { before, behind, outcome } in self.pending.drain(..) {
            if let Some((status, content_bytes)) = outcome {
                self.lines.extend_from_slice(&before);
                // Writing to a Vec cannot fail.
                let _ = write!(self.lines, " {} {content_bytes}", status.code());
                self.lines.extend_from_slice(&behind);
            }
        }
        if self.lines.len() >= ACCESS_LOG_BUFFER_BYTES {
            self.flush();
        }
    }

    /// Writes the lines out.
    pub fn flush(&mut self) {
        if !self.lines.is_empty() {
            log::access().put(&self.lines);
            self.lines.clear();
        }
    }

    fn begin(
        &mut self,
        peer: &SocketAddr,
        request_line: &str,
        fields: [Option<&[u8]>; 2],
    ) -> Draft {
        let (ip, date) = (peer.ip().to_canonical(), &self.date);
        let mut before = format!("{ip} - - [{date}] \"").into_bytes();
        quote(&mut before, request_line.as_bytes());
        before.push(b'"');
        let mut behind = Vec::new();
        for value in fields {
            behind.extend_from_slice(b" \"");
            quote(&mut behind, value.filter(|value| !value.is_empty()).unwrap_or(b"-"));
            behind.push(b'"');
        }
        behind.push(b'\n');
        self.pending.push(Line { before, behind, outcome: None });
        Draft(self.pending.len() - 1)
    }
}

/// The place of a line that has no answer yet.
#[derive(Clone, Copy)]
pub struct Draft(usize);

/// A line under construction.
struct Line {
    /// The part before the status.
    before: Vec<u8>,
    /// The part behind the number of bytes.
    behind: Vec<u8>,
    /// The status, and the bytes of content.
    outcome: Option<(Status, usize)>,
}

impl Drop for AccessLog {
    /// The last requests of a worker are answered after its last round.
    fn drop(&mut self) {
        self.settle();
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
