//! The chunked transfer coding (RFC 9112, 7.1), decoded in place.
//!
//! ```text
//! chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF )
//!                1*"0" [ chunk-ext ] CRLF *( field-line CRLF ) CRLF
//! ```
//!
//! Content is never longer than its coding, so it is written over it:
//!
//! ```text
//! buffer   | … content so far | spent coding | not yet read |
//!                          write_at       read_at          len      write_at <= read_at
//! ```
//!
//! One state for each step of the grammar, and all input is consumed whatever the step it ends in,
//! so nothing but the content has to be kept between two calls. Chunk extensions and trailer fields
//! are checked for their form and then ignored, as RFC 9112, 7.1.1 and 7.1.2 allow; a trailer field
//! can therefore never change what a request means.

use super::HttpError;
use super::scan::{FIELD_VALUE, HEX_DIGIT, TOKEN};
use crate::limits::{CHUNK_LINE_BYTES_MAX, FIELD_COUNT_MAX, HEADER_SECTION_BYTES_MAX};

/// Where in the grammar the decoder stands: what the next byte may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first digit of `chunk-size`.
    SizeStart,
    /// A further digit, or what may follow the size.
    Size,
    /// After white space behind the size, which only an extension may follow.
    SizeSpace,
    /// Within `chunk-ext`.
    Extension,
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

/// Decodes one chunked body, in as many pieces as it comes in.
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

/// How far one call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where the content so far ends.
    pub write_at: usize,
    /// Where the input that belongs to the next request begins; the end of input if incomplete.
    pub read_at: usize,
    /// Whether the body has ended.
    pub complete: bool,
}

impl Decoder {
    /// A decoder at the start of a body of at most `content_bytes_max` bytes of content.
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
    /// `Chunk`, `FieldLine`, `FieldFolded`, `FieldsTooLarge`, `ContentTooLarge`; the decoder is
    /// spent then, as it is after the body is complete.
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

    /// Appends a coding that brings a fresh decoder to where this one is, with `content` decoded.
    /// What was read of extensions and trailer fields means nothing, so the shortest serve for all.
    pub fn replay(&self, content: &[u8], out: &mut Vec<u8>) {
        use State::*;
        let number = |number: u64| format!("{number:x}").into_bytes();
        let left = if self.state == Data { self.chunk_left } else { 0 };
        let chunk_bytes = content.len() as u64 + left;
        if chunk_bytes > 0 {
            out.extend_from_slice(&number(chunk_bytes));
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(content);
        }
        match self.state {
            Data | DataReturn => return,
            DataLineFeed => return out.push(b'\r'),
            _ if chunk_bytes > 0 => out.extend_from_slice(b"\r\n"),
            _ => {}
        }
        if let Size | SizeSpace | Extension | SizeLineFeed = self.state {
            out.extend_from_slice(&number(self.chunk_left));
        }
        out.extend_from_slice(match self.state {
            SizeStart | Size | Data | DataReturn | DataLineFeed => b"",
            SizeSpace => b" ",
            Extension => b";",
            SizeLineFeed => b"\r",
            TrailerStart => b"0\r\n",
            TrailerName => b"0\r\nx",
            TrailerValue => b"0\r\nx:",
            TrailerLineFeed => b"0\r\nx:\r",
            EndLineFeed => b"0\r\n\r",
            End => b"0\r\n\r\n",
        });
    }

