//! HTTP/1.1 as bytes: requests out of a buffer, answers into one (RFC 9110, RFC 9112).
//!
//! This room has no sockets, no clock and no statistics. Its caller brings the bytes and the time.
//! A request passes through the files in this order:
//!
//! ```text
//! exchange       the requests of one connection
//!   memo         is the head the same as the last one?
//!   head         if not, its lines are read
//!     request_line    method, target (authority) and version
//!     field_line      name and value
//!     fields          what the fields mean together: framing, persistence, expectation
//!   body         the chunked transfer coding
//! request        the result
//! response       the answer
//! content        how large the content of a request may be
//! extras         what else a handler must look at
//! origin         the page that a request comes from
//! forwarded      the addresses that proxies have noted
//! ```
//!
//! [`error`] has one variant for each way in which a client can break the protocol; [`Refusal`] adds
//! what the answer to it depends on. [`list`] and [`weights`] read the values of fields, for this
//! room and for its callers. The imports between the files form no circle.

pub mod authority;
pub mod body;
pub mod content;
pub mod date;
pub mod error;
pub mod exchange;
pub mod extras;
pub mod field_line;
pub mod fields;
pub mod forwarded;
pub mod framing;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod head;
pub mod line;
pub mod list;
pub mod memo;
pub mod method;
pub mod origin;
pub mod refusal;
pub mod replay;
pub mod request;
pub mod request_line;
pub mod response;
pub mod scan;
pub mod span;
pub mod status;
pub mod target;
pub mod version;
pub mod weights;

pub use content::ContentLimits;
pub use error::HttpError;
pub use exchange::{Exchange, Step};
pub use extras::Extras;
pub use memo::Memo;
pub use method::Method;
pub use refusal::Refusal;
pub use replay::Replay;
pub use request::Request;
pub use response::{Content, Persistence, Responses};
pub use status::Status;
pub use version::Version;
