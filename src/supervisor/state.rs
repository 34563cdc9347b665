//! The state of a process that serves, as its main thread uses it.

use std::path::PathBuf;
use std::sync::Arc;

use super::place::Place;
use super::servers::Servers;
use super::wake::Post;
use crate::app;
use crate::options::Options;
use crate::server::Config;
use crate::sys::signals::Signals;
use crate::sys::starter::Starter;

/// Holds the parts of a process that serves.
pub(super) struct Supervisor<'o> {
    pub options: &'o Options,
    pub config: Config,
    pub shared: Arc<app::Shared>,
    pub servers: Servers,
    /// The number of the server for clients, one more after each restart that failed.
    pub generation: u64,
    pub post: Post,
    /// The signals, which another thread fetches.
    pub signals: Arc<Signals>,
    /// The process that starts a successor; `None` if it could not be launched, or is not needed.
    pub starter: Option<Starter>,
    /// The path of the program that it starts, for the log.
    pub program: PathBuf,
    /// What is above this process. It decides whether the process may have a successor.
    pub place: Place,
    /// Whether it was started on a terminal, whose end is then the end of the process.
    pub on_terminal: bool,
    /// Whether connections of the predecessor are still on their way.
    pub connections_come: bool,
    /// Whether a restart was asked for while connections were on their way.
    pub restart_waits: bool,
}
