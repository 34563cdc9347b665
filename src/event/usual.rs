//! The text that nearly every client sends, read at one go:
//!
//! ```text
//! {"userId":"user_42","value":499.5}        also with one space behind each colon and comma
//! ```
//!
//! A reader of known text has no choices to make, so it is several times as fast as a reader of any
//! JSON. It is a second parser, but it decides little: it accepts only what the general parser
//! accepts, with the same id and the same value, and it refuses nothing. `None` means that the general
//! parser must read the text. Tests and fuzz targets read every event both ways and compare.

use super::cursor::{Cursor, WORD_BYTES};
use super::model::Event;
use super::number::Number;
use super::plain::{LOOK_BYTES, plain_count};
use crate::limits::USER_ID_BYTES_MAX;

/// Returns the event if `body` is the usual text and nothing else.
#[inline(always)]
pub(super) fn read(body: &[u8]) -> Option<Event<'_>> {
    let (user_id, number_at) = read_user_id(body)?;
    // The number stands at the end: the last word of the body without what comes before it.
    let word = u64::from_le_bytes(*body.last_chunk()?);
    let known_bytes = WORD_BYTES.checked_sub(body.len() - number_at)?;
    let (value, number_bytes) = Number::in_word(word.unbounded_shr(8 * known_bytes as u32))?;
    (&body[number_at + number_bytes..] == b"}").then_some(Event { user_id, value })
}

/// Returns the event if `text` begins with the usual text, and what follows the closing brace. The
/// number may be of any kind: this reader finds its end without the end of the text.
#[inline(always)]
pub(super) fn read_first(text: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let (user_id, number_at) = read_user_id(text)?;
    let number = &text[number_at..];
    let in_word = number.first_chunk().and_then(|word| Number::in_word(u64::from_le_bytes(*word)));
    let (value, number_bytes) = match in_word {
        Some(value) => value,
        None => read_other_number(number)?,
    };
    match &number[number_bytes..] {
        [b'}', rest @ ..] => Some((Event { user_id, value }, rest)),
        _ => None,
    }
}

/// Returns the value of the number at the beginning of `text`, and the number of its bytes, if it is
/// valid: negative, long, with an exponent, or near the end of the text.
#[inline(never)]
fn read_other_number(text: &[u8]) -> Option<(f64, usize)> {
    let mut cursor = Cursor::new(text);
    let value = Number::read(&mut cursor).ok()?.to_f64();
    value.is_finite().then_some((value, cursor.offset()))
}

/// Returns the id, and where the number begins.
#[inline(always)]
fn read_user_id(text: &[u8]) -> Option<(&[u8], usize)> {
    let id_at = end_of(text, 0, b"{\"userId\":\"", b"{\"userId\": \"")?;
    let mut id_end = id_at;
    loop {
        let count = plain_count(text.get(id_end..)?.first_chunk()?);
        id_end += count;
        if count < LOOK_BYTES {
            break;
        }
    }
    let user_id = &text[id_at..id_end];
    if !(1..=USER_ID_BYTES_MAX).contains(&user_id.len()) {
        return None;
    }
    Some((user_id, end_of(text, id_end, b"\",\"value\":", b"\", \"value\": ")?))
}

/// Returns where in `text` the words at `at` end, if they are one of two: written as most programs do,
/// or with spaces as others do.
#[inline(always)]
fn end_of<const N: usize, const M: usize>(
    text: &[u8],
    at: usize,
    dense: &[u8; N],
    spaced: &[u8; M],
) -> Option<usize> {
    let text = &text[at..];
    if text.first_chunk().is_some_and(|text| is_equal(text, dense)) {
        Some(at + N)
    } else {
        text.first_chunk().is_some_and(|text| is_equal(text, spaced)).then_some(at + M)
    }
}

/// Returns whether two texts of 8 to 12 bytes are equal. Two looks, which may overlap, are fewer
/// instructions than what the compiler makes of `==` for an odd length.
#[inline(always)]
fn is_equal<const N: usize>(text: &[u8; N], other: &[u8; N]) -> bool {
    const { assert!(8 <= N && N <= 12) };
    text.first_chunk::<8>() == other.first_chunk::<8>()
        && text.last_chunk::<4>() == other.last_chunk::<4>()
}
