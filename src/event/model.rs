//! An event, and the room in which a reader unescapes its id.

use crate::limits::USER_ID_BYTES_MAX;

/// A valid event: this room makes no other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// The unescaped id: 1 to [`USER_ID_BYTES_MAX`] bytes of UTF-8. Any character may stand in
    /// it, U+0000 too.
    pub user_id: &'a [u8],
    /// Finite; the double nearest to the decimal text, ties to even. May be `-0.0`.
    pub value: f64,
}

/// Room for one unescaped user id. The caller owns it and uses it again for each event.
pub struct Scratch {
    pub(super) bytes: [u8; USER_ID_BYTES_MAX],
}

impl Scratch {
    /// Returns an empty room.
    pub const fn new() -> Self {
        Self { bytes: [0; USER_ID_BYTES_MAX] }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}
