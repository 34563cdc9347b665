//! The journal at work: two threads, and what concerns all lanes.
//!
//! The first thread makes a checkpoint every second, unless each commit is synced. The second one makes
//! space ahead of the records, so that a slow sync of the first one holds no worker up.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::begin::Begun;
use super::cells::Cells;
use super::checkpoint::{Caller, Checkpointer};
use super::control::ControlFile;
use super::lane::Lane;
use super::recovery::Recovered;
use super::refusal::Unusable;
use super::shared::{Fsync, JournalMeters, LaneFile, MeterReading};
use super::space::{Grower, Space};
use super::storage::{File, Storage};
use crate::limits::{JOURNAL_CHECKPOINT_MS, JOURNAL_GROWTH_BYTES_MIN};
use crate::log;

/// A state directory in use.
pub struct Journal {
    shared: Arc<Threads>,
    files: Vec<(LaneFile, Cells)>,
    workers: usize,
    recovery: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Threads {
    storage: Arc<dyn Storage>,
    fsync: Fsync,
    caller: Arc<dyn Caller>,
    control: Mutex<ControlFile>,
    epoch: AtomicU64,
    checkpointer: Mutex<Checkpointer>,
    grower: Mutex<Grower>,
    meters: Arc<JournalMeters>,
    space: Arc<Space>,
    /// Whether the first thread is to end.
    stopped: Mutex<bool>,
    stop: Condvar,
}

/// The figures of a journal, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// When commits reach the disk.
    pub fsync: Fsync,
    /// Syncs, checkpoints and errors.
    pub counted: MeterReading,
    /// Bytes that the files of lanes with a worker take, and the control file.
    pub disk_bytes: u64,
    /// Room for records in the lane that has the least.
    pub prepared_bytes_min: u64,
    /// Whether the disk is full, so that new records are refused.
    pub disk_full: bool,
    /// Lanes, including those without a worker.
    pub lanes: usize,
    /// How long it took from opening the directory to being able to commit.
    pub recovery: Duration,
}

impl Recovered {
    /// Makes the state directory ready for commits, and starts the journal's threads. Returns one lane
    /// for each worker; worker i goes on with lane i. Lanes beyond them stay as they are.
    ///
    /// # Errors
    /// A failed write or sync, or no more threads. The state on disk is then what it was.
    pub fn start(
        self,
        workers: usize,
        fsync: Fsync,
        caller: Arc<dyn Caller>,
    ) -> Result<(Journal, Vec<Lane>), Unusable> {
        let (begun, lanes) = self.begin(workers, fsync, JOURNAL_GROWTH_BYTES_MIN)?;
        let journal = Journal::new(begun, workers, caller);
        journal.run().map_err(|error| {
            Unusable::of(journal.shared.storage.path(""), "start a thread for", error)
        })?;
        Ok((journal, lanes))
    }
}

impl Journal {
    pub(super) fn new(begun: Begun, workers: usize, caller: Arc<dyn Caller>) -> Journal {
        let epoch = begun.control.control().epoch;
        let shared = Threads {
            storage: begun.storage,
            fsync: begun.fsync,
            caller,
            control: Mutex::new(begun.control),
            epoch: AtomicU64::new(epoch),
            checkpointer: Mutex::new(begun.checkpointer),
            grower: Mutex::new(begun.grower),
            meters: begun.meters,
            space: begun.space,
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        };
        Journal {
            shared: Arc::new(shared),
            files: begun.files,
            workers,
            recovery: begun.recovery,
            threads: Mutex::new(Vec::new()),
        }
    }

