//! What a thread has seen.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// What a thread, or all of them together, have seen.
pub struct Outcome {
    /// Requests that were answered as counted.
    pub requests: u64,
    /// Their events.
    pub events: u64,
    /// Requests that went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Connections opened after the first ones.
    pub reconnects: u64,
    /// Requests moved to another connection before a byte of them was sent.
    pub moved: u64,
    /// What producers had to do.
    pub retries: Retries,
    /// Nanoseconds from a request to its answer.
    pub latency: Histogram<u64>,
}

/// What producers had to do to be counted exactly once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Retries {
    /// Connections that ended with requests in flight.
    pub lost_connections: u64,
    /// Requests that were sent once more: after a loss, a conflict or a refusal.
    pub sent_again: u64,
    /// Requests that the server recognized as counted before.
    pub duplicates: u64,
    /// Requests answered `409`, as one before them was missing or still under way.
    pub conflicts: u64,
    /// Requests answered `503`.
    pub busy: u64,
}

impl Outcome {
    /// Makes an outcome in which nothing has happened.
    pub fn new() -> Outcome {
        // 1 ns to 10 min, to three digits.
        let latency =
            Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("the bounds are in order");
        Outcome {
            requests: 0,
            events: 0,
            errors: BTreeMap::new(),
            reconnects: 0,
            moved: 0,
            retries: Retries::default(),
            latency,
        }
    }

    /// Adds what another thread has seen.
    pub fn merge(&mut self, other: Outcome) {
        self.requests += other.requests;
        self.events += other.events;
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.reconnects += other.reconnects;
        self.moved += other.moved;
        self.retries.lost_connections += other.retries.lost_connections;
        self.retries.sent_again += other.retries.sent_again;
        self.retries.duplicates += other.retries.duplicates;
        self.retries.conflicts += other.retries.conflicts;
        self.retries.busy += other.retries.busy;
        self.latency.add(&other.latency).expect("the bounds are the same");
    }

    /// Counts a request of `events` events that was answered as counted.
    pub fn success(&mut self, events: u32) {
        self.requests += 1;
        self.events += u64::from(events);
    }

    /// Counts requests that went wrong.
    pub fn error(&mut self, kind: impl Into<String>, count: usize) {
        if count > 0 {
            *self.errors.entry(kind.into()).or_default() += count as u64;
        }
    }
}
