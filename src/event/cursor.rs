//! A position in a text, and the eight bytes that follow it.
//!
//! Strings and numbers are read a word at a time. A text is short and its number stands near the
//! end, so reading a word must be cheap there too: bytes past the end read as zero. A zero ends a
//! string, a number and a literal alike. A reader that meets a zero calls `peek` to find out whether
//! it is the end of the text.
//!
//! A reader that returns an error leaves the cursor at the fault: the first character, or the first
//! escape of a string, that cannot stand where it stands; the end of the text if the text ends too
//! early. Every valid text that begins with the bytes before the fault goes on differently.

use super::error::EventError;

/// Bytes in a word.
pub(super) const WORD_BYTES: usize = size_of::<u64>();

/// Returns a word that is eight times the same byte.
pub(super) const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; WORD_BYTES])
}

/// A position in a text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    /// The end of `text` that is still to be read. A slice that shrinks needs one comparison for a
    /// step; a slice and an index need two.
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, rest: text }
    }

    /// Returns the next byte, if there is one, and does not step over it.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Returns the number of bytes before the position.
    pub(super) fn offset(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Returns all bytes from the position on.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the next eight bytes, the first one lowest; zeros past the end.
    #[inline(always)]
    pub(super) fn word(&self) -> u64 {
        match self.rest.first_chunk() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => self.last_word(),
        }
    }

    /// Returns the word where fewer than eight bytes are left: the last eight bytes of the text,
    /// those before the position shifted out.
    #[inline(always)]
    fn last_word(&self) -> u64 {
        match self.text.last_chunk::<WORD_BYTES>() {
            Some(chunk) => {
                let passed_bytes = WORD_BYTES - self.rest.len();
                u64::from_le_bytes(*chunk).unbounded_shr(8 * passed_bytes as u32)
            }
            None => self.rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        }
    }

    /// Steps over bytes that the caller has seen.
    #[inline(always)]
    pub(super) fn advance(&mut self, count: usize) {
        self.rest = &self.rest[count..];
    }

    /// Steps over the next byte if it is `byte`.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Steps over white space, and over `byte` if it is the next byte then.
    #[inline(always)]
    pub(super) fn take_token(&mut self, byte: u8) -> bool {
        // White space before a colon or a comma is rare, so it is looked for second.
        self.take(byte) || {
            self.skip_space();
            self.take(byte)
        }
    }

    /// Steps over insignificant white space, RFC 8259 section 2.
    #[inline(always)]
    pub(super) fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Returns the bytes read since `start`, an earlier state of this cursor.
    #[inline(always)]
    pub(super) fn since(&self, start: &Cursor<'a>) -> &'a [u8] {
        &start.rest[..start.rest.len() - self.rest.len()]
    }

    /// Returns the error for a byte that cannot stand here: `error`, or `Truncated` if the text ends
    /// here.
    #[cold]
    pub(super) fn unexpected(&self, error: EventError) -> EventError {
        if self.peek().is_some() { error } else { EventError::Truncated }
    }
}

/// Returns `text` without the white space at its beginning.
#[inline(always)]
pub(super) fn without_space(text: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(text);
    cursor.skip_space();
    cursor.rest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_reads_zeros_past_the_end_at_every_position_of_every_length() {
        let bytes: Vec<u8> = (1..=40).collect();
        for len in 0..=bytes.len() {
            for at in 0..=len {
                let mut cursor = Cursor::new(&bytes[..len]);
                cursor.advance(at);
                let mut expected = [0; WORD_BYTES];
                let seen = cursor.rest().len().min(WORD_BYTES);
                expected[..seen].copy_from_slice(&cursor.rest()[..seen]);
                assert_eq!(cursor.word(), u64::from_le_bytes(expected), "{at} of {len}");
                assert_eq!(cursor.offset(), at);
            }
        }
    }

    #[test]
    fn white_space_is_four_characters_and_no_others() {
        for byte in 0..=u8::MAX {
            let text = [byte];
            let mut cursor = Cursor::new(&text);
            cursor.skip_space();
            assert_eq!(cursor.peek().is_none(), b" \t\n\r".contains(&byte), "{byte:#04x}");
        }
    }
}
