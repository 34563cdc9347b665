//! Gives signs of life to the service manager while the workers go round their loops, twice as often as it
//! asks for.
//!
//! A worker that waits for clients looks like a worker that hangs, so each worker is woken at
//! every look and must have gone round its loop by the next. While the process stops or hands over,
//! workers end one after another, so their rounds prove nothing. Those phases have deadlines of their own,
//! and the main thread alone gives the signs of life.

use std::time::{Duration, Instant};

use super::servers::Servers;
use crate::app;
use crate::log;
use crate::service::Manager;

/// Holds the times at which the service manager expects a sign of life.
pub(super) struct Watchdog {
    interval: Duration,
    /// When the next sign is due.
    pub due: Instant,
    /// The rounds of each worker when it was last woken; empty if the workers were not woken yet.
    rounds: Vec<u64>,
}

impl Watchdog {
    /// Returns a watchdog for a manager that expects a sign of life every `interval`.
    pub fn new(interval: Duration) -> Watchdog {
        Watchdog { interval: interval / 2, due: Instant::now(), rounds: Vec::new() }
    }

    /// Gives a sign of life if every worker has gone round its loop since it was last woken, and
    /// wakes the workers again.
    pub fn look(&mut self, shared: &app::Shared, servers: &Servers, manager: &Manager) {
        self.due = Instant::now() + self.interval;
        let workers = shared.server_meters.len();
        let threads = workers + usize::from(servers.has_operators());
        let meters = shared.all_meters().take(threads);
        let rounds: Vec<u64> = meters.map(|meters| meters.rounds.read()).collect();
        let idle = self.rounds.iter().zip(&rounds).position(|(before, now)| before == now);
        match idle {
            Some(thread) if thread == workers => log::error("the operators' thread hangs", &[]),
            Some(worker) => log::error("a worker hangs", &[("worker", &worker)]),
            None => manager.alive(),
        }
        self.rounds = rounds;
        servers.rouse();
    }

    /// Gives a sign of life for the main thread alone, in a phase in which workers may end, if that
    /// phase lasts no longer than `is_in_time`.
    pub fn vouch(&mut self, is_in_time: bool, manager: &Manager) {
        self.due = Instant::now() + self.interval;
        self.rounds.clear();
        if is_in_time {
            manager.alive();
        }
    }
}
