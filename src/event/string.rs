//! Strings: RFC 8259 section 7.
//!
//! One look at eight bytes finds the first closing quote, backslash or control character, and notes
//! whether a byte before it is not ASCII. Only if there is such a byte, std checks that the string is
//! UTF-8, once for the whole string: escapes are ASCII and cannot make UTF-8 valid or invalid.
//! Reading proves that the string is valid. Unescaping is a step of its own, because only an id or a
//! name with a backslash needs it.

use super::cursor::{Cursor, WORD_BYTES, repeat};
use super::error::EventError;

/// The text between two quotes: valid, its escapes as they were written.
#[derive(Clone, Copy)]
pub(super) struct RawString<'a> {
    text: &'a [u8],
    has_escapes: bool,
}

impl<'a> RawString<'a> {
    /// Reads a string whose opening quote has been taken, and takes the closing quote.
    #[inline(always)]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, EventError> {
        let start = cursor.clone();
        let mut non_ascii = 0;
        let mut has_escapes = false;
        loop {
            let word = cursor.word();
            let stops = stops(word);
            // The bits below the lowest stop. Those above it that stay set are stops, thus ASCII.
            non_ascii |= word & HIGH_BITS & stops.wrapping_sub(1);
            if stops == 0 {
                cursor.advance(WORD_BYTES);
                continue;
            }
            cursor.advance(stops.trailing_zeros() as usize / 8);
            match cursor.peek() {
                Some(b'"') => break,
                Some(b'\\') => match decode_escape(cursor.rest()) {
                    Ok((_, escape_bytes)) => {
                        cursor.advance(escape_bytes);
                        has_escapes = true;
                    }
                    Err(error) => return Err(first_fault(start, cursor, error)),
                },
                _ => {
                    let error = cursor.unexpected(EventError::ControlCharacter);
                    return Err(first_fault(start, cursor, error));
                }
            }
        }
        let text = cursor.since(&start);
        if non_ascii != 0 && str::from_utf8(text).is_err() {
            return Err(first_fault(start, cursor, EventError::Utf8Invalid));
        }
        cursor.advance(1);
        Ok(Self { text, has_escapes })
    }

    /// Returns the unescaped bytes: the text itself where nothing is escaped, else written to
    /// `room`. Returns `None` if `room` is too small.
    #[inline(always)]
    pub(super) fn unescape<'b>(self, room: &'b mut [u8]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if self.has_escapes { unescape(self.text, room) } else { Some(self.text) }
    }
}

/// Returns the first fault of a string that begins at `start` and has the fault `error` at the
/// cursor: that one, unless bytes before it are not UTF-8. Moves the cursor to the fault.
#[cold]
#[inline(never)]
fn first_fault<'a>(start: Cursor<'a>, cursor: &mut Cursor<'a>, error: EventError) -> EventError {
    if let Err(fault) = str::from_utf8(cursor.since(&start)) {
        // The end of the text may cut a character that is valid so far; nothing else may.
        if fault.error_len().is_some() || cursor.peek().is_some() {
            *cursor = start;
            cursor.advance(fault.valid_up_to());
            return EventError::Utf8Invalid;
        }
    }
    if error == EventError::Truncated {
        // The end of the text may also cut an escape, at whose backslash the cursor stands.
        cursor.advance(cursor.rest().len());
    }
    error
}

#[cold]
fn unescape<'b>(mut text: &[u8], room: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut len = 0;
    // Runs between escapes are short: a plain loop finds the next backslash faster than memchr.
    while let Some(plain_bytes) = text.iter().position(|&byte| byte == b'\\') {
        let (plain, escaped) = text.split_at(plain_bytes);
        // `read` has decoded this escape before.
        let (character, escape_bytes) = decode_escape(escaped).ok()?;
        let character_at = len + plain_bytes;
        room.get_mut(len..character_at)?.copy_from_slice(plain);
        len = character_at + character.len_utf8();
        character.encode_utf8(room.get_mut(character_at..len)?);
        text = &escaped[escape_bytes..];
    }
    let end = len + text.len();
    room.get_mut(len..end)?.copy_from_slice(text);
    Some(&room[..end])
}

/// Decodes the escape at the beginning of `text`. Returns the character, and the number of bytes of
/// the escape.
fn decode_escape(text: &[u8]) -> Result<(char, usize), EventError> {
    let character = match *text.get(1).ok_or(EventError::Truncated)? {
        b'u' => return decode_unicode_escape(text),
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return Err(EventError::EscapeInvalid),
    };
    Ok((character, 2))
}

