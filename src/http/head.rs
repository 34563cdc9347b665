//! The request line and the header section (RFC 9112, 3 and 5), parsed in place and resumably.
//!
//! The unit of progress is the line. A line that is whole and well-formed is read in one pass and
//! without a copy. Otherwise the parser looks for the end of the line:
//!
//! ```text
//! the end is missing      Partial. Earlier lines stay read, and the next call goes on to look for
//!                         the end where this one stopped, so a trickled head costs one look a byte
//! a control character     the line is refused at once: no later byte can make it right
//! the end is there        the line is judged as a whole
//! ```
//!
//! In each case a line that is too long is refused as such if it was too long before the byte that
//! decides. So a verdict depends on the bytes alone, never on how they were cut into pieces. The one
//! other byte that decides at once is the first: if no method can begin with it (a TLS handshake,
//! for instance), there is no point in waiting for a line.

use super::error::HttpError;
use super::extras::Extras;
use super::field_line::FieldLine;
use super::fields::Fields;
use super::framing::Framing;
use super::line::{LineEnd, empty_lines_length};
use super::method::Method;
use super::request_line::{RequestLine, too_long};
use super::scan::TOKEN;
use super::span::Span;
use super::version::Version;
use crate::limits::{FIELD_COUNT_MAX, HEADER_SECTION_BYTES_MAX, REQUEST_LINE_BYTES_MAX};

/// The meaning of a head that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// Bytes of the whole head, with the empty line that ends it. The content begins there.
    pub length: usize,
    /// Where the request target is in the input.
    pub target: Span,
    /// Where the target's path is in the input.
    pub path: Span,
    /// How the end of the content is found.
    pub framing: Framing,
    /// Whether the client asks that the connection stay open.
    pub persistent: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// What else the handler must look at.
    pub extras: Extras,
}

impl Default for Head {
    /// Returns a placeholder that is never read.
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
            extras: Extras::default(),
        }
    }
}

/// The result of a parser that can run out of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// The whole is read; this is its meaning.
    Complete(T),
    /// More input is needed.
    Partial,
}

/// Reads one head. Between two calls it holds the meaning of the lines so far.
#[derive(Debug, Default)]
pub struct Parser {
    /// Where the next line begins.
    line_at: usize,
    /// No line ends between `line_at` and this place.
    scanned: usize,
    request_line: Option<RequestLine>,
    fields: Fields,
    field_count: usize,
    content_length_digits: Option<Span>,
}

impl Parser {
    /// Reads on. `input` begins where the request begins and holds at least what it held before.
    ///
    /// After `Complete` or an error the parser must not be used again.
    ///
    /// # Errors
    /// Any that the head itself can cause, see [`HttpError`].
    #[inline(always)]
    pub fn parse(&mut self, input: &[u8]) -> Result<Parsed<Head>, HttpError> {
        if self.scanned > self.line_at && LineEnd::find(input, self.scanned) == LineEnd::Missing {
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

    /// Returns where the value of `Content-Length` is, after a head that has one.
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
            extras: meaning.extras,
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

    /// Judges a request line that is not the usual one. It may have empty lines before it, or be
    /// incomplete, rare or malformed.
    #[cold]
    fn judge_request_line(&mut self, input: &[u8]) -> Result<Parsed<RequestLine>, HttpError> {
        self.line_at = empty_lines_length(input);
        let line = &input[self.line_at..];
        match line {
            [] | [b'\r'] => return Ok(Parsed::Partial),
            [first, ..] if !TOKEN.has(*first) => return Err(HttpError::RequestLine),
            _ => {}
        }
        match LineEnd::find(line, 0) {
            LineEnd::Missing => {
                self.wait(input)?;
                Ok(Parsed::Partial)
            }
            LineEnd::At(length) | LineEnd::Broken(length) if length > REQUEST_LINE_BYTES_MAX => {
                Err(too_long(line))
            }
            LineEnd::At(length) => {
                RequestLine::read(&line[..length], self.line_at).map(Parsed::Complete)
            }
            LineEnd::Broken(_) => Err(HttpError::RequestLine),
        }
    }

    /// Judges a field line that could not be read: it is incomplete or malformed.
    #[cold]
    fn judge_field_line(&mut self, input: &[u8]) -> Result<Parsed<Head>, HttpError> {
        let end = match LineEnd::find(input, self.line_at) {
            LineEnd::Missing => return self.wait(input),
            LineEnd::At(at) | LineEnd::Broken(at) => at,
        };
        // A CR means nothing before the byte that follows it.
        let decided_at = end + usize::from(input[end] == b'\r');
        if decided_at - self.section_at() >= HEADER_SECTION_BYTES_MAX {
            return Err(HttpError::FieldsTooLarge);
        }
        let folded = matches!(input[self.line_at], b' ' | b'\t');
        Err(if folded { HttpError::FieldFolded } else { HttpError::FieldLine })
    }

    /// Notes how far an incomplete line was searched, and refuses it once it is too long.
    #[cold]
    fn wait(&mut self, input: &[u8]) -> Result<Parsed<Head>, HttpError> {
        // A CR at the end is looked at again, together with the byte that follows it.
        self.scanned = input.strip_suffix(b"\r").unwrap_or(input).len();
        if self.request_line.is_none() {
            if self.scanned - self.line_at > REQUEST_LINE_BYTES_MAX {
                return Err(too_long(&input[self.line_at..]));
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

#[cfg(test)]
mod differential;
#[cfg(test)]
pub(super) mod tests;
