//! The chunked transfer coding (RFC 9112, 7.1), decoded in place.
//!
//! ```text
//! chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF )
//!                1*"0" [ chunk-ext ] CRLF *( field-line CRLF ) CRLF
//! chunk-ext    = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
//! ```
//!
//! Content is never longer than its coding, so it is written over it:
//!
//! ```text
//! buffer   | … content so far | decoded coding | not yet read |
//!                          write_at        read_at          len      write_at <= read_at
//! ```
//!
//! There is one state for each step of the grammar, and every call consumes all of its input. So only
//! the content has to be kept between two calls, and a byte that breaks the grammar is refused as
//! soon as it arrives. Chunk extensions and trailer fields are checked for their form and then
//! ignored, as RFC 9112, 7.1.1 and 7.1.2 allow. A trailer field can therefore never change the
//! meaning of a request.
//!
//! White space (BWS) is taken where the grammar has it, which is between the parts of an extension,
//! and a recipient must parse it (RFC 9110, 5.6.3). It is refused at the end of the line, where the
//! grammar has none and where another reader may see an end of the size.

use super::error::HttpError;
use super::scan::{FIELD_VALUE, HEX_DIGIT, QUOTED_TEXT, TOKEN, is_white_space};
use crate::limits::{CHUNK_LINE_BYTES_MAX, FIELD_COUNT_MAX, HEADER_SECTION_BYTES_MAX};

/// The place of the decoder in the grammar: which bytes may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first digit of `chunk-size`.
    SizeStart,
    /// Another digit, or what may follow the size.
    Size,
    /// After white space that only the `;` of an extension may follow.
    Space,
    /// After the `;` of an extension: white space, or the start of its name.
    NameStart,
    /// Within the name of an extension.
    Name,
    /// After white space behind a name, which `=` or `;` must follow.
    NameSpace,
    /// After the `=` of an extension: white space, or the start of its value.
    ValueStart,
    /// Within a value that is a token.
    Value,
    /// Within a value that is a quoted string.
    Quoted,
    /// After a backslash within a quoted string.
    QuotedPair,
    /// After the end of a quoted string.
    QuotedEnd,
    /// The LF that ends a chunk's first line.
    SizeLineFeed,
    /// Within `chunk-data`.
    Data,
    /// The CR after `chunk-data`.
    DataReturn,
    /// The LF after `chunk-data`.
    DataLineFeed,
    /// The start of a trailer field, or the CR of the empty line.
    TrailerStart,
    /// Within a trailer field's name.
    TrailerName,
    /// Within a trailer field's value.
    TrailerValue,
    /// The LF that ends a trailer field.
    TrailerLineFeed,
    /// The LF of the empty line.
    EndLineFeed,
    /// The body is complete.
    End,
}

/// Decodes one chunked body, in any number of pieces.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of the present chunk still to come; while its size is read, the size so far.
    chunk_left: u64,
    /// Bytes of content that may still come.
    content_left: usize,
    /// Bytes of the present chunk's first line, or of the trailer section.
    line_bytes: usize,
    trailer_count: usize,
}

/// The progress of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where the content so far ends.
    pub write_at: usize,
    /// Where the next request begins; the end of the input if the body is incomplete.
    pub read_at: usize,
    /// Whether the body has ended.
    pub complete: bool,
}

impl Decoder {
    /// Returns a decoder at the start of a body, which has at most `content_bytes_max` bytes of content.
    pub fn new(content_bytes_max: usize) -> Self {
        Decoder {
            state: State::SizeStart,
            chunk_left: 0,
            content_left: content_bytes_max,
            line_bytes: 0,
            trailer_count: 0,
        }
    }

