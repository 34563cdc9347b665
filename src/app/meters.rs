//! Counts the requests of a worker.

use crate::event::{EventError, EventsCause, FrameError};
use crate::http::Status;
use crate::server::meters::Cell;
use crate::stats::Lack;

/// Identifies a row of the table of requests.
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
    /// Requests of `/events` that were counted.
    batches: Cell,
    /// Events in them.
    batch_events: Cell,
    /// Requests of `/events` that were refused, by cause.
    batch_event_errors: [Cell; EventError::ALL.len()],
    batch_frame_errors: [Cell; FrameError::ALL.len()],
    batch_too_many: Cell,
    batch_too_large: Cell,
    batch_coded: Cell,
    batch_places_lacking: Cell,
    batch_memory_lacking: Cell,
    batch_disk_lacking: Cell,
    /// Events refused because of `--max-users`.
    pub users_refused: Cell,
    /// Events refused because there is no memory for another user.
    pub memory_refused: Cell,
    /// Requests refused because there is no room on the disk for a new user.
    pub disk_refused: Cell,
    /// Requests refused because a page of another origin sent them.
    pub pages_refused: Cell,
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

    /// Counts a request of `/events` with its events.
    pub fn count_batch(&self, events: usize) {
        self.batches.add(1);
        self.batch_events.add(events as u64);
    }

    /// Counts a refused request of `/events`.
    pub fn refuse_batch(&self, refusal: BatchRefusal) {
        self.batch_refusals(refusal).add(1);
    }

    /// Returns how many requests of `/events` were counted, and with how many events.
    pub fn batches(&self) -> (u64, u64) {
        (self.batches.read(), self.batch_events.read())
    }

    fn batch_refusals(&self, refusal: BatchRefusal) -> &Cell {
        match refusal {
            BatchRefusal::Malformed(EventsCause::Event(error)) => {
                &self.batch_event_errors[error as usize]
            }
            BatchRefusal::Malformed(EventsCause::Frame(error)) => {
                &self.batch_frame_errors[error as usize]
            }
            BatchRefusal::TooMany => &self.batch_too_many,
            BatchRefusal::TooLarge => &self.batch_too_large,
            BatchRefusal::Coded => &self.batch_coded,
            BatchRefusal::Lack(Lack::Place) => &self.batch_places_lacking,
            BatchRefusal::Lack(Lack::Memory) => &self.batch_memory_lacking,
            BatchRefusal::Lack(Lack::Disk) => &self.batch_disk_lacking,
        }
    }

    /// Returns how many requests of `/events` were refused for this reason.
    pub fn batches_refused(&self, refusal: BatchRefusal) -> u64 {
        self.batch_refusals(refusal).read()
    }
}

/// Names the reason why the events of one request of `/events` were not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchRefusal {
    /// An event, or the text around the events, is malformed.
    Malformed(EventsCause),
    /// There are more events than one request may have.
    TooMany,
    /// There are more bytes than one request may have.
    TooLarge,
    /// The content has a coding.
    Coded,
    /// New users lack a place or memory.
    Lack(Lack),
}

impl BatchRefusal {
    /// Returns every value once.
    pub fn all() -> impl Iterator<Item = BatchRefusal> {
        let events = EventError::ALL.into_iter().map(EventsCause::Event);
        let frames = FrameError::ALL.into_iter().map(EventsCause::Frame);
        events.chain(frames).map(BatchRefusal::Malformed).chain([
            BatchRefusal::TooMany,
            BatchRefusal::TooLarge,
            BatchRefusal::Coded,
            BatchRefusal::Lack(Lack::Place),
            BatchRefusal::Lack(Lack::Memory),
            BatchRefusal::Lack(Lack::Disk),
        ])
    }

    /// Returns a label in snake_case, for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            BatchRefusal::Malformed(cause) => cause.reason(),
            BatchRefusal::TooMany => "too_many_events",
            BatchRefusal::TooLarge => "content_too_large",
            BatchRefusal::Coded => "content_coded",
            BatchRefusal::Lack(Lack::Place) => "users_full",
            BatchRefusal::Lack(Lack::Memory) => "memory_full",
            BatchRefusal::Lack(Lack::Disk) => "disk_full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_batch_has_a_cell_and_a_label_of_its_own() {
        let all: Vec<BatchRefusal> = BatchRefusal::all().collect();
        let meters = RequestMeters::default();
        for (i, refusal) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other.reason() != refusal.reason()));
            assert_eq!(meters.batches_refused(*refusal), 0);
            meters.refuse_batch(*refusal);
            assert_eq!(meters.batches_refused(*refusal), 1);
        }
    }
}
