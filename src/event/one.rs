//! One event in a body, and nothing else: the body of `/event`.

use super::cursor::Cursor;
use super::error::EventError;
use super::json;
use super::model::{Event, Scratch};
use super::usual;

/// Reads an event from the whole content of a request.
///
/// The id is borrowed from `body`, or from `scratch` if it was written with escapes.
///
/// # Errors
///
/// The first fault in the JSON text if there is one, else the fault of `userId`, else the fault of
/// `value`. Members are judged by their last occurrence.
pub fn parse<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<Event<'a>, EventError> {
    match usual::read(body) {
        Some(event) => Ok(event),
        None => parse_any(body, scratch),
    }
}

/// Reads any event, the usual ones too.
pub(super) fn parse_any<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<Event<'a>, EventError> {
    json::read_text(&mut Cursor::new(body))?.into_event(scratch)
}
