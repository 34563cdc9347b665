//! The head read last, because the next one is nearly always the same.
//!
//! A client repeats its head with every request. Only the digits of `Content-Length` change. So a
//! worker remembers one head, in two parts around those digits, and compares. A head that equals it
//! byte for byte has the same meaning, and nothing has to be judged again. A head that differs in any
//! other byte is parsed.

use super::framing::Framing;
use super::head::Head;
use super::span::Span;
use crate::limits::{REMEMBERED_DIGITS_MAX, REMEMBERED_HEAD_BYTES_MAX};

/// A remembered head.
#[derive(Debug)]
pub struct Memo {
    /// The head without the digits of its `Content-Length`.
    bytes: [u8; REMEMBERED_HEAD_BYTES_MAX],
    /// How many of `bytes` are before the digits; all of them if there is no such field.
    before: usize,
    /// How many of `bytes` are in use; 0 if no head is remembered.
    length: usize,
    /// The meaning of the head, except its length and its framing.
    head: Head,
}

impl Default for Memo {
    fn default() -> Self {
        Memo { bytes: [0; REMEMBERED_HEAD_BYTES_MAX], before: 0, length: 0, head: Head::default() }
    }
}

impl Memo {
    /// Returns the meaning of the head at the start of `input`, if it is the remembered one. Behind it
    /// are the length of the head and that of the content, which replace those in the meaning.
    #[inline(always)]
    pub fn recall(&self, input: &[u8]) -> Option<(&Head, usize, u64)> {
        let (before, after) = self.bytes[..self.length].split_at(self.before);
        if before.is_empty() || !begins_with(input, before) {
            return None;
        }
        if after.is_empty() {
            return Some((&self.head, self.length, 0));
        }
        let (content_bytes, digits) = number(&input[before.len()..])?;
        if !begins_with(&input[before.len() + digits..], after) {
            return None;
        }
        Some((&self.head, self.length + digits, content_bytes))
    }

    /// Remembers the head at the start of `input` in place of any other, unless it is too long or its
    /// content is chunked. `digits` is where the value of its `Content-Length` is.
    #[cold]
    pub fn remember(&mut self, input: &[u8], head: &Head, digits: Option<Span>) {
        let digits = digits.map_or(head.length..head.length, Span::range);
        let length = head.length - digits.len();
        if length > REMEMBERED_HEAD_BYTES_MAX || head.framing == Framing::Chunked {
            return;
        }
        self.before = digits.start;
        self.length = length;
        self.bytes[..digits.start].copy_from_slice(&input[..digits.start]);
        self.bytes[digits.start..length].copy_from_slice(&input[digits.end..head.length]);
        self.head = *head;
    }
}

/// The decimal number at the start of `input`, and how many digits it has: at least one, at most
/// [`REMEMBERED_DIGITS_MAX`].
#[inline(always)]
fn number(input: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (digits, byte) in input.iter().enumerate().take(REMEMBERED_DIGITS_MAX + 1) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (digits > 0).then_some((value, digits));
        }
        value = value * 10 + u64::from(digit);
    }
    None
}

/// Bytes that are compared at a time: two vector registers.
const BLOCK_BYTES: usize = 32;

/// `input.starts_with(start)`, without a call: a head is so short that the call would cost more than
/// the comparison, and the C library of the static binary compares one byte at a time. `start` has at
/// least four bytes, since an empty line ends every head.
#[inline(always)]
fn begins_with(input: &[u8], start: &[u8]) -> bool {
    debug_assert!(start.len() >= 4);
    let Some(input) = input.get(..start.len()) else { return false };
    match (input.last_chunk(), start.last_chunk()) {
        (Some(a_end), Some(b_end)) => same_blocks(input, start, difference(a_end, b_end)),
        _ => same_fours(input, start),
    }
}

/// Whether two slices of one length are the same up to their last block, of which `difference` is the
/// difference; that block may overlap the one before it.
///
/// The differences of all blocks are gathered and judged once. Heads nearly always are the same, so a
/// branch for each block would only cost time.
#[inline(always)]
fn same_blocks(a: &[u8], b: &[u8], mut difference: [u64; 4]) -> bool {
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        let other = self::difference(a, b);
        for (all, word) in difference.iter_mut().zip(other) {
            *all |= word;
        }
    }
    (difference[0] | difference[2]) | (difference[1] | difference[3]) == 0
}

