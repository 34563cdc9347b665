//! The request line and the header section (RFC 9112, 3 and 5), parsed in place and resumably.
//!
//! The unit of progress is the line. A line that is whole and well-formed is read in one pass, with
//! nothing copied; at the first surprise the parser looks for the line's LF:
//!
//! ```text
//! no LF yet     Partial: what was read of earlier lines is kept, and the next call starts its
//!               search for the LF where this one ended, so a trickled head costs one look a byte
//! LF is there   the line is judged as a whole: too long first, then what is wrong with it
//! ```
//!
//! So a verdict depends on the bytes alone, never on how they were cut into pieces. The one
//! exception is the very first byte: when no method can begin with it (a TLS handshake, say), there
//! is no point in waiting for a line end.

use std::ops::Range;

use super::HttpError;
use super::fields::{Fields, Framing};
use super::scan::{PATH, TOKEN, field_value_length};
use super::target;
use crate::limits::{
    EMPTY_LINES_MAX, FIELD_COUNT_MAX, HEADER_SECTION_BYTES_MAX, REQUEST_LINE_BYTES_MAX,
};

/// The methods that HTTP defines (RFC 9110, 9; RFC 5789; QUERY, safe and with content), and one for
/// all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Query,
    /// A well-formed token that HTTP does not define.
    Unknown,
}

/// The version a request is treated as; a later minor version of 1 counts as 1.1 (RFC 9110, 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    Http11,
}

/// What is left of a head once it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// Bytes of the whole head, with the empty line that ends it; the content begins there.
    pub length: usize,
    /// Where the request target stands in the input.
    pub target: Span,
    /// Where the target's path stands in the input.
    pub path: Span,
    /// How the end of the content is found.
    pub framing: Framing,
    /// Whether the client wants the connection to go on.
    pub persistent: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// Whether `Content-Encoding` names anything but `identity`.
    pub content_is_coded: bool,
}

/// A place within a head, in bytes from the start of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// The bytes of `input` that stand at this place.
    #[inline(always)]
    pub fn of(self, input: &[u8]) -> &[u8] {
        &input[self.range()]
    }

    /// The same as a range.
    #[inline(always)]
    pub fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

impl Default for Head {
    /// What an empty head would say; nothing reads it.
    fn default() -> Self {
        Head {
            method: Method::Unknown,
            version: Version::Http11,
            length: 0,
            target: Span::default(),
            path: Span::default(),
            framing: Framing::Length(0),
            persistent: false,
            expects_continue: false,
            content_is_coded: false,
        }
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        // Two line ends stand beside the longest line and section, and empty lines before them.
        const OTHER_BYTES_MAX: usize = "\r\n".len() * (2 + EMPTY_LINES_MAX);
        const HEAD_BYTES_MAX: usize =
            OTHER_BYTES_MAX + REQUEST_LINE_BYTES_MAX + HEADER_SECTION_BYTES_MAX;
        const { assert!(HEAD_BYTES_MAX <= u16::MAX as usize) };
        debug_assert!(range.end <= usize::from(u16::MAX));
        Span { start: range.start as u16, end: range.end as u16 }
    }
}

/// What came of a parse that can run out of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// The whole, and what it says.
    Complete(T),
    /// More input is needed.
    Partial,
}

/// Reads one head; between two calls it holds what the lines so far have said.
#[derive(Debug, Default)]
pub struct Parser {
    /// Where the next line begins.
    line_at: usize,
    /// From `line_at` up to here there is no LF.
    scanned: usize,
    request_line: Option<RequestLine>,
    fields: Fields,
    field_count: usize,
    content_length_digits: Option<Span>,
}

#[derive(Clone, Copy, Debug)]
struct RequestLine {
    method: Method,
    version: Version,
    target: Span,
    path: Span,
    /// Where the header section begins.
    end: usize,
}

impl Parser {
    /// Reads on. `input` begins where the request begins and holds at least what it held before.
    ///
    /// After `Complete` or an error the parser is spent.
    #[inline(always)]
    pub fn parse(&mut self, input: &[u8]) -> Result<Parsed<Head>, HttpError> {
        if self.scanned > self.line_at && memchr::memchr(b'\n', &input[self.scanned..]).is_none() {
            return self.wait(input);
        }
        let request_line = match self.request_line {
            Some(request_line) => request_line,
            None => match self.parse_request_line(input)? {
                Parsed::Complete(request_line) => request_line,
                Parsed::Partial => return Ok(Parsed::Partial),
            },
        };
        loop {
            if input[self.line_at..].starts_with(b"\r\n") {
                return self.finish(request_line);
            }
            let Some(field) = FieldLine::read(input, self.line_at) else {
                return self.judge_field_line(input);
            };
            let end = field.end;
            self.field_count += 1;
            if end - request_line.end > HEADER_SECTION_BYTES_MAX
                || self.field_count > FIELD_COUNT_MAX
            {
                return Err(HttpError::FieldsTooLarge);
            }
            self.fields.take(field.name, &input[field.value.clone()])?;
            if self.content_length_digits.is_none() && self.fields.has_content_length() {
                self.content_length_digits = Some(field.value.into());
            }
            self.line_at = end;
        }
    }

