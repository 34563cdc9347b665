//! What a worker counts of its requests.

use crate::event::EventError;
use crate::http::Status;
use crate::server::meters::Cell;

/// A row of the table of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(u8);

impl Row {
    /// The row of requests without a route.
    pub const NONE: Row = Row(0);

    /// Returns the row of the route with this index.
    pub const fn of_route(index: usize) -> Row {
        assert!(index < ROUTES_MAX);
        Row(index as u8 + 1)
    }
}

/// Routes for which there are rows.
pub const ROUTES_MAX: usize = 15;

/// The cells of one worker; aligned so that no two workers share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct RequestMeters {
    /// Answers, by row and status.
    requests: [[Cell; Status::ALL.len()]; ROUTES_MAX + 1],
    /// Contents that were no event, by cause.
    pub event_errors: [Cell; EventError::ALL.len()],
    /// Events refused because of `--max-users`.
    pub users_refused: Cell,
    /// Events refused because there is no memory for another user.
    pub memory_refused: Cell,
}

impl RequestMeters {
    /// Counts requests that were answered with this status.
    #[inline(always)]
    pub fn count(&self, row: Row, status: Status, requests: u64) {
        self.requests[usize::from(row.0)][status as usize].add(requests);
    }

    /// Returns how many requests were answered with this status.
    pub fn answered(&self, row: Row, status: Status) -> u64 {
        self.requests[usize::from(row.0)][status as usize].read()
    }
}
