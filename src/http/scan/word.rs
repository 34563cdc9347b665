//! A search through eight bytes at a time (SWAR), in safe and portable code.
//!
//! A field value must not hold a byte below 0x20 other than HTAB, nor DEL. For a word `w` of eight
//! bytes, with `L = 0x0101…` and `H = 0x8080…`:
//!
//! ```text
//! below(w, n) = (w - L*n) & !w & H      high bit set in each byte < n        (n <= 128)
//! equal(w, c) = below(w ^ L*c, 1)       high bit set in each byte == c
//! ```
//!
//! A borrow can set high bits above the first true hit, but never below it. So the lowest set bit is
//! always right, and no other bit is used (Bit Twiddling Hacks, "hasless"). The mask also marks HTAB,
//! which is so rare that it is looked at on its own.

use super::FIELD_VALUE;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const WORD_BYTES: usize = size_of::<u64>();

/// Returns how many bytes at the start of `bytes` may be part of a field value (RFC 9110, 5.5).
#[inline(always)]
pub fn field_value_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<WORD_BYTES>() {
        let suspects = suspects(u64::from_le_bytes(*word));
        if suspects == 0 {
            at += WORD_BYTES;
            continue;
        }
        at += suspects.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    at + FIELD_VALUE.run_length(&bytes[at..])
}

/// Returns a mask whose lowest set bit marks the first control character.
#[inline(always)]
fn suspects(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let is_delete = word ^ (ONES * 0x7f);
    let is_delete = is_delete.wrapping_sub(ONES) & !is_delete;
    (below_space | is_delete) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_in_every_length_agrees_with_the_table() {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    assert_eq!(field_value_length(&bytes), FIELD_VALUE.run_length(&bytes));
                }
            }
        }
    }

    #[test]
    fn neighbours_cannot_hide_or_invent_a_hit() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let bytes = [b'x', first, second, b'y', 0x80, 0x7e, 0x20, 0x21, b'z'];
                assert_eq!(field_value_length(&bytes), FIELD_VALUE.run_length(&bytes));
            }
        }
    }
}
