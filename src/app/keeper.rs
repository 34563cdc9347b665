//! The statistics on disk: joins `stats` and `journal`, which do not depend on each other.
//!
//! Each worker has a lane of the journal. Its state is what the worker's seat has counted (events and
//! the exact sum), its records are the ids of users. A worker keeps each batch there before it
//! publishes it (`stats::Ledger`), so a crash cannot take back anything that a reader has seen or a
//! client was answered.

use std::num::NonZero;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, iter, process, thread};

use crate::journal::{
    Caller, Figures, Fsync, Journal, Lane, Mark, Packed, PublishedCut, ReadProgress, Recovered,
    Recovery, StagedPoint,
};
use crate::limits::FAILURE_CAUSE_WAIT_MS;
use crate::log::{self, Level};
use crate::server::confine;
use crate::stats::sum::{Sum, WORD_COUNT};
use crate::stats::{KeptTotals, Ledger, Recovering, Statistics};
use crate::sys::sandbox::Rights;

/// The exit status of a process that cannot keep its events.
const EXIT_FAILURE: i32 = 1;

/// The journal of a process and the lanes that no worker has.
pub struct Keeper {
    journal: Journal,
    lanes: Mutex<Vec<Lane>>,
}

impl Keeper {
    /// Takes the recovered state into `statistics`, which must be zero, and makes the directory ready
    /// for `workers` workers. `ids` are the recovered ids.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn start(
        recovered: Recovered,
        ids: Recovering,
        statistics: &Arc<Statistics>,
        workers: usize,
        fsync: Fsync,
        confined: bool,
    ) -> Result<Keeper, String> {
        let states = recovered.states().map(read_state).collect::<Option<Vec<_>>>();
        let mut states = states.ok_or("the state directory holds totals that are no totals")?;
        let rest = states.split_off(workers.min(states.len())).into_iter().fold(ZERO, merge);
        states.resize(workers, ZERO);
        let caller = Arc::new(OfStatistics { statistics: Arc::clone(statistics), confined });
        let started = recovered.start(workers, fsync, caller);
        let (journal, lanes) = started.map_err(|refusal| refusal.to_string())?;
        let marks = lanes.iter().map(|lane| lane.mark().to_words());
        let seats = states.into_iter().zip(marks);
        if !statistics.finish_recovery(ids, journal.epoch(), seats, &rest) {
            return Err(
                "there is not memory enough for the users of the state directory".to_owned()
            );
        }
        Ok(Keeper { journal, lanes: Mutex::new(lanes) })
    }

    /// Returns the lane of a worker.
    ///
    /// # Panics
    /// If there is no such lane, or another handler still has it: without it, a worker would count what
    /// is not kept.
    pub(super) fn ledger(self: &Arc<Self>, worker: usize) -> LaneLedger {
        let mut lanes = self.lanes();
        let at = lanes.iter().position(|lane| lane.index() == worker);
        let lane = lanes.swap_remove(at.expect("each worker has a lane of the journal"));
        LaneLedger { lane: Some(lane), keeper: Arc::clone(self) }
    }

    /// Makes a reset durable; returns the number of resets so far.
    ///
    /// # Errors
    /// If the reset is not durable. The process must end.
    pub(super) fn reset(&self) -> io::Result<u64> {
        self.journal.reset()
    }

    /// Returns the journal's figures for operators.
    pub fn figures(&self) -> Figures {
        self.journal.figures()
    }

    /// Returns the numbers of the descriptors that workers write.
    pub fn descriptors(&self) -> Option<RangeInclusive<i32>> {
        self.journal.descriptors()
    }

    /// Makes what was committed so far durable, so that little is left to do at a change of process.
    ///
    /// # Errors
    /// If it is not durable. The process must end.
    pub fn checkpoint(&self) -> io::Result<()> {
        self.journal.checkpoint()
    }

    /// Ends cleanly, after the last worker.
    ///
    /// # Errors
    /// If not everything is on disk.
    pub fn close(self) -> io::Result<()> {
        let lanes = self.lanes.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.journal.close(lanes)
    }

    /// Packs the journal for a successor, after the last worker has given its lane back.
    ///
    /// # Errors
    /// If a lane is missing, or something could not be written.
    pub fn pack(self) -> io::Result<Packed> {
        let lanes = self.lanes.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.journal.pack(lanes)
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all ids of a state directory into `statistics`, with a thread for each processor. Returns
/// `None` if `progress` ends the reading.
///
/// # Errors
/// A message for the operator, if something in the directory is damaged.
pub fn recover(
    recovery: Recovery,
    statistics: &Statistics,
    progress: impl FnMut(ReadProgress) -> ControlFlow<()>,
) -> Result<Option<(Recovered, Recovering, u64)>, String> {
    let ids = statistics.recover();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let visited = recovery.visit_while(threads, |id| ids.take(id), progress);
    let visited = visited.map_err(|refusal| refusal.to_string())?;
    Ok(visited.map(|(recovered, visited)| (recovered, ids, visited.records)))
}

/// One worker's lane, as the statistics keep batches in it. Goes back to the keeper on drop.
pub(super) struct LaneLedger {
    /// `None` only while it is being dropped.
    lane: Option<Lane>,
    keeper: Arc<Keeper>,
}

impl LaneLedger {
    /// Returns when batches reach the disk.
    pub(super) fn fsync(&self) -> Fsync {
        self.keeper.figures().fsync
    }

    fn lane(&mut self) -> &mut Lane {
        self.lane.as_mut().expect("it is there until the drop")
    }
}

impl Ledger for LaneLedger {
    type Point = StagedPoint;

    fn open(&mut self, resets: u64) {
        let lane = self.lane();
        lane.discard();
        if lane.epoch() != resets {
            lane.restart(resets);
        }
    }

    fn point(&self) -> StagedPoint {
        self.lane.as_ref().expect("it is there until the drop").staged()
    }

    fn back_to(&mut self, point: StagedPoint) {
        self.lane().back_to(point);
    }

    fn add(&mut self, id: &[u8]) -> bool {
        self.lane().append(id).is_ok()
    }

    fn keep(&mut self, totals: &KeptTotals) -> io::Result<[u64; 3]> {
        self.lane().commit(&write_state(totals)).map(Mark::to_words)
    }
}

impl Drop for LaneLedger {
    fn drop(&mut self) {
        let lane = self.lane.take();
        self.keeper.lanes().extend(lane);
    }
}

/// What the journal's threads ask.
struct OfStatistics {
    statistics: Arc<Statistics>,
    /// Whether the journal's threads are confined.
    confined: bool,
}

impl Caller for OfStatistics {
    fn begin_thread(&self, name: &str) {
        if self.confined {
            confine(name, &Rights::of_journal());
        }
    }

    fn cut(&self, into: &mut PublishedCut) {
        let cut = self.statistics.cut();
        into.set_epoch(cut.resets());
        for (lane, seat) in cut.seats().iter().enumerate().take(into.lanes()) {
            // Without a mark the seat has counted nothing since the last reset, or is no worker's.
            if seat.mark != [0; 3] {
                let totals = KeptTotals { events: seat.events, sum: seat.sum.clone() };
                into.set(lane, Mark::from_words(seat.mark), &write_state(&totals));
            }
        }
    }

    fn failed(&self, error: &io::Error) {
        end(error);
    }
}

/// Ends the process if a panic drops it: the kept state and the published state may differ then.
pub(super) struct Whole;

impl Drop for Whole {
    fn drop(&mut self) {
        if thread::panicking() {
            end(&io::Error::other("a commit panicked"));
        }
    }
}

/// Ends the process: what it counts from now on could not be kept, and must not be answered. One of the
/// threads that call this logs why, and the others wait for the end.
pub fn end(error: &io::Error) -> ! {
    static ENDS: AtomicBool = AtomicBool::new(false);
    if error.raw_os_error().is_none() {
        // Not the error of the system, but what follows from it. The thread that has that one comes too.
        thread::sleep(Duration::from_millis(FAILURE_CAUSE_WAIT_MS));
    }
    while ENDS.swap(true, Relaxed) {
        thread::park();
    }
    let text = "the state directory cannot be written; what was answered before is kept";
    log::say(Level::Error, &format!("millrace: {text}: {error}"), text, &[("error", error)]);
    log::finish();
    process::exit(EXIT_FAILURE);
}

const ZERO: KeptTotals = KeptTotals { events: 0, sum: Sum::ZERO };

fn merge(mut total: KeptTotals, other: KeptTotals) -> KeptTotals {
    total.events += other.events;
    total.sum.merge(&other.sum);
    total
}

/// Bytes of a lane's state: the number of events, the digits of the sum (32 bits each, the lowest
/// first), and its highest part with the sign; little-endian.
const STATE_BYTES: usize = 8 + 4 * (WORD_COUNT - 1) + 8;

fn write_state(totals: &KeptTotals) -> [u8; STATE_BYTES] {
    let mut bytes = [0; STATE_BYTES];
    let (events, sum) = bytes.split_at_mut(8);
    events.copy_from_slice(&totals.events.to_le_bytes());
    let words = totals.sum.to_words();
    let (digits, top) = sum.split_at_mut(4 * (WORD_COUNT - 1));
    for (place, word) in digits.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&(word as u32).to_le_bytes());
    }
    top.copy_from_slice(&words[WORD_COUNT - 1].to_le_bytes());
    bytes
}

