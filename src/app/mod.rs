//! Joins HTTP and statistics: the answer of each route. No other room depends on both.
//!
//! | file | subject |
//! |---|---|
//! | [`routes`] | the table of routes, one row for each |
//! | `front` | from a request to the file that answers it |
//! | `intake` | events: staged, committed, answered |
//! | `draft` | a large list of events, read in slices |
//! | `pages` | which pages in browsers may count |
//! | `reply` | requests that stage nothing, at both doors |
//! | `operator` | requests of operators and their tools |
//! | `admin` | the handler of the operators' server |
//! | `answers`, `json` | the text of answers |
//! | [`live`], `page` | the dashboard and what feeds it |
//! | `meters`, `metrics`, `access_log` | the counts of requests, and what operators see of them |
//! | `client_address` | the client of a request that comes through proxies |
//! | [`keeper`] | the statistics on disk |
//! | `shared` | the data that all handlers share |

mod access_log;
mod admin;
mod answers;
mod client_address;
mod draft;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod intake;
mod json;
pub mod keeper;
pub mod live;
mod meters;
mod metrics;
mod operator;
mod page;
mod pages;
mod reply;
pub mod routes;
mod shared;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::http::ContentLimits;
use crate::limits::BODY_BYTES_MAX_DEFAULT;
use crate::options::Options;
pub use admin::AdminApp;
pub use front::App;
pub use shared::Shared;

/// Returns how large the content of a request may be, by its path.
pub fn content_limits(options: &Options) -> ContentLimits {
    let path = routes::RouteNumber::EVENTS.route().path;
    ContentLimits::with_exception(options.max_body_bytes, path, options.max_batch_body_bytes)
}

/// Returns how large the content of a request to the operators' server may be. No route there reads
/// content.
pub fn admin_content_limits() -> ContentLimits {
    BODY_BYTES_MAX_DEFAULT.into()
}

/// Returns the `http://` URL of an address that a client of this machine can use.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

impl Shared {
    /// Returns what the handlers of `workers` workers share. The statistics are zero; ids are hashed
    /// with `keys`. Returns `None` if there is no memory for it.
    pub fn new(options: &Options, workers: usize, keys: [u64; 2]) -> Option<Arc<Shared>> {
        Shared::with_rows(options, workers, keys, routes::rows())
    }
}
