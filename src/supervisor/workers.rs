//! Starting the workers of a server.

use std::sync::Arc;

use super::config::cannot_start;
use super::wake::Wake;
use crate::app::{self, App};
use crate::mailbox::Mailbox;
use crate::server::{Bound, Config, Server};
use crate::sys::clock;

/// Starts the workers of a server, which wait for [`Server::begin`].
///
/// # Errors
/// A message for the operator.
pub(super) fn start_workers(
    bound: Bound,
    config: Config,
    shared: &Arc<app::Shared>,
    woken: &Arc<Mailbox<Wake>>,
    generation: u64,
) -> Result<Server, String> {
    let woken = Arc::clone(woken);
    bound
        .start(
            config,
            Arc::clone(&shared.server_meters),
            |worker| App::new(shared, worker, clock::unix_seconds()),
            move || woken.put(Wake::Ended(generation)),
        )
        .map_err(cannot_start("the workers"))
}
