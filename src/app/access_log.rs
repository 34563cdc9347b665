//! One line for each request to standard output, in the combined format of Apache and nginx.
//!
//! A line is made in two steps, since the answer may come later than the request. A [`LinePlace`] keeps the
//! place of the line; the answer completes it. Lines leave in the order of the requests. A
//! worker gathers lines until its round is over or its buffer is full, and passes them on in one piece.
//! Another thread writes them ([`log`]), so no worker waits for standard output.
//!
//! The address is the client's, also behind proxies that `--trusted-proxy` names ([`client_address`]).
//!
//! Long values are cut, which keeps each line below the size that a pipe takes in one piece.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::client_address::client_address;
use crate::http::date::common_log_date;
use crate::http::{Method, Request, Status, Version};
use crate::limits::{
    ACCESS_LOG_BUFFER_BYTES, ACCESS_LOG_FIELD_BYTES_MAX, ACCESS_LOG_TARGET_BYTES_MAX,
    LOG_LINE_BYTES_MAX,
};
use crate::log;
use crate::options::Proxies;

/// Writes the access log of one worker.
pub struct AccessLog {
    /// Lines of requests since the last [`settle`](Self::settle), in the order of the requests.
    pending: Vec<Line>,
    /// The text of these lines, one behind the other, without what depends on the answer.
    text: Vec<u8>,
    /// Whole lines.
    lines: Vec<u8>,
    unix_s: u64,
    date: String,
    /// The proxies whose word about a client's address is taken.
    proxies: Proxies,
}

/// A line under construction.
struct Line {
    /// The place of status and bytes in the text.
    answer_at: usize,
    /// The end of the line in the text.
    end: usize,
    /// The status, and the bytes of content.
    outcome: Option<(Status, usize)>,
}

/// The place of a line that has no answer yet.
#[derive(Clone, Copy)]
pub struct LinePlace(usize);

impl AccessLog {
    /// Returns the log of a worker, without a line. `proxies` name the client of a request.
    pub fn new(proxies: Proxies) -> Self {
        AccessLog {
            pending: Vec::new(),
            text: Vec::new(),
            lines: Vec::new(),
            unix_s: 0,
            date: common_log_date(0),
            proxies,
        }
    }

    /// Sets the date of the lines to `unix_s`.
    pub fn refresh(&mut self, unix_s: u64) {
        if unix_s != self.unix_s {
            self.unix_s = unix_s;
            self.date = common_log_date(unix_s);
        }
    }

    /// Begins the line of a request; [`complete`](Self::complete) follows with the answer.
    pub fn line(&mut self, peer: &SocketAddr, request: &Request<'_>) -> LinePlace {
        self.begin(client_address(peer.ip(), &self.proxies, |name| request.values(name)));
        self.text.extend_from_slice(method_name(request.method).as_bytes());
        self.text.push(b' ');
        quote(&mut self.text, request.target(), ACCESS_LOG_TARGET_BYTES_MAX);
        self.text.extend_from_slice(match request.version {
            Version::Http10 => b" HTTP/1.0",
            Version::Http11 => b" HTTP/1.1",
        });
        self.end(["Referer", "User-Agent"].map(|name| request.field(name)))
    }

    /// Completes a line with the answer.
    pub fn complete(&mut self, place: LinePlace, status: Status, answer: &[u8]) {
        let head_end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let content_bytes = head_end.map_or(0, |at| answer.len() - at - 4);
        if let Some(line) = self.pending.get_mut(place.0) {
            line.outcome = Some((status, content_bytes));
        }
    }

    /// Notes a request that could not be read, and so has no client but the peer.
    pub fn refused(&mut self, peer: &SocketAddr, status: Status, answer: &[u8]) {
        self.begin(peer.ip());
        self.text.push(b'-');
        let place = self.end([None, None]);
        self.complete(place, status, answer);
    }

    /// Moves the lines of answered requests to the output, in the order of the requests. A request
    /// that has no answer at this point gets neither an answer nor a line.
    pub fn settle(&mut self) {
        let mut start = 0;
        for Line { answer_at, end, outcome } in self.pending.drain(..) {
            if let Some((status, content_bytes)) = outcome {
                self.lines.extend_from_slice(&self.text[start..answer_at]);
                // Writing to a Vec cannot fail, here and below.
                let _ = write!(self.lines, " {} {content_bytes}", status.code());
                self.lines.extend_from_slice(&self.text[answer_at..end]);
            }
            start = end;
        }
        self.text.clear();
        if self.lines.len() >= ACCESS_LOG_BUFFER_BYTES {
            self.flush();
        }
    }

    /// Passes the lines on to the thread that writes them.
    pub fn flush(&mut self) {
        if !self.lines.is_empty() {
            log::access().put(&self.lines);
            self.lines.clear();
        }
    }

    /// Appends the part before the request line.
    fn begin(&mut self, client: IpAddr) {
        let _ = write!(self.text, "{} - - [{}] \"", client.to_canonical(), self.date);
    }

