//! Byte classes of the HTTP grammar and the search for the end of a run of one class.
//!
//! Everything here is arithmetic over a slice: no protocol decision is taken in this room.

mod class;
mod word;

pub use class::{Class, FIELD_VALUE, HEX_DIGIT, HOST, PATH, TARGET, TOKEN};
pub use word::field_value_length;