/// Reads a lane's state; an empty one is zero. Returns `None` if the bytes are not a state.
fn read_state(bytes: &[u8]) -> Option<KeptTotals> {
    if bytes.is_empty() {
        return Some(ZERO);
    }
    let bytes: &[u8; STATE_BYTES] = bytes.try_into().ok()?;
    let (events, sum) = bytes.split_first_chunk()?;
    let (digits, top) = sum.split_last_chunk()?;
    let digit = |bytes: &[u8]| bytes.try_into().map(|it| i64::from(u32::from_le_bytes(it)));
    let digits = digits.chunks(4).map_while(|bytes| digit(bytes).ok());
    let words: Vec<i64> = digits.chain(iter::once(i64::from_le_bytes(*top))).collect();
    let sum = Sum::of_words(&words.try_into().ok()?)?;
    Some(KeptTotals { events: u64::from_le_bytes(*events), sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        for values in [&[][..], &[0.1, -0.3, 1e300], &[-f64::MAX; 5], &[5e-324]] {
            let mut sum = Sum::ZERO;
            sum.add_all(values, |&value| value);
            let totals = KeptTotals { events: values.len() as u64, sum };
            let bytes = write_state(&totals);
            let read = read_state(&bytes).unwrap();
            assert_eq!((read.events, read.sum.to_words()), (totals.events, totals.sum.to_words()));
            assert!(read_state(&bytes[1..]).is_none());
        }
        assert_eq!(read_state(&[]).unwrap().events, 0);
        let mut damaged = write_state(&ZERO);
        damaged[STATE_BYTES - 1] = 0x7f;
        assert!(read_state(&damaged).is_none(), "the highest part is out of range");
    }
}
