//! The one room that knows both HTTP and statistics: what each route answers.
//!
//! [`routes`] is the table of what exists, [`handlers`] answers one worker's requests, [`page`] is what
//! people see of them and [`live`] what feeds it, [`metrics`] and [`access_log`] tell operators.

mod access_log;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handlers;
pub mod live;
mod metrics;
mod page;
pub mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::options::Options;
use crate::server::meters::Meters;
use crate::stats::Statistics;
pub use handlers::App;
use live::Live;
use metrics::RequestMeters;

/// What the handlers of all workers share.
pub struct Shared {
    /// The statistics.
    pub statistics: Arc<Statistics>,
    /// What the server counts, a row a worker.
    pub server_meters: Arc<[Meters]>,
    request_meters: Box<[RequestMeters]>,
    /// Who watches.
    live: Live,
    reset_allowed: bool,
    access_log: bool,
    draining: AtomicBool,
}

impl Shared {
    /// Statistics of so many workers that are zero, hashed with `keys`.
    pub fn new(options: &Options, workers: usize, keys: [u64; 2]) -> Arc<Shared> {
        Arc::new(Shared {
            statistics: Statistics::new(workers, keys, options.max_users),
            server_meters: (0..workers).map(|_| Meters::default()).collect(),
            request_meters: (0..workers).map(|_| RequestMeters::default()).collect(),
            live: Live::new(),
            reset_allowed: options.allow_reset,
            access_log: options.access_log,
            draining: AtomicBool::new(false),
        })
    }

    /// Returns the statistics as JSON, as `GET /stats` answers them.
    pub fn statistics_json(&self) -> String {
        let mut json = Vec::new();
        handlers::write_statistics(&mut json, &self.statistics.snapshot());
        String::from_utf8_lossy(&json).into_owned()
    }
}

/// The `http://` URL of an address that a client of this machine can use.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