    /// Appends the part behind the request line.
    fn end(&mut self, fields: [Option<&[u8]>; 2]) -> LinePlace {
        self.text.push(b'"');
        let answer_at = self.text.len();
        for value in fields {
            let value = value.filter(|value| !value.is_empty()).unwrap_or(b"-");
            self.text.extend_from_slice(b" \"");
            quote(&mut self.text, value, ACCESS_LOG_FIELD_BYTES_MAX);
            self.text.push(b'"');
        }
        self.text.push(b'\n');
        self.pending.push(Line { answer_at, end: self.text.len(), outcome: None });
        LinePlace(self.pending.len() - 1)
    }
}

impl Drop for AccessLog {
    /// Passes on the last lines: the last requests of a worker are answered after its last round.
    fn drop(&mut self) {
        self.settle();
        self.flush();
    }
}

const fn method_name(method: Method) -> &'static str {
    match method {
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
    }
}

/// Appends text of a client. Bytes that could end the quotes or the line, or that are not ASCII, are
/// written as `\xHH`. A value that takes more than `bytes_max` is cut, and `...` stands for the rest.
fn quote(lines: &mut Vec<u8>, value: &[u8], bytes_max: usize) {
    let start = lines.len();
    // The end of the last byte of the value behind which there is room for the dots.
    let mut cut_at = start;
    for &byte in value {
        match byte {
            b'"' | b'\\' | ..b' ' | 0x7f.. => {
                let _ = write!(lines, "\\x{byte:02X}");
            }
            _ => lines.push(byte),
        }
        let length = lines.len() - start;
        if length + DOTS.len() <= bytes_max {
            cut_at = lines.len();
        } else if length > bytes_max {
            lines.truncate(cut_at);
            lines.extend_from_slice(DOTS);
            return;
        }
    }
}

const DOTS: &[u8] = b"...";

/// The other parts of a line: an address, the date, method and version, a status, a number of bytes,
/// and what is between them.
const FIXED_BYTES_MAX: usize = 160;
const _: () = assert!(
    FIXED_BYTES_MAX + ACCESS_LOG_TARGET_BYTES_MAX + 2 * ACCESS_LOG_FIELD_BYTES_MAX
        <= LOG_LINE_BYTES_MAX
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_can_neither_end_the_quotes_nor_the_line() {
        let mut lines = Vec::new();
        quote(&mut lines, b"a \"b\" \\ \xc3\xa4\t", 100);
        assert_eq!(lines, br"a \x22b\x22 \x5C \xC3\xA4\x09");
    }

    #[test]
    fn a_long_value_is_cut_between_bytes() {
        for (value, cut) in [
            (&b"0123456789"[..], "0123456789"),
            (b"0123456789a", "0123456..."),
            (b"\"\"", r"\x22\x22"),
            (b"\"\"\"", r"\x22..."),
            (b"01234\"5", "01234\\x225"),
            (b"01234\"56", "01234..."),
            (b"0123456789\"", "0123456..."),
        ] {
            let mut lines = b"before ".to_vec();
            quote(&mut lines, value, 10);
            assert_eq!(String::from_utf8(lines).unwrap(), format!("before {cut}"));
        }
    }

    #[test]
    fn lines_leave_in_the_order_of_the_requests_and_only_with_an_answer() {
        let mut log = AccessLog::new(Proxies::default());
        let peer = |port| SocketAddr::from(([127, 0, 0, port], 80));
        let drafts = [1, 2, 3].map(|port| {
            log.begin(peer(port).ip());
            log.end([Some(b"from"), None])
        });
        log.complete(drafts[2], Status::NotFound, b"a: b\r\n\r\n12345");
        log.complete(drafts[0], Status::Ok, b"a: b\r\n\r\n");
        log.settle();
        let expected = "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"\" 200 0 \"from\" \"-\"\n\
                        127.0.0.3 - - [01/Jan/1970:00:00:00 +0000] \"\" 404 5 \"from\" \"-\"\n";
        assert_eq!(String::from_utf8_lossy(&log.lines), expected);
        log.lines.clear();
        log.settle();
        assert!(log.lines.is_empty());
    }

    #[test]
    fn the_longest_line_fits_into_one_write_to_a_pipe() {
        let mut log = AccessLog::new(Proxies::default());
        let peer = "1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap();
        let long = "\"".repeat(20_000);
        let field = Some(long.as_bytes());
        log.begin(peer);
        log.text.extend_from_slice(b"CONNECT  HTTP/1.1");
        quote(&mut log.text, long.as_bytes(), ACCESS_LOG_TARGET_BYTES_MAX);
        let draft = log.end([field, field]);
        log.pending[draft.0].outcome = Some((Status::InsufficientStorage, usize::MAX));
        log.settle();
        assert!(log.lines.len() <= LOG_LINE_BYTES_MAX, "{}", log.lines.len());
        assert!(log.lines.len() > LOG_LINE_BYTES_MAX / 2);
        log.lines.clear();
    }
}