/// The bits in which two blocks differ.
#[inline(always)]
fn difference(a: &[u8; BLOCK_BYTES], b: &[u8; BLOCK_BYTES]) -> [u64; 4] {
    let (a, b) = (a.as_chunks().0, b.as_chunks().0);
    std::array::from_fn(|i| u64::from_ne_bytes(a[i]) ^ u64::from_ne_bytes(b[i]))
}

/// Whether two slices of one length, at least four bytes, are the same.
#[inline(always)]
fn same_fours(a: &[u8], b: &[u8]) -> bool {
    // The last four bytes may overlap those before them.
    a.last_chunk::<4>() == b.last_chunk()
        && a.as_chunks::<4>().0.iter().zip(b.as_chunks().0).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::head::tests::piece;
    use crate::http::head::{Parsed, Parser};

    fn read(input: &[u8]) -> Option<(Head, Option<Span>)> {
        let mut parser = Parser::default();
        match parser.parse(input) {
            Ok(Parsed::Complete(head)) => Some((head, parser.content_length_digits())),
            _ => None,
        }
    }

    /// The meaning that `memo` finds, in the form that the parser gives it.
    fn recall(memo: &Memo, input: &[u8]) -> Option<Head> {
        let (&head, length, content_bytes) = memo.recall(input)?;
        Some(Head { length, framing: Framing::Length(content_bytes), ..head })
    }

    fn remembering(input: &str) -> Memo {
        let (head, digits) = read(input.as_bytes()).unwrap();
        let mut memo = Memo::default();
        memo.remember(input.as_bytes(), &head, digits);
        memo
    }

    #[test]
    fn the_same_head_with_any_number_is_recalled() {
        let request = |length: &str| {
            format!(
                "POST /event HTTP/1.1\r\nHost: h\r\nContent-Length: {length} \r\nX: y\r\n\r\nbody"
            )
        };
        let memo = remembering(&request("7"));
        for length in ["0", "7", "42", "00042", "65536", "123456789"] {
            let input = request(length);
            assert_eq!(recall(&memo, input.as_bytes()), Some(read(input.as_bytes()).unwrap().0));
        }
        for length in ["", "-1", "+1", "1x", "1 1", "1234567890", "18446744073709551616"] {
            assert_eq!(recall(&memo, request(length).as_bytes()), None, "{length}");
        }
    }

    #[test]
    fn a_head_that_differs_or_is_incomplete_is_not_recalled() {
        let input = "POST /event HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nX: y\r\n\r\n";
        let memo = remembering(input);
        for at in 0..input.len() {
            assert_eq!(recall(&memo, &input.as_bytes()[..at]), None);
            let mut other = input.as_bytes().to_vec();
            other[at] ^= 0x20;
            assert_eq!(recall(&memo, &other), None, "{at}");
        }
        assert_eq!(recall(&Memo::default(), input.as_bytes()), None);
    }

    #[test]
    fn a_long_head_is_not_remembered() {
        let input = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(600));
        assert_eq!(recall(&remembering(&input), input.as_bytes()), None);
    }

    #[test]
    fn every_length_is_compared_to_the_last_byte() {
        let bytes: Vec<u8> = (0..200).collect();
        for length in 4..bytes.len() {
            assert!(begins_with(&bytes, &bytes[..length]));
            assert!(!begins_with(&bytes[..length - 1], &bytes[..length]));
            for place in 0..length {
                let mut other = bytes[..length].to_vec();
                other[place] ^= 1;
                assert!(!begins_with(&bytes, &other), "{place} of {length}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 2000 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_recalled_head_has_the_meaning_that_the_parser_gives_it(
            first in proptest::collection::vec(piece(), 0..12),
            second in proptest::collection::vec(piece(), 0..12),
        ) {
            let mut memo = Memo::default();
            for input in [first.concat(), second.concat(), first.concat()] {
                let outcome = read(&input);
                if let Some(recalled) = recall(&memo, &input) {
                    prop_assert_eq!(Some(recalled), outcome.map(|(head, _)| head));
                }
                if let Some((head, digits)) = outcome {
                    memo.remember(&input, &head, digits);
                    prop_assert!(
                        head.framing == Framing::Chunked || recall(&memo, &input) == Some(head)
                    );
                }
            }
        }
    }
}
