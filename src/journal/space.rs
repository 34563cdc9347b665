//! Space ahead of a lane's records: zeros that are on disk before the lane writes there.
//!
//! A lane writes only where the journal's thread has written zeros and synced them. So a full disk is
//! seen by that thread, and never by a commit; and a sync of a commit has no change of the file's length
//! or blocks to write besides. (`fallocate` leaves blocks that are not yet written, whose first write
//! costs just that.) The thread makes more at a time for a lane that fills it quickly.
//!
//! A lane that finds no room waits a moment for a thread that is merely slow, and refuses new records
//! otherwise. Slots need no new space, so that what is known goes on.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::layout::SEGMENT_BYTES;
use super::shared::{LaneFile, Meters};
use super::storage::File;
use crate::limits::{
    JOURNAL_FULL_RETRY_MS, JOURNAL_GROWTH_BYTES_MAX, JOURNAL_GROWTH_FAST_MS,
    JOURNAL_GROWTH_SLOW_MS, JOURNAL_GROWTH_WAIT_MS,
};
use crate::log;

/// No room for a new record, and none to be had soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The room of all lanes.
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

/// The room of one lane, as offsets in its file.
#[derive(Debug)]
struct Room {
    /// Where the records end.
    used: AtomicU64,
    /// Where the zeros end. Stored with `Release` after the zeros are on disk.
    prepared: AtomicU64,
    /// Where the lane asks for more.
    low: AtomicU64,
    /// Whether it has.
    asked: AtomicBool,
    /// Bytes of the file, which may have been longer from the beginning.
    length: AtomicU64,
}

impl Space {
    /// Makes the room of lanes whose records, zeros and files end so.
    pub fn new(ends: impl Iterator<Item = (u64, u64, u64)>) -> Self {
        let room = |(used, prepared, length)| Room {
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

    /// Returns where the zeros of a lane end.
    pub fn prepared(&self, lane: usize) -> u64 {
        self.rooms[lane].prepared.load(Acquire)
    }

    /// Returns the bytes that the lanes' files take, and the fewest that are left in one of them.
    pub fn totals(&self) -> (u64, u64) {
        self.rooms.iter().fold((0, u64::MAX), |(taken, left), room| {
            let prepared = room.prepared.load(Relaxed);
            let taken = taken + room.length.load(Relaxed);
            (taken, left.min(prepared.saturating_sub(room.used.load(Relaxed))))
        })
    }

    /// Whether the disk was full when growth was last tried.
    pub fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Notes where a lane's records end, and asks for more room if there is little left.
    #[inline]
    pub fn used(&self, lane: usize, end: u64) {
        let room = &self.rooms[lane];
        room.used.store(end, Relaxed);
        if end > room.low.load(Relaxed) {
            self.ask(lane);
        }
    }

    /// Waits, for a moment at the most, until the zeros of a lane end at `end` or later. Returns where
    /// they end.
    #[cold]
    pub fn wait(&self, lane: usize, end: u64) -> u64 {
        let room = &self.rooms[lane];
        // The thread grows a lane whose records end beyond its zeros, however little is missing.
        room.used.store(end, Relaxed);
        self.ask(lane);
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

    fn ask(&self, lane: usize) {
        if !self.rooms[lane].asked.swap(true, Relaxed) {
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

/// Makes room for all lanes; the work of the journal's second thread.
#[derive(Debug)]
pub struct Grower {
    space: Arc<Space>,
    lanes: Vec<(LaneFile, Step)>,
    step_bytes_min: u64,
}

/// How much a lane gets at a time.
#[derive(Debug)]
struct Step {
    bytes: u64,
    last: Instant,
}

const FAST: Duration = Duration::from_millis(JOURNAL_GROWTH_FAST_MS);
const SLOW: Duration = Duration::from_millis(JOURNAL_GROWTH_SLOW_MS);

impl Grower {
    /// Makes the grower of these lanes, in steps of at least this number of bytes.
    pub fn new(space: Arc<Space>, lanes: &[LaneFile], step_bytes_min: u64) -> Self {
        let step = || Step { bytes: step_bytes_min, last: Instant::now() };
        let lanes = lanes.iter().map(|lane| (lane.clone(), step())).collect();
        Grower { space, lanes, step_bytes_min }
    }

    /// Makes room for all lanes that have little left.
    ///
    /// # Errors
    /// A failed write or sync. A full disk is none; it is noted, and tried again later.
    pub fn turn(&mut self, meters: &Meters) -> io::Result<()> {
        for lane in 0..self.lanes.len() {
            self.space.rooms[lane].asked.store(false, Relaxed);
            if self.needs(lane) && !self.grow(lane, meters)? {
                return Ok(());
            }
        }
        if self.space.full.swap(false, Relaxed) {
            log::info("there is space on the disk again", &[]);
        }
        Ok(())
    }

    fn needs(&self, lane: usize) -> bool {
        let room = &self.space.rooms[lane];
        room.used.load(Relaxed) > room.low.load(Relaxed)
    }

    /// Makes room for one lane; returns false if the disk is full.
    fn grow(&mut self, lane: usize, meters: &Meters) -> io::Result<bool> {
        let room = &self.space.rooms[lane];
        let (LaneFile { file, .. }, step) = &mut self.lanes[lane];
        let since = step.last.elapsed();
        if since < FAST {
            step.bytes = (step.bytes * 2).min(JOURNAL_GROWTH_BYTES_MAX);
        } else if since > SLOW {
            step.bytes = (step.bytes / 2).max(self.step_bytes_min);
        }
        let from = room.prepared.load(Relaxed);
        let outcome = write_zeros(&**file, from, from + step.bytes);
        let (made, full) = match outcome {
            Ok(()) => (from + step.bytes, false),
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
    static ZEROS: [u8; SEGMENT_BYTES] = [0; SEGMENT_BYTES];
    debug_assert_eq!(to % SEGMENT_BYTES as u64, 0);
    let mut at = from;
    while at < to {
        let count = (SEGMENT_BYTES as u64 - at % SEGMENT_BYTES as u64) as usize;
        file.write_at(&ZEROS[..count], at)
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
