//! The events that the main thread waits for, and the wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::servers::Servers;
use super::watchdog::Watchdog;
use crate::app;
use crate::mailbox::Mailbox;
use crate::server::Moved;
use crate::service::{self, Manager};
use crate::sys::signals::{Signal, Signals};

/// An event that the main thread acts on.
pub(super) enum Wake {
    /// A signal has come.
    Signal(Signal),
    /// All workers of the server with this number have ended.
    Ended(u64),
    /// The predecessor sends a connection.
    Connection(Moved),
    /// The predecessor sends no more connections.
    ConnectionsLeft,
    /// The predecessor got a stop signal, so the whole service must stop.
    StopPassedOn,
    /// The workers stop, to hand over.
    WorkersDepart,
    /// The successor with this process id serves.
    Served(u32),
    /// The thread that hands over has ended.
    HandOverEnded,
}

/// Names the phase of the process, which decides what a sign of life to the service manager means.
#[derive(Clone, Copy)]
pub(super) enum Phase<'p> {
    /// All workers go round their loops.
    Serving(&'p app::Shared, &'p Servers),
    /// Workers end one after another. That does not last longer than until this moment.
    Ending(Instant),
}

/// Collects events for the main thread.
pub(super) struct Post {
    pub woken: Arc<Mailbox<Wake>>,
    pub manager: Manager,
    watchdog: Option<Watchdog>,
    /// The last server whose workers have ended.
    ended: Option<u64>,
}

impl Post {
    /// Returns a post for the events that come into `woken`.
    pub fn new(woken: Arc<Mailbox<Wake>>) -> Post {
        let watchdog = service::watchdog_interval().map(Watchdog::new);
        Post { woken, manager: Manager::of_environment(), watchdog, ended: None }
    }

    /// Waits for the next event, until `deadline` if there is one. Returns `None` after the deadline.
    /// Gives the service manager its signs of life meanwhile.
    pub fn next(&mut self, deadline: Option<Instant>, phase: Phase<'_>) -> Option<Wake> {
        loop {
            let due = self.watchdog.as_ref().map(|watchdog| watchdog.due);
            let until = deadline.into_iter().chain(due).min();
            if let Some(wake) = self.woken.take(until) {
                if let Wake::Ended(generation) = wake {
                    self.ended = Some(generation);
                }
                return Some(wake);
            }
            let now = Instant::now();
            if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.due <= now) {
                match phase {
                    Phase::Serving(shared, servers) => {
                        watchdog.look(shared, servers, &self.manager)
                    }
                    Phase::Ending(end) => watchdog.vouch(now <= end, &self.manager),
                }
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return None;
            }
        }
    }

    /// Returns whether all workers of the server with this number have ended.
    pub fn has_ended(&self, generation: u64) -> bool {
        self.ended == Some(generation)
    }
}

/// Returns what reports that all workers of the server with this number have ended.
pub(super) fn report_end(
    woken: &Arc<Mailbox<Wake>>,
    generation: u64,
) -> impl FnOnce() + Send + use<> + 'static {
    let woken = Arc::clone(woken);
    move || woken.put(Wake::Ended(generation))
}

/// Returns whether this signal tells a process to stop; the end of a terminal does if the process was
/// started on one.
pub(super) fn is_stop(signal: Signal, on_terminal: bool) -> bool {
    match signal {
        Signal::Interrupt | Signal::Terminate => true,
        Signal::HangUp => on_terminal,
        Signal::User1 | Signal::User2 | Signal::Fatal(_) | Signal::Mark => false,
    }
}

/// Returns whether a signal has told this process to stop before it serves, and no thread fetches
/// signals yet. Other signals, such as requests for a restart, are dropped: there is nothing to
/// restart yet.
pub(super) fn is_stopped(signals: &Signals, on_terminal: bool) -> bool {
    let mut stopped = false;
    while let Ok(Some(signal)) = signals.wait(Some(Duration::ZERO)) {
        match signal {
            Signal::Fatal(fatal) => fatal.end_process(),
            signal => stopped |= is_stop(signal, on_terminal),
        }
    }
    stopped
}
