//! The event body: JSON text in, user id and value out.
//!
//! One walk over the bytes does everything: it proves that the body is exactly one JSON text
//! (RFC 8259) and remembers where the two members stand that count. There is no tree, no
//! allocation, no recursion and no copy but that of an id with escapes. No second parser takes a
//! short cut for the usual body either: the one parser works in words of eight bytes (`cursor`),
//! which makes the usual body cheap and leaves nothing to disagree with.
//!
//! Left out: what an event means (`app`), and any JSON that is not an event.
//!
//! ```text
//! mod     what the caller sees            json    objects, arrays, members, depth
//! error   one variant a cause             string  the closing quote, escapes, UTF-8
//! cursor  a position; eight bytes a look  number  the grammar, the nearest double
//! ```

mod cursor;
mod error;
mod json;
mod number;
#[cfg(any(test, fuzzing))]
mod oracle;
mod plain;
mod string;
#[cfg(test)]
mod tests;
mod usual;

pub use error::EventError;
#[cfg(any(test, fuzzing))]
pub use oracle::fuzz;

use crate::limits::USER_ID_BYTES_MAX;
use string::RawString;

/// A valid event. `parse` makes no other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// The unescaped id: 1 to [`USER_ID_BYTES_MAX`] bytes of UTF-8. Any character may stand in
    /// it, U+0000 too.
    pub user_id: &'a [u8],
    /// Finite; the double nearest to the decimal text, ties to even. May be `-0.0`.
    pub value: f64,
}

/// Room for one unescaped user id, owned by the caller and used again for each event.
pub struct Scratch {
    bytes: [u8; USER_ID_BYTES_MAX],
}

impl Scratch {
    /// Room that holds nothing yet.
    pub const fn new() -> Self {
        Self { bytes: [0; USER_ID_BYTES_MAX] }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads an event from the whole content of a request.
///
/// The id is borrowed from `body`, or from `scratch` if it was written with escapes.
///
/// # Errors
///
/// The first fault in the JSON text if there is one, else what is wrong with `userId`, else what
/// is wrong with `value`. Members are judged by their last occurrence.
pub fn parse<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<Event<'a>, EventError> {
    match usual::read(body) {
        Some(event) => Ok(event),
        None => parse_any(body, scratch),
    }
}

/// Reads any event, the usual ones too.
fn parse_any<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<Event<'a>, EventError> {
    let members = json::read_members(body)?;
    let user_id = user_id(members.user_id?, scratch)?;
    Ok(Event { user_id, value: members.value? })
}

fn user_id<'a>(raw: RawString<'a>, scratch: &'a mut Scratch) -> Result<&'a [u8], EventError> {
    let id = raw.unescape(&mut scratch.bytes).ok_or(EventError::UserIdTooLong)?;
    match id.len() {
        0 => Err(EventError::UserIdEmpty),
        1..=USER_ID_BYTES_MAX => Ok(id),
        _ => Err(EventError::UserIdTooLong),
    }
}
