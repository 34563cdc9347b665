//! The configuration of a server, which is fixed when it starts.

use super::timers::Durations;
use crate::http::ContentLimits;

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What the names of the worker threads begin with.
    pub threads: &'static str,
    /// Worker threads, at least one.
    pub workers: usize,
    /// Whether worker i runs on processor i only.
    pub pin: bool,
    /// Whether workers may do no more than they need, see [`sandbox`](crate::sys::sandbox).
    pub sandbox: bool,
    /// Length of each worker's listen queue.
    pub backlog: u32,
    /// Connections over all workers; further clients get `503`.
    pub connections_max: usize,
    /// Lowest and highest number of the descriptors of files that workers write.
    pub journal: Option<(i32, i32)>,
    /// How large the content of a request may be.
    pub content_limits: ContentLimits,
    /// The time-outs of connections.
    pub timeouts: Durations,
}