    /// Decodes `buffer[read_at..]` to `buffer[write_at..]`.
    ///
    /// # Errors
    /// `Chunk`, `FieldLine`, `FieldFolded`, `FieldsTooLarge`, `ContentTooLarge`. The decoder must not
    /// be used again then, nor after the body is complete.
    pub fn decode(
        &mut self,
        buffer: &mut [u8],
        mut write_at: usize,
        mut read_at: usize,
    ) -> Result<Progress, HttpError> {
        while read_at < buffer.len() && self.state != State::End {
            debug_assert!(write_at <= read_at);
            if self.state == State::Data {
                let available = (buffer.len() - read_at) as u64;
                let count = self.chunk_left.min(available) as usize;
                buffer.copy_within(read_at..read_at + count, write_at);
                write_at += count;
                read_at += count;
                self.chunk_left -= count as u64;
                if self.chunk_left == 0 {
                    self.state = State::DataReturn;
                }
            } else {
                self.state = self.step(buffer[read_at])?;
                read_at += 1;
            }
        }
        Ok(Progress { write_at, read_at, complete: self.state == State::End })
    }

    /// Returns the bytes before and behind a decoded content of this length that bring a fresh
    /// decoder to where this one is, and give the same content.
    ///
    /// Extensions and trailer fields have no meaning, so the shortest ones replace those that were
    /// read.
    pub fn replay(&self, content_bytes: usize) -> (Vec<u8>, Vec<u8>) {
        use State::*;
        let number = |number: u64| format!("{number:x}").into_bytes();
        let left = if self.state == Data { self.chunk_left } else { 0 };
        let chunk_bytes = content_bytes as u64 + left;
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        if chunk_bytes > 0 {
            before = number(chunk_bytes);
            before.extend_from_slice(b"\r\n");
        }
        match self.state {
            Data | DataReturn => return (before, behind),
            DataLineFeed => return (before, b"\r".to_vec()),
            _ if chunk_bytes > 0 => behind.extend_from_slice(b"\r\n"),
            _ => {}
        }
        if !self.state.is_after_size_line() && self.state != SizeStart {
            behind.extend_from_slice(&number(self.chunk_left));
        }
        behind.extend_from_slice(self.state.shortest());
        (before, behind)
    }

    /// Returns the state after one byte of anything but `chunk-data`.
    fn step(&mut self, byte: u8) -> Result<State, HttpError> {
        self.count_line_byte()?;
        if self.state.is_after_size_line() {
            self.step_after_size_line(byte)
        } else {
            self.step_size_line(byte)
        }
    }

    /// The state after one byte of a chunk's first line.
    fn step_size_line(&mut self, byte: u8) -> Result<State, HttpError> {
        use State::*;
        Ok(match (self.state, byte) {
            (SizeStart | Size, digit) if HEX_DIGIT.has(digit) => {
                // RFC 9112, 7.1: "recipients MUST anticipate potentially large hexadecimal numerals
                // and prevent parsing errors due to integer conversion overflows".
                if self.chunk_left >> (u64::BITS - 4) != 0 {
                    return Err(HttpError::Chunk);
                }
                self.chunk_left = self.chunk_left << 4 | hex_value(digit);
                Size
            }
            (SizeLineFeed, b'\n') => return self.begin_chunk(),
            (Size | Name | Value | QuotedEnd, b'\r') => SizeLineFeed,
            (Size | Space | Name | NameSpace | Value | QuotedEnd, b';') => NameStart,
            (Size | Space | Value | QuotedEnd, space) if is_white_space(space) => Space,
            (NameStart, space) if is_white_space(space) => NameStart,
            (NameStart | Name, letter) if TOKEN.has(letter) => Name,
            (Name | NameSpace, space) if is_white_space(space) => NameSpace,
            (Name | NameSpace, b'=') => ValueStart,
            (ValueStart, space) if is_white_space(space) => ValueStart,
            (ValueStart, b'"') => Quoted,
            (ValueStart | Value, letter) if TOKEN.has(letter) => Value,
            (Quoted, b'"') => QuotedEnd,
            (Quoted, b'\\') => QuotedPair,
            (Quoted, text) if QUOTED_TEXT.has(text) => Quoted,
            (QuotedPair, text) if FIELD_VALUE.has(text) => Quoted,
            _ => return Err(HttpError::Chunk),
        })
    }

