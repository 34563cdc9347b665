//! What a worker counts about its connections, in cells that it alone writes.
//!
//! A cell is an atomic with one writer, so counting is a load and a store without a locked
//! instruction, and reading the cells of all workers for a scrape disturbs none of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::http::HttpError;

/// A number with one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds; only the owning worker may call it, or additions are lost.
    #[inline(always)]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Subtracts; only the owning worker may call it, as with [`add`](Self::add).
    #[inline(always)]
    pub fn subtract(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    /// Returns the number now.
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What a connection is doing between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing is under way.
    Idle,
    /// Part of a request has come.
    Reading,
    /// Part of an answer has not left yet.
    Writing,
    /// The last answer has left; the peer has not closed yet.
    Closing,
}

impl Activity {
    /// Every variant once, in the order of declaration, with its label.
    pub const ALL: [(Activity, &'static str); 4] = [
        (Activity::Idle, "idle"),
        (Activity::Reading, "reading"),
        (Activity::Writing, "writing"),
        (Activity::Closing, "closing"),
    ];
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer had closed its side.
    ByPeer,
    /// The client or the server had sent `Connection: close`, or the client used HTTP/1.0.
    AfterAnswer,
    /// The peer broke the protocol.
    ProtocolError,
    /// No request came.
    IdleTimeout,
    /// A header section did not come in time.
    HeaderTimeout,
    /// A body did not come in time.
    BodyTimeout,
    /// The peer did not read its answers.
    WriteTimeout,
    /// The socket reported an error, such as a reset by the peer.
    SocketError,
    /// Handling a request panicked.
    Panic,
    /// There were too many connections.
    Overload,
    /// There was no memory for what the peer had sent, or for its answers.
    NoMemory,
    /// The server stopped.
    Shutdown,
}

impl Closed {
    /// Every variant once, in the order of declaration, with its label.
    pub const ALL: [(Closed, &'static str); 12] = [
        (Closed::ByPeer, "peer"),
        (Closed::AfterAnswer, "after_answer"),
        (Closed::ProtocolError, "protocol_error"),
        (Closed::IdleTimeout, "idle_timeout"),
        (Closed::HeaderTimeout, "header_timeout"),
        (Closed::BodyTimeout, "body_timeout"),
        (Closed::WriteTimeout, "write_timeout"),
        (Closed::SocketError, "socket_error"),
        (Closed::Panic, "panic"),
        (Closed::Overload, "overload"),
        (Closed::NoMemory, "no_memory"),
        (Closed::Shutdown, "shutdown"),
    ];
}

/// Upper bounds of the classes of duration, in nanoseconds: 10 µs to 10 s by 1, 2 and 5.
pub const DURATION_BOUNDS_NS: [u64; 19] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// How long requests took, by class: a histogram.
#[derive(Debug, Default)]
pub struct Latencies {
    /// Requests that took no longer than each bound and longer than the one before; the last class
    /// has no bound.
    pub classes: [Cell; DURATION_BOUNDS_NS.len() + 1],
    /// All durations together, in nanoseconds.
    pub sum_ns: Cell,
}

impl Latencies {
    /// Counts `requests` requests, each of which took `duration_ns`.
    #[inline]
    pub fn record(&self, duration_ns: u64, requests: u64) {
        // The short ones are the usual ones, so that the first comparisons decide.
        let class = DURATION_BOUNDS_NS.iter().position(|&bound| duration_ns <= bound);
        self.classes[class.unwrap_or(DURATION_BOUNDS_NS.len())].add(requests);
        self.sum_ns.add(duration_ns.wrapping_mul(requests));
    }
}

/// The cells of one worker; aligned so that no two workers share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Meters {
    /// Rounds of the poll loop; a worker that does not go round when it is woken hangs.
    pub rounds: Cell,
    /// Connections accepted, those refused for overload included.
    pub accepted: Cell,
    /// `accept` calls that failed.
    pub accept_errors: Cell,
    /// Connections owned now.
    pub connections: Cell,
    /// Connections owned now, by [`Activity`].
    pub activities: [Cell; Activity::ALL.len()],
    /// Connections closed, by [`Closed`].
    pub closed: [Cell; Closed::ALL.len()],
    /// Violations of the protocol, by [`HttpError`].
    pub http_errors: [Cell; HttpError::ALL.len()],
    /// From when a worker learned of a request to when its answer was given to the kernel.
    pub durations: Latencies,
    /// Requests whose handling panicked.
    pub panics: Cell,
    /// Bytes received.
    pub received_bytes: Cell,
    /// Bytes sent.
    pub sent_bytes: Cell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_declaration() {
        assert!(Activity::ALL.iter().enumerate().all(|(i, &(activity, _))| activity as usize == i));
        assert!(Closed::ALL.iter().enumerate().all(|(i, &(closed, _))| closed as usize == i));
    }

    #[test]
    fn durations_fall_into_their_classes() {
        let durations = Latencies::default();
        for (duration_ns, requests) in
            [(0, 1), (10_000, 2), (10_001, 4), (10_000_000_000, 8), (u64::MAX / 64, 16)]
        {
            durations.record(duration_ns, requests);
        }
        let classes = durations.classes.each_ref().map(Cell::read);
        assert_eq!((classes[0], classes[1], classes[18], classes[19]), (3, 4, 8, 16));
        assert_eq!(classes.iter().sum::<u64>(), 31);
        assert!(DURATION_BOUNDS_NS.is_sorted());
    }

    #[test]
    fn a_cell_adds_and_subtracts() {
        let cell = Cell::default();
        cell.add(5);
        cell.subtract(2);
        assert_eq!(cell.read(), 3);
    }
}
