//! Space ahead of a lane's records: zeros that are on disk before the lane writes there.
//!
//! A lane writes only where the journal's thread has written zeros and synced them. So a full disk is
//! seen by that thread, and never by a commit. A sync of a commit writes the records only: the file's
//! length and its blocks do not change. (`fallocate` leaves blocks that are not yet written, whose first write
//! costs just that.) The thread makes more at a time for a lane that fills it quickly.
//!
//! A lane that finds no room waits a moment for a thread that is merely slow, and refuses new records
//! otherwise. Slots need no new space, so events of known users are still counted.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::layout::SEGMENT_BYTES;
use super::shared::JournalMeters;
use super::storage::File;
use crate::limits::{
    JOURNAL_FULL_RETRY_MS, JOURNAL_GROWTH_BYTES_MAX, JOURNAL_GROWTH_FAST_MS,
    JOURNAL_GROWTH_SLOW_MS, JOURNAL_GROWTH_WAIT_MS,
};
use crate::log;

/// There is no room for a new record, and there will be none soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The rooms of all lanes that have a worker: first those for records, then those for cells.
#[derive(Debug)]
pub struct Space {
    rooms: Box<[Room]>,
    /// Whether the disk was full when growth was last tried.
    full: AtomicBool,
    /// Whether the thread is to end; also what both conditions are waited for with.
    stopped: Mutex<bool>,
    asked: Condvar,
    made: Condvar,
}

/// The room for the records or the cells of a lane, as offsets in their file.
#[derive(Debug)]
struct Room {
    /// Where the written bytes end.
    used: AtomicU64,
    /// Where the zeros end. Stored with `Release` after the zeros are on disk.
    prepared: AtomicU64,
    /// Where the lane asks for more.
    low: AtomicU64,
    /// Whether the lane has asked for more.
    asked: AtomicBool,
    /// Bytes of the file, which may have been longer from the beginning.
    length: AtomicU64,
}

/// Where the parts of a room end, as offsets in its file.
#[derive(Clone, Copy, Debug)]
pub struct RoomEnds {
    /// The end of the written bytes.
    pub used: u64,
    /// The end of the zeros behind them.
    pub prepared: u64,
    /// The end of the file.
    pub length: u64,
}

impl Space {
    /// Makes the rooms. `ends` has the ends of the parts of each.
    pub fn new(ends: impl Iterator<Item = RoomEnds>) -> Self {
        let room = |RoomEnds { used, prepared, length }| Room {
            used: AtomicU64::new(used),
            prepared: AtomicU64::new(prepared),
            low: AtomicU64::new(low(used, prepared)),
            asked: AtomicBool::new(false),
            length: AtomicU64::new(length),
        };
        Space {
            rooms: ends.map(room).collect(),
            full: AtomicBool::new(false),
            stopped: Mutex::new(false),
            asked: Condvar::new(),
            made: Condvar::new(),
        }
    }

    /// Returns the number of the room for the cells of a worker's lane. That for its records has the
    /// lane's own number.
    pub fn room_of_cells(&self, lane: usize) -> usize {
        self.rooms.len() / 2 + lane
    }

    /// Returns where the zeros of a room end.
    pub fn prepared(&self, room: usize) -> u64 {
        self.rooms[room].prepared.load(Acquire)
    }

    /// Returns the bytes that the files take.
    pub fn taken(&self) -> u64 {
        self.rooms.iter().map(|room| room.length.load(Relaxed)).sum()
    }

    /// Returns the bytes that are left for records in the lane that has the fewest.
    pub fn left_min(&self) -> u64 {
        let rooms = self.rooms.iter().take(self.rooms.len() / 2);
        let left =
            rooms.map(|room| room.prepared.load(Relaxed).saturating_sub(room.used.load(Relaxed)));
        left.min().unwrap_or(0)
    }

    /// Whether the disk was full when growth was last tried.
    pub fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Notes how much of a room is used, and asks for more if there is little left.
    #[inline]
    pub fn used(&self, number: usize, end: u64) {
        let room = &self.rooms[number];
        room.used.store(end, Relaxed);
        if end > room.low.load(Relaxed) {
            self.ask(number);
        }
    }

    /// Notes that a room is used up to `end` at least.
    pub fn used_up_to(&self, room: usize, end: u64) {
        self.used(room, end.max(self.rooms[room].used.load(Relaxed)));
    }