    /// Forgets a head of which only a part was read.
    #[inline(always)]
    pub fn restart(&mut self) {
        if self.scanned > 0 || self.line_at > 0 {
            *self = Parser::default();
        }
    }

    /// Where the value of `Content-Length` stands, after a head that has one.
    pub fn content_length_digits(&self) -> Option<Span> {
        self.content_length_digits
    }

    fn finish(&self, request_line: RequestLine) -> Result<Parsed<Head>, HttpError> {
        let length = self.line_at + "\r\n".len();
        if length - request_line.end > HEADER_SECTION_BYTES_MAX {
            return Err(HttpError::FieldsTooLarge);
        }
        let meaning = self.fields.meaning(request_line.version)?;
        Ok(Parsed::Complete(Head {
            method: request_line.method,
            version: request_line.version,
            length,
            target: request_line.target,
            path: request_line.path,
            framing: meaning.framing,
            persistent: meaning.persistent,
            expects_continue: meaning.expects_continue,
            content_is_coded: meaning.content_is_coded,
        }))
    }

    #[inline(always)]
    fn parse_request_line(&mut self, input: &[u8]) -> Result<Parsed<RequestLine>, HttpError> {
        let request_line = match RequestLine::read_usual(&input[self.line_at..], self.line_at) {
            Some(request_line) => request_line,
            None => match self.judge_request_line(input)? {
                Parsed::Complete(request_line) => request_line,
                Parsed::Partial => return Ok(Parsed::Partial),
            },
        };
        self.request_line = Some(request_line);
        self.line_at = request_line.end;
        Ok(Parsed::Complete(request_line))
    }

    /// The request line is not the usual one: it may have an empty line before it, be unfinished,
    /// rare or malformed.
    #[cold]
    fn judge_request_line(&mut self, input: &[u8]) -> Result<Parsed<RequestLine>, HttpError> {
        self.line_at = empty_lines_length(input);
        let line = &input[self.line_at..];
        match line {
            [] | [b'\r'] => return Ok(Parsed::Partial),
            [first, ..] if !TOKEN.has(*first) => return Err(HttpError::RequestLine),
            _ => {}
        }
        let Some(line_feed) = memchr::memchr(b'\n', line) else {
            return match self.wait(input) {
                Ok(_) => Ok(Parsed::Partial),
                Err(error) => Err(error),
            };
        };
        if line_feed > REQUEST_LINE_BYTES_MAX + 1 {
            return Err(HttpError::RequestLineTooLong);
        }
        let line = line[..line_feed].strip_suffix(b"\r").ok_or(HttpError::RequestLine)?;
        RequestLine::read(line, self.line_at).map(Parsed::Complete)
    }

    /// A field line that could not be read: unfinished or malformed.
    #[cold]
    fn judge_field_line(&mut self, input: &[u8]) -> Result<Parsed<Head>, HttpError> {
        let line = &input[self.line_at..];
        let Some(line_feed) = memchr::memchr(b'\n', line) else {
            return self.wait(input);
        };
        let end = self.line_at + line_feed + 1;
        if end - self.section_at() > HEADER_SECTION_BYTES_MAX {
            return Err(HttpError::FieldsTooLarge);
        }
        let folded = matches!(line[0], b' ' | b'\t');
        Err(if folded { HttpError::FieldFolded } else { HttpError::FieldLine })
    }

    /// The line is unfinished: notes how far it was searched, and gives up on one that is too long.
    #[cold]
    fn wait(&mut self, input: &[u8]) -> Result<Parsed<Head>, HttpError> {
        self.scanned = input.len();
        if self.request_line.is_none() {
            let line = &input[self.line_at..];
            let length = line.strip_suffix(b"\r").unwrap_or(line).len();
            if length > REQUEST_LINE_BYTES_MAX {
                return Err(HttpError::RequestLineTooLong);
            }
        } else if input.len() - self.section_at() >= HEADER_SECTION_BYTES_MAX {
            return Err(HttpError::FieldsTooLarge);
        }
        Ok(Parsed::Partial)
    }

    fn section_at(&self) -> usize {
        self.request_line.map_or(0, |request_line| request_line.end)
    }
}