    /// The state after one byte of anything but `chunk-data`.
    fn step(&mut self, byte: u8) -> Result<State, HttpError> {
        use State::*;
        self.count_line_byte()?;
        match self.state {
            SizeStart | Size if HEX_DIGIT.has(byte) => {
                // RFC 9112, 7.1: "recipients MUST anticipate potentially large hexadecimal numerals
                // and prevent parsing errors due to integer conversion overflows".
                if self.chunk_left >> (u64::BITS - 4) != 0 {
                    return Err(HttpError::Chunk);
                }
                self.chunk_left = self.chunk_left << 4 | hex_value(byte);
                Ok(Size)
            }
            Size | SizeSpace if matches!(byte, b' ' | b'\t') => Ok(SizeSpace),
            Size | SizeSpace if byte == b';' => Ok(Extension),
            Size | Extension if byte == b'\r' => Ok(SizeLineFeed),
            Extension if FIELD_VALUE.has(byte) => Ok(Extension),
            SizeLineFeed if byte == b'\n' => self.begin_chunk(),
            DataReturn if byte == b'\r' => Ok(DataLineFeed),
            DataLineFeed if byte == b'\n' => {
                self.line_bytes = 0;
                Ok(SizeStart)
            }
            TrailerStart if byte == b'\r' => Ok(EndLineFeed),
            TrailerStart if matches!(byte, b' ' | b'\t') => Err(HttpError::FieldFolded),
            TrailerStart | TrailerName if TOKEN.has(byte) => Ok(TrailerName),
            TrailerName if byte == b':' => Ok(TrailerValue),
            TrailerValue if FIELD_VALUE.has(byte) => Ok(TrailerValue),
            TrailerValue if byte == b'\r' => Ok(TrailerLineFeed),
            TrailerLineFeed if byte == b'\n' => {
                self.trailer_count += 1;
                if self.trailer_count > FIELD_COUNT_MAX {
                    Err(HttpError::FieldsTooLarge)
                } else {
                    Ok(TrailerStart)
                }
            }
            EndLineFeed if byte == b'\n' => Ok(End),
            TrailerStart | TrailerName | TrailerValue | TrailerLineFeed | EndLineFeed => {
                Err(HttpError::FieldLine)
            }
            _ => Err(HttpError::Chunk),
        }
    }

    /// A chunk's first line is whole: its data follows, or after a size of 0 the trailer section.
    fn begin_chunk(&mut self) -> Result<State, HttpError> {
        self.line_bytes = 0;
        if self.chunk_left == 0 {
            return Ok(State::TrailerStart);
        }
        // The size alone decides: what is too large is refused before it is read.
        match usize::try_from(self.chunk_left)
            .ok()
            .and_then(|bytes| self.content_left.checked_sub(bytes))
        {
            Some(left) => self.content_left = left,
            None => return Err(HttpError::ContentTooLarge),
        }
        Ok(State::Data)
    }

