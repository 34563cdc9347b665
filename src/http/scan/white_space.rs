//! The white space of HTTP: SP and HTAB (RFC 9110, 5.6.3).

use std::ops::Range;

use super::FIELD_VALUE;

/// Returns whether `byte` is SP or HTAB, the bytes of `OWS` and `BWS`.
#[inline(always)]
pub fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns the part of a range of `bytes` without the white space at its two ends. The range is part
/// of a valid field value, in which HTAB is the only control character.
#[inline(always)]
pub fn trim(bytes: &[u8], Range { mut start, mut end }: Range<usize>) -> Range<usize> {
    // One comparison for both bytes of white space.
    let is_white_space = |byte: u8| byte <= b' ';
    debug_assert!(bytes[start..end].iter().all(|&byte| FIELD_VALUE.has(byte)));
    while start < end && is_white_space(bytes[start]) {
        start += 1;
    }
    while start < end && is_white_space(bytes[end - 1]) {
        end -= 1;
    }
    start..end
}

/// Returns a part of a valid field value without the white space at its two ends.
pub fn trim_all(part: &[u8]) -> &[u8] {
    &part[trim(part, 0..part.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_and_tab_are_taken_away() {
        for (text, expected) in
            [("", ""), (" \t ", ""), ("\t a\tb ", "a\tb"), ("a", "a"), ("\u{e4} ", "\u{e4}")]
        {
            assert_eq!(trim_all(text.as_bytes()), expected.as_bytes(), "{text:?}");
        }
        assert_eq!(trim(b"x  y  z", 1..6), 3..4);
    }
}