    fn run(&self) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        let mut start = |name: &'static str, body: fn(&Threads) -> io::Result<()>| {
            let shared = self.shared.clone();
            let named = thread::Builder::new().name(name.into());
            let run = move || {
                shared.caller.begin_thread(name);
                shared.guard(body);
            };
            named.spawn(run).map(|thread| threads.push(thread))
        };
        if self.shared.fsync == Fsync::EverySecond {
            start("journal-sync", Threads::checkpoint_every_second)?;
        }
        start("journal-space", Threads::make_space)
    }

    /// Makes a reset durable, and returns the number of resets so far: the new epoch. Commits of earlier
    /// epochs do not count any more, so that the caller must publish the reset with the new epoch now;
    /// a commit that was made before and is published after it must be made again
    /// ([`Lane::restart`]).
    ///
    /// # Errors
    /// A failed write or sync. The process must end.
    pub fn reset(&self) -> io::Result<u64> {
        let shared = &self.shared;
        if shared.meters.has_failed() {
            return Err(JournalMeters::after_failure());
        }
        // Under the lock, so that epochs never go back.
        let mut control = lock(&shared.control);
        let epoch = control.reset().inspect_err(|_| shared.meters.fail())?;
        shared.epoch.store(epoch, Relaxed);
        Ok(epoch)
    }

    /// Returns how often the state was reset.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch.load(Relaxed)
    }

    /// Makes a checkpoint now, so that little is left to be synced at a stop or a change of process.
    ///
    /// # Errors
    /// A failed write or sync. The process must end.
    pub fn checkpoint(&self) -> io::Result<()> {
        self.shared.checkpoint().inspect_err(|_| self.shared.meters.fail())
    }

    /// Returns the figures of this journal.
    pub fn figures(&self) -> Figures {
        let shared = &self.shared;
        Figures {
            fsync: shared.fsync,
            counted: shared.meters.read(),
            disk_bytes: shared.space.taken(),
            prepared_bytes_min: shared.space.left_min(),
            disk_full: shared.space.is_full(),
            lanes: self.files.len(),
            recovery: self.recovery,
        }
    }

    /// Returns the lowest and the highest number of the descriptors that workers write; `None` if the
    /// storage has no descriptors.
    pub fn descriptors(&self) -> Option<RangeInclusive<RawFd>> {
        let files = self.files.iter();
        let files = files.flat_map(|(lane, cells)| [&lane.file, cells.file().file()]).cloned();
        let files = files.chain([self.control_file()]);
        let numbers = files.filter_map(|file| file.descriptor().map(|it| it.as_raw_fd()));
        numbers.fold(None, |range: Option<RangeInclusive<RawFd>>, number| {
            Some(range.map_or(number..=number, |range| {
                number.min(*range.start())..=number.max(*range.end())
            }))
        })
    }

    /// Ends cleanly: everything is on disk, and the control file records it for the next start.
    /// `lanes` are all that the start had returned; if one is missing because its worker came to a
    /// bad end, the end is not called clean.
    ///
    /// # Errors
    /// A failed write or sync, or one that failed earlier.
    pub fn close(self, lanes: Vec<Lane>) -> io::Result<()> {
        self.pause();
        let shared = &self.shared;
        if shared.meters.has_failed() {
            return Err(JournalMeters::after_failure());
        }
        for (lane, cells) in &self.files {
            cells.sync(&shared.meters)?;
            shared.meters.sync(&*lane.file)?;
        }
        if lanes.len() == self.workers {
            lock(&shared.control).close()?;
        }
        Ok(())
    }

    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    pub(super) fn files(&self) -> &[(LaneFile, Cells)] {
        &self.files
    }

    pub(super) fn control_file(&self) -> Arc<dyn File> {
        lock(&self.shared.control).file().clone()
    }

    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.shared.storage
    }

    /// Ends the threads.
    pub(super) fn pause(&self) {
        *lock(&self.shared.stopped) = true;
        self.shared.stop.notify_all();
        self.shared.space.set_stopped();
        for thread in lock(&self.threads).drain(..) {
            // A panic in it has been printed; there is nothing more to learn from it.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    /// Ends the threads, and writes nothing.
    fn drop(&mut self) {
        self.pause();
    }
}

impl Threads {
    fn checkpoint(&self) -> io::Result<()> {
        if self.meters.has_failed() {
            return Err(JournalMeters::after_failure());
        }
        let mut checkpointer = lock(&self.checkpointer);
        checkpointer.turn(&*self.caller, &self.meters)
    }

    /// Runs the body of a thread. Without it the journal keeps none of its promises, so that the caller
    /// learns of every end but the one that was asked for.
    fn guard(&self, body: fn(&Threads) -> io::Result<()>) {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| body(self)));
        let panicked = |_| Err(io::Error::other("a thread of the journal panicked"));
        if let Err(error) = outcome.unwrap_or_else(panicked) {
            self.meters.fail();
            self.caller.failed(&error);
        }
    }

    fn checkpoint_every_second(&self) -> io::Result<()> {
        let interval = Duration::from_millis(JOURNAL_CHECKPOINT_MS);
        let mut next = Instant::now() + interval;
        loop {
            let mut stopped = lock(&self.stopped);
            loop {
                if *stopped {
                    return Ok(());
                }
                let left = next.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let waited = self.stop.wait_timeout(stopped, left);
                stopped = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            drop(stopped);
            let from = Instant::now();
            self.checkpoint()?;
            let took = from.elapsed();
            if took > interval {
                let ms = took.as_millis() as u64;
                log::warn(
                    "the disk is slow: a checkpoint took longer than a second",
                    &[("ms", &ms)],
                );
            }
            next = (next + interval).max(Instant::now());
        }
    }

    fn make_space(&self) -> io::Result<()> {
        while self.space.wait_until_asked() {
            lock(&self.grower).turn(&self.meters)?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
