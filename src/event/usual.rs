//! The text that nearly every client sends, read at one go:
//!
//! ```text
//! {"userId":"user_42","value":499.5}        also with one space behind each colon and comma
//! ```
//!
//! A reader of known text has no choices to make, so it is several times as fast as one of any
//! JSON. What it takes it reads as the others do; `None` says nothing, and they decide.

use super::Event;
use super::cursor::WORD_BYTES;
use super::number::Number;
use super::plain::{LOOK_BYTES, plain_count};
use crate::limits::USER_ID_BYTES_MAX;

/// The event, if `body` is the usual text.
#[inline(always)]
pub(super) fn read(body: &[u8]) -> Option<Event<'_>> {
    let id_at = end_of(body, 0, b"{\"userId\":\"", b"{\"userId\": \"")?;
    let mut id_end = id_at;
    loop {
        let count = plain_count(body.get(id_end..)?.first_chunk()?);
        id_end += count;
        if count < LOOK_BYTES {
            break;
        }
    }
    let user_id = &body[id_at..id_end];
    if !(1..=USER_ID_BYTES_MAX).contains(&user_id.len()) {
        return None;
    }
    let number_at = end_of(body, id_end, b"\",\"value\":", b"\", \"value\": ")?;
    // The number stands at the end: the last word of the body without what comes before it.
    let word = u64::from_le_bytes(*body.last_chunk()?);
    let known_bytes = WORD_BYTES.checked_sub(body.len() - number_at)?;
    let (value, number_bytes) = Number::in_word(word.unbounded_shr(8 * known_bytes as u32))?;
    (&body[number_at + number_bytes..] == b"}").then_some(Event { user_id, value })
}

/// Where in `body` the text at `at` ends, if it is one of two: written as most programs do, or with
/// spaces as others do.
#[inline(always)]
fn end_of<const N: usize, const M: usize>(
    body: &[u8],
    at: usize,
    dense: &[u8; N],
    spaced: &[u8; M],
) -> Option<usize> {
    let text = &body[at..];
    if text.first_chunk() == Some(dense) {
        Some(at + N)
    } else {
        (text.first_chunk() == Some(spaced)).then_some(at + M)
    }
}
