//! The body of a request: JSON text in, user ids and values out.
//!
//! [`parse()`] reads one event, the body of `/event`. [`Events`] reads many, the body of `/events`: a
//! JSON array, or one event on each line (NDJSON). Both read an event with the same code, so an event
//! has one verdict and one sentence in every kind of body.
//!
//! One walk over the bytes does everything: it proves that a text is exactly one JSON object
//! (RFC 8259) and remembers where the two members stand that count. There is no tree, no allocation
//! and no recursion, and nothing is copied but an id with escapes.
//!
//! There are two readers of an event. `json` reads any text, in words of eight bytes (`cursor`).
//! `usual` reads only the text that nearly all clients send, in half of the time. It accepts nothing
//! that `json` refuses, it refuses nothing, and what it does not recognize it leaves to `json`.
//!
//! Left out: the meaning of an event (`app`), and any JSON that is not an event.
//!
//! ```text
//! one     one event in a body             json    objects, arrays, members, depth
//! many    arrays and lines of events      string  the closing quote, escapes, UTF-8
//! usual   the text that clients send      number  the grammar, the nearest double
//!                                         decimal the nearest double of any digits
//! plain   sixteen bytes in one look       cursor  a position; eight bytes in one look
//! model   an event                        error   one variant for each cause
//! oracle, many_oracle                     the readers of one and of many, written again for tests
//! ```

mod cursor;
mod decimal;
mod error;
mod json;
mod many;
#[cfg(any(test, fuzzing))]
mod many_oracle;
mod model;
mod number;
mod one;
#[cfg(any(test, fuzzing))]
mod oracle;
mod plain;
mod string;
#[cfg(test)]
mod tests;
mod usual;

pub use error::{EventError, EventsCause, EventsError, FrameError};
pub use many::{Events, ListPlace};
#[cfg(any(test, fuzzing))]
pub use many_oracle::fuzz_events;
pub use model::{Event, Scratch};
pub use one::parse;
#[cfg(any(test, fuzzing))]
pub use oracle::fuzz;
