//! Counts the plain characters among sixteen bytes of a string, in one look.
//!
//! On x86-64 a look uses SSE2, which every such processor has, so nothing is detected at run time.
//! Elsewhere it is a loop over bytes.

/// Bytes of one look.
pub(super) const LOOK_BYTES: usize = 16;

/// Returns the number of bytes before the first one that is not a plain character of a JSON string:
/// a quote, a backslash, a control character, or a byte that is not ASCII. Returns [`LOOK_BYTES`] if
/// all are plain.
#[inline(always)]
pub(super) fn plain_count(bytes: &[u8; LOOK_BYTES]) -> usize {
    #[cfg(target_arch = "x86_64")]
    return sse2::plain_count(bytes);
    #[cfg(not(target_arch = "x86_64"))]
    portable(bytes)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(bytes: &[u8; LOOK_BYTES]) -> usize {
    let is_special = |&byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x80..=0xff);
    bytes.iter().position(is_special).unwrap_or(LOOK_BYTES)
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    #![allow(unsafe_code)] // SSE2 is part of x86-64, which the language does not take into account.

    use std::arch::x86_64::*;

    #[inline(always)]
    pub fn plain_count(bytes: &[u8; 16]) -> usize {
        // SAFETY: every x86-64 has SSE2; sixteen bytes are there, and need not be aligned.
        let look = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        // SAFETY: every x86-64 has SSE2.
        let special = unsafe { special(look) };
        // The bit above that of the last byte ends the count if no other bit does.
        (special | 1 << 16).trailing_zeros() as usize
    }

    /// Returns a set bit for each byte that is not plain.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn special(look: __m128i) -> i32 {
        // As signed numbers, bytes that are not ASCII are below the space as well.
        let control_or_not_ascii = _mm_cmplt_epi8(look, _mm_set1_epi8(b' ' as i8));
        let quote = _mm_cmpeq_epi8(look, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(look, _mm_set1_epi8(b'\\' as i8));
        _mm_movemask_epi8(_mm_or_si128(control_or_not_ascii, _mm_or_si128(quote, backslash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_on_every_byte_at_every_place() {
        assert_eq!(plain_count(b"abcdefghijklmnop"), LOOK_BYTES);
        for place in 0..LOOK_BYTES {
            for byte in 0..=u8::MAX {
                for filler in [b'a', b'"', 0x7f] {
                    let mut bytes = [b'a'; LOOK_BYTES];
                    bytes[place..].fill(filler);
                    bytes[place] = byte;
                    let is_plain = (0x20..0x80).contains(&byte) && byte != b'"' && byte != b'\\';
                    assert_eq!(plain_count(&bytes) > place, is_plain);
                    assert_eq!(plain_count(&bytes), portable(&bytes));
                }
            }
        }
    }
}
