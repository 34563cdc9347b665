//! What all sending threads share: the plan, how to send it, and how far it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::plan::Plan;

/// Events between two marks of the timeline.
pub const MARK_EVENTS: u64 = 100_000;

/// How long to try to connect before a connection is given up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// The same for producers, whose server may start again meanwhile.
const PRODUCER_CONNECT_PATIENCE: Duration = Duration::from_secs(60);

/// What all threads share.
pub struct Shared {
    pub plan: Plan,
    pub address: SocketAddr,
    pub pipeline: usize,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// How long to try to connect before a connection is given up.
    pub connect_patience: Duration,
    /// The start of the producers' names; `None` if each request is sent once.
    pub producers: Option<String>,
    /// The server is gone for good: there is nothing to wait for.
    pub server_is_gone: AtomicBool,
    /// Events that have ended, well or not.
    pub ended: AtomicU64,
    /// Nanoseconds from the start to each 100,000th of them.
    marks: Box<[AtomicU64]>,
}

impl Shared {
    /// Makes what the threads share for this plan. `producers` is the start of the producers' names.
    pub fn new(
        options: &Options,
        address: SocketAddr,
        plan: Plan,
        producers: Option<String>,
    ) -> Shared {
        let marks = (0..plan.count() / MARK_EVENTS).map(|_| AtomicU64::new(0)).collect();
        let connect_patience =
            if producers.is_some() { PRODUCER_CONNECT_PATIENCE } else { CONNECT_PATIENCE };
        Shared {
            plan,
            address,
            pipeline: options.pipeline as usize,
            timeout: options.timeout,
            connect_patience,
            producers,
            server_is_gone: AtomicBool::new(false),
            ended: AtomicU64::new(0),
            marks,
        }
    }

    /// Counts events that have ended, and notes the time at each mark that they pass.
    pub fn end(&self, events: u64, start: Instant) {
        let before = self.ended.fetch_add(events, Ordering::Relaxed);
        let (first, last) = (before / MARK_EVENTS, (before + events) / MARK_EVENTS);
        for mark in first..last {
            if let Some(mark) = self.marks.get(mark as usize) {
                mark.store(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
        }
    }

    /// Returns the events a second between marks, as far as they were reached.
    pub fn timeline(&self) -> Vec<f64> {
        let mut before = 0;
        let reached =
            self.marks.iter().map(|mark| mark.load(Ordering::Relaxed)).take_while(|&ns| ns > 0);
        reached
            .map(|ns| {
                // Threads note their marks side by side, so two may be out of order by a little.
                let taken_ns = ns.saturating_sub(before).max(1);
                before = ns;
                MARK_EVENTS as f64 / (taken_ns as f64 / 1e9)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::plan::ValueRule;

    #[test]
    fn the_timeline_is_the_rate_between_marks() {
        let marks = [1_000_000_000, 1_500_000_000, 0].map(AtomicU64::new);
        let options = Options::parse_from(["challenge"]);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let plan = Plan::new("h", 300_000, 1, ValueRule::Mod);
        let mut shared = Shared::new(&options, address, plan, None);
        shared.marks = marks.into();
        assert_eq!(shared.timeline(), [100_000.0, 200_000.0]);
    }
}
