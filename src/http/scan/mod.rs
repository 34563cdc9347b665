//! Byte classes of the HTTP grammar, and searches within slices.
//!
//! Everything here is arithmetic over a slice. No decision about the protocol is taken in this room.

mod class;
mod white_space;
mod word;

pub use class::{ByteClass, FIELD_VALUE, HEX_DIGIT, PATH, QUERY, QUOTED_TEXT, REG_NAME, TOKEN};
pub use white_space::{is_white_space, trim, trim_all};
pub use word::field_value_length;
