//! A position in a body, and the eight bytes that follow it.
//!
//! Strings and numbers are read a word at a time. A body is short and its number stands at the
//! very end, so the word must be cheap there too: bytes past the end read as zero, which ends a
//! string, a number and a literal alike. Who meets that zero asks `peek` whether it was the end.

use super::EventError;

/// Bytes in a word.
pub(super) const WORD_BYTES: usize = size_of::<u64>();

/// A word of eight times the same byte.
pub(super) const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; WORD_BYTES])
}

/// A position in a body.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    body: &'a [u8],
    /// The end of `body` that is still to be read. A slice that shrinks needs one comparison a
    /// step where a slice and an index need two.
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, rest: body }
    }

    /// The next byte, if any, left where it is.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// All that is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next eight bytes, the first one lowest; zeros past the end.
    #[inline(always)]
    pub(super) fn word(&self) -> u64 {
        match self.rest.first_chunk() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => self.last_word(),
        }
    }

    /// `word` where fewer than eight bytes are left: the last eight, the known ones shifted out.
    #[inline(always)]
    fn last_word(&self) -> u64 {
        match self.body.last_chunk::<WORD_BYTES>() {
            Some(chunk) => {
                let known_bytes = WORD_BYTES - self.rest.len();
                u64::from_le_bytes(*chunk).unbounded_shr(8 * known_bytes as u32)
            }
            None => self.rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        }
    }

    /// Steps over bytes the caller has seen.
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

    /// Steps over white space and then `byte`, if that is what comes; else only over white space.
    #[inline(always)]
    pub(super) fn take_token(&mut self, byte: u8) -> bool {
        // White space before a colon or a comma is rare, so look for it second.
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

    /// What was read since `start`, an earlier state of this cursor.
    #[inline(always)]
    pub(super) fn since(&self, start: &Cursor<'a>) -> &'a [u8] {
        &start.rest[..start.rest.len() - self.rest.len()]
    }

    /// The error for a byte that cannot stand here: `error`, unless the text just ends.
    #[cold]
    pub(super) fn unexpected(&self, error: EventError) -> EventError {
        if self.peek().is_some() { error } else { EventError::Truncated }
    }
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