    /// Waits, for a moment at the most, until the zeros of a room end at `end` or later. Returns where
    /// they end.
    #[cold]
    pub fn wait(&self, number: usize, end: u64) -> u64 {
        let room = &self.rooms[number];
        // The thread grows a room that is used beyond its zeros.
        room.used.store(end, Relaxed);
        self.ask(number);
        let deadline = Instant::now() + Duration::from_millis(JOURNAL_GROWTH_WAIT_MS);
        let mut stopped = self.lock();
        loop {
            let prepared = room.prepared.load(Acquire);
            let left = deadline.saturating_duration_since(Instant::now());
            if prepared >= end || self.is_full() || *stopped || left.is_zero() {
                return prepared;
            }
            stopped =
                self.made.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ask(&self, number: usize) {
        if !self.rooms[number].asked.swap(true, Relaxed) {
            // Under the lock, so that the thread sees it before it waits.
            let _stopped = self.lock();
            self.asked.notify_one();
        }
    }

    /// Waits until a lane asks, or it is time to try again after the disk was full; returns false when
    /// the thread is to end.
    pub fn wait_until_asked(&self) -> bool {
        let retry = Duration::from_millis(JOURNAL_FULL_RETRY_MS);
        let mut stopped = self.lock();
        loop {
            if *stopped {
                return false;
            }
            if !self.is_full() && self.rooms.iter().any(|room| room.asked.load(Relaxed)) {
                return true;
            }
            if self.is_full() {
                let waited = self.asked.wait_timeout(stopped, retry);
                let (guard, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
                stopped = guard;
                if outcome.timed_out() && !*stopped {
                    return true;
                }
            } else {
                stopped = self.asked.wait(stopped).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Ends the thread, and all waiting for it.
    pub fn set_stopped(&self) {
        *self.lock() = true;
        self.asked.notify_all();
        self.made.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane asks for more when half of its room is used.
const fn low(used: u64, prepared: u64) -> u64 {
    prepared - prepared.saturating_sub(used) / 2
}

/// Makes the rooms larger; the work of the journal's second thread.
#[derive(Debug)]
pub struct Grower {
    space: Arc<Space>,
    rooms: Vec<(Arc<dyn File>, Step)>,
}

/// The size of the next growth of a room.
#[derive(Debug)]
struct Step {
    bytes: u64,
    bytes_min: u64,
    last: Instant,
}

const FAST: Duration = Duration::from_millis(JOURNAL_GROWTH_FAST_MS);
const SLOW: Duration = Duration::from_millis(JOURNAL_GROWTH_SLOW_MS);

impl Grower {
    /// Makes the grower of these rooms: the file of each, and by how many bytes it grows at least.
    pub fn new(space: Arc<Space>, rooms: impl Iterator<Item = (Arc<dyn File>, u64)>) -> Self {
        let step = |bytes| Step { bytes, bytes_min: bytes, last: Instant::now() };
        Grower { space, rooms: rooms.map(|(file, bytes)| (file, step(bytes))).collect() }
    }

    /// Makes all rooms larger that have little left.
    ///
    /// # Errors
    /// A failed write or sync. A full disk is not an error here: it is noted, and growth is tried again.
    pub fn turn(&mut self, meters: &JournalMeters) -> io::Result<()> {
        for number in 0..self.rooms.len() {
            self.space.rooms[number].asked.store(false, Relaxed);
            if self.needs(number) && !self.grow(number, meters)? {
                return Ok(());
            }
        }
        if self.space.full.swap(false, Relaxed) {
            log::info("there is space on the disk again", &[]);
        }
        Ok(())
    }

    fn needs(&self, number: usize) -> bool {
        let room = &self.space.rooms[number];
        room.used.load(Relaxed) > room.low.load(Relaxed)
    }

    /// Makes a room larger; returns false if the disk is full.
    fn grow(&mut self, number: usize, meters: &JournalMeters) -> io::Result<bool> {
        let room = &self.space.rooms[number];
        let (file, step) = &mut self.rooms[number];
        let since = step.last.elapsed();
        if since < FAST {
            step.bytes = (step.bytes * 2).min(JOURNAL_GROWTH_BYTES_MAX);
        } else if since > SLOW {
            step.bytes = (step.bytes / 2).max(step.bytes_min);
        }
        let from = room.prepared.load(Relaxed);
        let lacking = room.used.load(Relaxed).saturating_sub(from);
        let to = from + step.bytes.max(lacking.next_multiple_of(SEGMENT_BYTES as u64));
        let outcome = write_zeros(&**file, from, to);
        let (made, full) = match outcome {
            Ok(()) => (to, false),
            Err((made, error)) if is_full(&error) => (made, true),
            Err((_, error)) => return Err(error),
        };
        if made > from {
            meters.sync(&**file)?;
            step.last = Instant::now();
            // With a full disk the lane goes on to need more, so that growth is tried again.
            if !full {
                room.low.store(made - step.bytes / 2, Relaxed);
            }
            room.length.fetch_max(made, Relaxed);
            let _stopped = self.space.lock();
            room.prepared.store(made, Release);
        }
        if full && !self.space.full.swap(true, Relaxed) {
            log::error("the disk is full: new users are refused until there is space", &[]);
        }
        self.space.made.notify_all();
        Ok(!full)
    }
}

/// Writes zeros from one offset to another, which ends a segment. On failure, returns the end of the last
/// segment that has them, and the error.
pub fn write_zeros(file: &dyn File, from: u64, to: u64) -> Result<(), (u64, io::Error)> {
    // Not a constant, which would be 64 KiB of the program's file.
    let zeros = vec![0; SEGMENT_BYTES];
    debug_assert_eq!(to % SEGMENT_BYTES as u64, 0);
    let mut at = from;
    while at < to {
        let count = (SEGMENT_BYTES as u64 - at % SEGMENT_BYTES as u64) as usize;
        file.write_at(&zeros[..count], at)
            .map_err(|error| (at - at % SEGMENT_BYTES as u64, error))?;
        at += count as u64;
    }
    Ok(())
}

/// Whether an error of writing means that there is no more space for this user or in this file.
pub fn is_full(error: &io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
