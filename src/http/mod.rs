//! HTTP/1.1 as bytes: requests out of a buffer, answers into one (RFC 9110, RFC 9112).
//!
//! This room has no sockets, no clock and no statistics; whoever calls it brings the bytes and the
//! time. It is read in the order a request travels: [`exchange`] drives [`head`] and [`body`],
//! which use [`fields`] and [`scan`]; [`response`] writes the answer. [`error`] has one variant for
//! each way in which a peer can break the protocol.

pub mod body;
pub mod date;
pub mod error;
pub mod exchange;
pub mod fields;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod head;
mod refusal;
pub mod response;
pub mod scan;
pub mod target;

pub use error::HttpError;
pub use exchange::{Exchange, Request, Step};
pub use head::{Method, Version};
pub use refusal::Refusal;
pub use response::{Content, Persistence, Responses, Status};