    /// The state after one byte behind `chunk-data`, or in the trailer section.
    fn step_after_size_line(&mut self, byte: u8) -> Result<State, HttpError> {
        use State::*;
        Ok(match (self.state, byte) {
            (DataReturn, b'\r') => DataLineFeed,
            (DataLineFeed, b'\n') => {
                self.line_bytes = 0;
                SizeStart
            }
            (DataReturn | DataLineFeed, _) => return Err(HttpError::Chunk),
            (TrailerStart, b'\r') => EndLineFeed,
            (EndLineFeed, b'\n') => End,
            (TrailerStart, space) if is_white_space(space) => return Err(HttpError::FieldFolded),
            (TrailerStart | TrailerName, letter) if TOKEN.has(letter) => TrailerName,
            (TrailerName, b':') => TrailerValue,
            (TrailerValue, text) if FIELD_VALUE.has(text) => TrailerValue,
            (TrailerValue, b'\r') => TrailerLineFeed,
            (TrailerLineFeed, b'\n') => {
                self.trailer_count += 1;
                if self.trailer_count > FIELD_COUNT_MAX {
                    return Err(HttpError::FieldsTooLarge);
                }
                TrailerStart
            }
            _ => return Err(HttpError::FieldLine),
        })
    }

    /// Returns the state after a chunk's first line: its data follows, or after a size of 0 the
    /// trailer section.
    fn begin_chunk(&mut self) -> Result<State, HttpError> {
        self.line_bytes = 0;
        if self.chunk_left == 0 {
            return Ok(State::TrailerStart);
        }
        // The size alone decides: content that is too large is refused before it is read.
        match usize::try_from(self.chunk_left)
            .ok()
            .and_then(|bytes| self.content_left.checked_sub(bytes))
        {
            Some(left) => self.content_left = left,
            None => return Err(HttpError::ContentTooLarge),
        }
        Ok(State::Data)
    }

    /// Counts a byte against the bound of its line or section. The LF is not counted.
    fn count_line_byte(&mut self) -> Result<(), HttpError> {
        use State::*;
        self.line_bytes += 1;
        match self.state {
            TrailerStart | TrailerName | TrailerValue
                if self.line_bytes > HEADER_SECTION_BYTES_MAX =>
            {
                Err(HttpError::FieldsTooLarge)
            }
            SizeLineFeed => Ok(()),
            state if !state.is_after_size_line() && self.line_bytes > CHUNK_LINE_BYTES_MAX => {
                Err(HttpError::Chunk)
            }
            _ => Ok(()),
        }
    }
}

impl State {
    /// Whether a chunk's first line is complete, so that its size is no longer needed.
    fn is_after_size_line(self) -> bool {
        use State::*;
        matches!(
            self,
            Data | DataReturn
                | DataLineFeed
                | TrailerStart
                | TrailerName
                | TrailerValue
                | TrailerLineFeed
                | EndLineFeed
                | End
        )
    }

    /// The shortest text that leads to this state, from the end of a size or of the last chunk.
    fn shortest(self) -> &'static [u8] {
        use State::*;
        match self {
            SizeStart | Size | Data | DataReturn | DataLineFeed => b"",
            Space => b" ",
            NameStart => b";",
            Name => b";x",
            NameSpace => b";x ",
            ValueStart => b";x=",
            Value => b";x=x",
            Quoted => b";x=\"",
            QuotedPair => b";x=\"\\",
            QuotedEnd => b";x=\"\"",
            SizeLineFeed => b"\r",
            TrailerStart => b"0\r\n",
            TrailerName => b"0\r\nx",
            TrailerValue => b"0\r\nx:",
            TrailerLineFeed => b"0\r\nx:\r",
            EndLineFeed => b"0\r\n\r",
            End => b"0\r\n\r\n",
        }
    }
}

fn hex_value(digit: u8) -> u64 {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    };
    u64::from(value)
}

#[cfg(test)]
mod tests;
