//! The white space of HTTP: SP and HTAB (RFC 9110, 5.6.3).

use std::ops::Range;

/// Returns whether `byte` is SP or HTAB, the bytes of `OWS` and `BWS`.
#[inline(always)]
pub fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns the part of a range of `bytes` without the white space at its two ends.
#[inline(always)]
pub fn trim(bytes: &[u8], Range { mut start, mut end }: Range<usize>) -> Range<usize> {
    while start < end && is_white_space(bytes[start]) {
        start += 1;
    }
    while start < end && is_white_space(bytes[end - 1]) {
        end -= 1;
    }
    start..end
}

/// Returns `bytes` without the white space at its two ends.
pub fn trim_all(bytes: &[u8]) -> &[u8] {
    &bytes[trim(bytes, 0..bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_space_and_tab_are_taken_away() {
        for (text, expected) in
            [("", ""), (" \t ", ""), ("\t a b ", "a b"), ("a", "a"), ("\u{b}a\r", "\u{b}a\r")]
        {
            assert_eq!(trim_all(text.as_bytes()), expected.as_bytes(), "{text:?}");
        }
        assert_eq!(trim(b"x  y  z", 1..6), 3..4);
    }
}