    fn count_line_byte(&mut self) -> Result<(), HttpError> {
        use State::*;
        self.line_bytes += 1;
        match self.state {
            SizeStart | Size | SizeSpace | Extension if self.line_bytes > CHUNK_LINE_BYTES_MAX => {
                Err(HttpError::Chunk)
            }
            TrailerStart | TrailerName | TrailerValue
                if self.line_bytes > HEADER_SECTION_BYTES_MAX =>
            {
                Err(HttpError::FieldsTooLarge)
            }
            _ => Ok(()),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTENT_BYTES_MAX: usize = 64;

    /// The content and how many bytes of input it took; `None` while it is incomplete.
    type Outcome = Result<Option<(Vec<u8>, usize)>, HttpError>;

    fn decode_in_pieces(input: &[u8], cuts: &[usize]) -> Outcome {
        let mut decoder = Decoder::new(CONTENT_BYTES_MAX);
        let mut content = Vec::new();
        let mut taken = 0;
        for cut in cuts.iter().map(|&cut| cut.min(input.len())).chain([input.len()]) {
            let content_bytes = content.len();
            content.extend_from_slice(&input[taken..cut.max(taken)]);
            taken = cut.max(taken);
            let progress = decoder.decode(&mut content, content_bytes, content_bytes)?;
            let unread = content.len() - progress.read_at;
            content.truncate(progress.write_at);
            if progress.complete {
                return Ok(Some((content, taken - unread)));
            }
        }
        Ok(None)
    }

    fn check(input: &[u8]) -> Outcome {
        let whole = decode_in_pieces(input, &[]);
        let cuts: Vec<usize> = (0..input.len()).collect();
        assert_eq!(decode_in_pieces(input, &cuts), whole, "byte by byte: {}", input.escape_ascii());
        whole
    }

    #[test]
    fn well_formed() {
        for (input, content) in [
            ("0\r\n\r\n", ""),
            ("000\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            ("0000000000000000000001\r\nx\r\n0\r\n\r\n", "x"),
            ("1;a=b;c=\"d \\\"\"\r\nx\r\n0;e\r\n\r\n", "x"),
            ("1 \t;a\r\nx\r\n0\r\n\r\n", "x"),
            ("1\r\nx\r\n0\r\nContent-Length: 9\r\nX:\ty \r\n\r\n", "x"),
        ] {
            let expected = Ok(Some((content.as_bytes().to_vec(), input.len())));
            assert_eq!(check(input.as_bytes()), expected, "{input:?}");
            let next = format!("{input}GET / HTTP/1.1");
            assert_eq!(check(next.as_bytes()), expected, "with the next request behind it");
        }
    }

    #[test]
    fn malformed() {
        use HttpError as E;
        for (input, expected) in [
            ("\r\n", E::Chunk),
            (" 1\r\n", E::Chunk),
            ("+1\r\n", E::Chunk),
            ("-1\r\n", E::Chunk),
            ("0x1\r\n", E::Chunk),
            ("1_0\r\n", E::Chunk),
            ("g\r\n", E::Chunk),
            (";a\r\n", E::Chunk),
            ("1\n", E::Chunk),
            ("1\rx", E::Chunk),
            ("1 \r\n", E::Chunk),
            ("1 x\r\n", E::Chunk),
            ("1;a\n", E::Chunk),
            ("1;a\0\r\n", E::Chunk),
            ("1;\rx", E::Chunk),
            ("1\r\nxy", E::Chunk),
            ("1\r\nx\n", E::Chunk),
            ("1\r\nx\rx", E::Chunk),
            ("10000000000000000\r\n", E::Chunk),
            ("41\r\n", E::ContentTooLarge),
            ("ffffffffffffffff\r\n", E::ContentTooLarge),
            ("0\r\nX\r\n", E::FieldLine),
            ("0\r\nX : y\r\n", E::FieldLine),
            ("0\r\n: y\r\n", E::FieldLine),
            ("0\r\nX: y\n", E::FieldLine),
            ("0\r\nX: y\rz", E::FieldLine),
            ("0\r\n\n", E::FieldLine),
            ("0\r\n\rx", E::FieldLine),
            ("0\r\n X: y\r\n", E::FieldFolded),
        ] {
            assert_eq!(check(input.as_bytes()), Err(expected), "{input:?}");
        }
    }

    #[test]
    fn limits() {
        let content = "a".repeat(CONTENT_BYTES_MAX);
        assert!(check(format!("40\r\n{content}\r\n0\r\n\r\n").as_bytes()).unwrap().is_some());
        let more = format!("40\r\n{content}\r\n1\r\n");
        assert_eq!(check(more.as_bytes()), Err(HttpError::ContentTooLarge));
        let extension = format!("1;{}", "a".repeat(CHUNK_LINE_BYTES_MAX));
        assert_eq!(check(extension.as_bytes()), Err(HttpError::Chunk));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(FIELD_COUNT_MAX + 1));
        assert_eq!(check(trailers.as_bytes()), Err(HttpError::FieldsTooLarge));
        let trailer = format!("0\r\nX: {}", "a".repeat(HEADER_SECTION_BYTES_MAX));
        assert_eq!(check(trailer.as_bytes()), Err(HttpError::FieldsTooLarge));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 1000 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn every_split_gives_the_same_result(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "0", "1", "5", "a", "ff", "\r\n", "\r\n", "\r\n\r\n", ";", "x", "hello", " ", ":", "\n", "\r", "X: y",
            ]), 0..20),
            mut cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let input = pieces.concat();
            cuts.sort_unstable();
            prop_assert_eq!(decode_in_pieces(input.as_bytes(), &cuts), check(input.as_bytes()));
        }

        #[test]
        fn what_was_encoded_is_decoded(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..8)) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(check(&input), Ok(Some((chunks.concat(), input.len()))));
        }
    }
}