/// Decodes `\uXXXX`, or two of them if they are a surrogate pair.
fn decode_unicode_escape(text: &[u8]) -> Result<(char, usize), EventError> {
    let unit = decode_code_unit(&text[2..])?;
    if let Some(character) = char::from_u32(u32::from(unit)) {
        return Ok((character, 6));
    }
    let second = match &text[6..] {
        _ if unit >= LOW_SURROGATES_START => return Err(EventError::SurrogateLone),
        [b'\\', b'u', second @ ..] => second,
        [] | [b'\\'] => return Err(EventError::Truncated),
        _ => return Err(EventError::SurrogateLone),
    };
    match char::decode_utf16([unit, decode_code_unit(second)?]).next() {
        Some(Ok(character)) => Ok((character, 12)),
        _ => Err(EventError::SurrogateLone),
    }
}

/// The second half of a surrogate pair begins here; the first halves lie below.
const LOW_SURROGATES_START: u16 = 0xDC00;

/// Decodes four hexadecimal digits of either case.
fn decode_code_unit(text: &[u8]) -> Result<u16, EventError> {
    let Some(digits) = text.first_chunk::<4>() else {
        let are_digits = text.iter().all(u8::is_ascii_hexdigit);
        return Err(if are_digits { EventError::Truncated } else { EventError::EscapeInvalid });
    };
    let [a, b, c, d] = digits.map(|digit| u16::from(HEX_DIGITS[usize::from(digit)]));
    if (a | b | c | d) > 0xF {
        return Err(EventError::EscapeInvalid);
    }
    Ok(a << 12 | b << 8 | c << 4 | d)
}

/// The value of each byte as a hexadecimal digit; more than 15 if it is not one.
const HEX_DIGITS: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

const HIGH_BITS: u64 = repeat(0x80);

/// Marks quotes, backslashes and control characters in the high bit of their byte.
///
/// The lowest mark is exact. Subtraction borrows from the byte above a marked one, so marks above the
/// lowest may be wrong; but no mark is ever on a byte that is not ASCII. ("Determine if a word has a
/// byte less than n", Anderson, Bit Twiddling Hacks.)
#[inline(always)]
fn stops(word: u64) -> u64 {
    let quote = (word ^ repeat(b'"')).wrapping_sub(repeat(1));
    let backslash = (word ^ repeat(b'\\')).wrapping_sub(repeat(1));
    let control = word.wrapping_sub(repeat(b' '));
    (quote | backslash | control) & !word & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_stop_is_exact_for_every_pair_of_bytes_at_every_place() {
        let is_stop = |byte: u8| matches!(byte, b'"' | b'\\' | 0..=0x1F);
        for place in 0..WORD_BYTES - 1 {
            for pair in (0..=u16::MAX).step_by(if cfg!(miri) { 251 } else { 1 }) {
                let mut bytes = [b'a'; WORD_BYTES];
                bytes[place..place + 2].copy_from_slice(&pair.to_le_bytes());
                let expected = bytes.iter().position(|&byte| is_stop(byte)).unwrap_or(WORD_BYTES);
                let marks = stops(u64::from_le_bytes(bytes));
                assert_eq!(marks.trailing_zeros() as usize / 8, expected, "{bytes:02x?}");
                assert_eq!(marks & u64::from_le_bytes(bytes) & HIGH_BITS, 0, "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn hexadecimal_digits_are_those_of_std() {
        for byte in 0..=u8::MAX {
            let expected = char::from(byte).to_digit(16);
            let value = Some(HEX_DIGITS[usize::from(byte)].into()).filter(|&value| value < 16);
            assert_eq!(value, expected, "{byte:#04x}");
        }
    }

    #[test]
    fn every_code_unit_decodes_alone_unless_it_is_a_surrogate() {
        for unit in (0..=u16::MAX).step_by(if cfg!(miri) { 251 } else { 1 }) {
            let expected = char::from_u32(unit.into()).map(|c| (c, 6));
            for text in [format!("\\u{unit:04x}\""), format!("\\u{unit:04X}\"")] {
                let decoded = decode_escape(text.as_bytes());
                assert_eq!(decoded, expected.ok_or(EventError::SurrogateLone), "{text}");
            }
        }
    }

    #[test]
    fn every_supplementary_character_decodes_from_its_pair() {
        for character in ('\u{10000}'..=char::MAX).step_by(if cfg!(miri) { 65_521 } else { 1 }) {
            let mut units = [0; 2];
            character.encode_utf16(&mut units);
            let text = format!("\\u{:04x}\\u{:04X}", units[0], units[1]);
            assert_eq!(decode_escape(text.as_bytes()), Ok((character, 12)), "{text}");
        }
    }

    #[test]
    fn unescape_uses_all_of_the_room_and_no_more() {
        let text = br"a\u00e4\n";
        assert_eq!(unescape(text, &mut [0; 4]), Some("a\u{e4}\n".as_bytes()));
        for room_bytes in 0..4 {
            assert_eq!(unescape(text, &mut [0; 4][..room_bytes]), None);
        }
    }
}
