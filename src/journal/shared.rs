//! What the lanes, the journal's threads and the operator's questions share: figures, and whether there
//! is still anything to hope for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::layout::Identity;
use super::storage::File;
use crate::sys::clock;

/// When what was committed is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// A second later at most, if the machine lives so long. The end of the process loses nothing.
    EverySecond,
    /// Before the commit returns.
    Always,
}

impl Fsync {
    /// Both with the names that they have on the command line.
    pub const NAMES: [(&str, Fsync); 2] =
        [("everysec", Fsync::EverySecond), ("always", Fsync::Always)];

    /// Returns the name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// A lane's open file.
#[derive(Clone, Debug)]
pub struct LaneFile {
    /// The file.
    pub file: Arc<dyn File>,
    /// Which lane it is.
    pub identity: Identity,
}

/// Counters with many writers. They order nothing, so that `Relaxed` is enough.
#[derive(Debug, Default)]
pub struct JournalMeters {
    syncs: AtomicU64,
    sync_ns: AtomicU64,
    synced_unix_s: AtomicU64,
    checkpoints: AtomicU64,
    errors: AtomicU64,
    failed: AtomicBool,
}

/// What the meters show at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterReading {
    /// Syncs of lanes.
    pub syncs: u64,
    /// How long the last one took.
    pub last_sync_ns: u64,
    /// When the last one ended, in seconds since 1970; 0 before the first one.
    pub last_sync_unix_s: u64,
    /// Checkpoints that are on disk.
    pub checkpoints: u64,
    /// Writes and syncs that failed. After the first one nothing is committed any more.
    pub errors: u64,
}

impl JournalMeters {
    /// Makes what was written to `file` durable, and notes how long that takes.
    ///
    /// # Errors
    /// Those of the sync.
    pub fn sync(&self, file: &dyn File) -> io::Result<()> {
        let from = clock::exact_ns();
        file.sync()?;
        self.sync_ns.store(clock::exact_ns() - from, Relaxed);
        self.synced_unix_s.store(clock::unix_seconds(), Relaxed);
        self.syncs.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Notes a checkpoint.
    pub fn checkpointed(&self) {
        self.checkpoints.fetch_add(1, Relaxed);
    }

    /// Notes a failure, after which no commit succeeds.
    pub fn fail(&self) {
        self.errors.fetch_add(1, Relaxed);
        self.failed.store(true, Relaxed);
    }

    /// Whether something has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Returns the error of every call after a failure.
    pub fn after_failure() -> io::Error {
        io::Error::other("an earlier write or sync of the journal failed")
    }

    /// Reads all counters.
    pub fn read(&self) -> MeterReading {
        MeterReading {
            syncs: self.syncs.load(Relaxed),
            last_sync_ns: self.sync_ns.load(Relaxed),
            last_sync_unix_s: self.synced_unix_s.load(Relaxed),
            checkpoints: self.checkpoints.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }
}
