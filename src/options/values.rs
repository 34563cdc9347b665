//! The values of all options, with their defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::address::{HostPort, Listen};
use super::origin::Origins;
use super::proxies::Proxies;
use super::url::HttpUrl;
use crate::journal::Fsync;
use crate::{limits, log, sys};

/// The values of all options.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where to listen.
    pub listen: Listen,
    /// Where operators are served; `None` serves them at the address of all clients.
    pub admin_listen: Option<HostPort>,
    /// Worker threads.
    pub workers: usize,
    /// Whether worker `i` is bound to the `i`-th allowed processor.
    pub pin: bool,
    /// Length of each listen queue.
    pub backlog: u32,
    /// Connections at a time; `None` leaves it to the descriptor limit.
    pub max_connections: Option<usize>,
    /// Bytes of a request's content.
    pub max_body_bytes: usize,
    /// Events of one request of `/events`.
    pub max_batch_events: usize,
    /// Bytes of a request's content at `/events`.
    pub max_batch_body_bytes: usize,
    /// Users counted; `None` counts all.
    pub max_users: Option<u64>,
    /// A whole header section, from its first byte.
    pub header_timeout: Duration,
    /// A whole body, from its first byte.
    pub body_timeout: Duration,
    /// A connection between two requests.
    pub idle_timeout: Duration,
    /// A peer that does not read its answers.
    pub write_timeout: Duration,
    /// Between the signal to stop and the stop; everything goes on meanwhile.
    pub drain_delay: Duration,
    /// A stop, until what is still in flight is cut off.
    pub drain_timeout: Duration,
    /// Whether `POST /reset` is allowed.
    pub allow_reset: bool,
    /// Which other origins' pages may send events and read the statistics.
    pub allow_origin: Origins,
    /// The directory in which the statistics outlive the process; `None` keeps them in memory only.
    pub state: Option<PathBuf>,
    /// When what is counted is synced to the disk of that directory.
    pub fsync: Fsync,
    /// Whether damage in the state directory is left out.
    pub salvage: bool,
    /// The least important level that is logged.
    pub log_level: log::Level,
    /// The format of the log.
    pub log_format: log::Format,
    /// Whether each request is logged.
    pub access_log: bool,
    /// The proxies whose word about a client's address the access log takes.
    pub trusted_proxy: Proxies,
    /// Whether rights that are not needed are given up after the start.
    pub sandbox: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Listen::Default,
            admin_listen: None,
            workers: sys::affinity::processors().min(limits::WORKERS_MAX),
            pin: false,
            backlog: limits::BACKLOG_DEFAULT,
            max_connections: None,
            max_body_bytes: limits::BODY_BYTES_MAX_DEFAULT,
            max_batch_events: limits::MANY_EVENTS_MAX_DEFAULT,
            max_batch_body_bytes: limits::MANY_BYTES_MAX_DEFAULT,
            max_users: None,
            header_timeout: Duration::from_secs(limits::HEADER_TIMEOUT_S_DEFAULT),
            body_timeout: Duration::from_secs(limits::BODY_TIMEOUT_S_DEFAULT),
            idle_timeout: Duration::from_secs(limits::IDLE_TIMEOUT_S_DEFAULT),
            write_timeout: Duration::from_secs(limits::WRITE_TIMEOUT_S_DEFAULT),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(limits::DRAIN_TIMEOUT_S_DEFAULT),
            allow_reset: false,
            allow_origin: Origins::None,
            state: None,
            fsync: Fsync::EverySecond,
            salvage: false,
            log_level: log::Level::Info,
            log_format: log::Format::Text,
            access_log: false,
            trusted_proxy: Proxies::default(),
            sandbox: true,
        }
    }
}

/// What the program can do instead of serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the server at this address for its health.
    Health(HttpUrl),
}