/// Returns how many bytes of `input` are empty lines before a request line: CRLF or LF, at most
/// [`EMPTY_LINES_MAX`] of them.
///
/// Old clients send an empty line behind the content of a request (RFC 9112, 2.2). A bare LF is
/// harmless here, unlike anywhere else: there is nothing before it that it could end.
pub fn empty_lines_length(input: &[u8]) -> usize {
    let mut length = 0;
    for _ in 0..EMPTY_LINES_MAX {
        match &input[length..] {
            [b'\n', ..] => length += "\n".len(),
            [b'\r', b'\n', ..] => length += "\r\n".len(),
            _ => break,
        }
    }
    length
}

impl RequestLine {
    /// The usual request line, which is whole, well-formed and short: `POST /event HTTP/1.1`.
    /// What it accepts it reads as [`read`](Self::read) does; `None` says nothing.
    #[inline(always)]
    fn read_usual(line: &[u8], line_at: usize) -> Option<RequestLine> {
        const VERSION_11: &[u8] = b" HTTP/1.1\r\n";
        let (method, method_bytes) = match line.first_chunk::<5>()? {
            b"POST " => (Method::Post, b"POST ".len()),
            [b'G', b'E', b'T', b' ', _] => (Method::Get, b"GET ".len()),
            _ => return None,
        };
        let target = &line[method_bytes..];
        let path_bytes = PATH.run_length(target);
        if path_bytes > REQUEST_LINE_BYTES_MAX / 2
            || !target.starts_with(b"/")
            || !target[path_bytes..].starts_with(VERSION_11)
        {
            return None;
        }
        let start = line_at + method_bytes;
        let target = Span::from(start..start + path_bytes);
        let end = start + path_bytes + VERSION_11.len();
        Some(RequestLine { method, version: Version::Http11, target, path: target, end })
    }

    /// Any request line, without its CRLF: the rule by which all of them are judged.
    fn read(line: &[u8], line_at: usize) -> Result<RequestLine, HttpError> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HttpError::RequestLine);
        };
        let method_bytes = method.len();
        let method = Method::read(method)?;
        let version = Version::read(version)?;
        let path = target::path(method, target)?;
        let target_at = line_at + method_bytes + " ".len();
        Ok(RequestLine {
            method,
            version,
            target: Span::from(target_at..target_at + target.len()),
            path: Span::from(target_at + path.start..target_at + path.end),
            end: line_at + line.len() + "\r\n".len(),
        })
    }
}

impl Method {
    /// RFC 9110, 9.1: a token, case-sensitive.
    fn read(name: &[u8]) -> Result<Method, HttpError> {
        if name.is_empty() || TOKEN.run_length(name) != name.len() {
            return Err(HttpError::RequestLine);
        }
        Ok(match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            b"QUERY" => Method::Query,
            _ => Method::Unknown,
        })
    }
}

impl Version {
    /// RFC 9112, 2.3: `HTTP/` DIGIT `.` DIGIT, case-sensitive.
    fn read(text: &[u8]) -> Result<Version, HttpError> {
        match text {
            b"HTTP/1.0" => Ok(Version::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                if *major == b'1' {
                    Ok(Version::Http11)
                } else {
                    Err(HttpError::VersionUnsupported)
                }
            }
            _ => Err(HttpError::Version),
        }
    }
}

/// A field line (RFC 9112, 5): `field-name ":" OWS field-value OWS CRLF`.
struct FieldLine<'b> {
    name: &'b [u8],
    /// Where its value stands, without the white space around it.
    value: Range<usize>,
    /// Where the next line begins.
    end: usize,
}

impl<'b> FieldLine<'b> {
    /// The line that begins at `at`; `None` when it is unfinished or malformed.
    #[inline(always)]
    fn read(input: &'b [u8], at: usize) -> Option<FieldLine<'b>> {
        let line = &input[at..];
        let name_length = TOKEN.run_length(line);
        if name_length == 0 || line.get(name_length) != Some(&b':') {
            return None;
        }
        let value_at = name_length + ":".len();
        let value_end = value_at + field_value_length(&line[value_at..]);
        if !line[value_end..].starts_with(b"\r\n") {
            return None;
        }
        let value = trim_white_space(line, value_at..value_end);
        let value = at + value.start..at + value.end;
        Some(FieldLine { name: &line[..name_length], value, end: at + value_end + "\r\n".len() })
    }
}

/// Takes away OWS, which is SP and HTAB (RFC 9110, 5.6.3).
#[inline(always)]
fn trim_white_space(line: &[u8], Range { mut start, mut end }: Range<usize>) -> Range<usize> {
    let is_space = |byte| matches!(byte, b' ' | b'\t');
    while start < end && is_space(line[start]) {
        start += 1;
    }
    while start < end && is_space(line[end - 1]) {
        end -= 1;
    }
    start..end
}

mod memo;
pub use memo::Memo;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
