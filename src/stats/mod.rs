//! Exact statistics of events: how many, of how many users, and the sum of their values.
//!
//! This room knows nothing of HTTP, of sockets or of time. Each worker has a [`Shard`], into which
//! it stages the events of a batch and commits them in one go; [`Statistics::snapshot`] finds an
//! instant between all commits. [`sections`] says why that instant is one, [`sum`] why the sum is
//! exact, [`users`] how users are kept.

mod sections;
mod sum;
mod sync;
mod users;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::limits::USER_ID_BYTES_MAX;
use sections::Sections;
pub use sum::Sum;
pub use users::{Insertion, Keys, Users};

/// Events of one batch at most: one bit each in [`Refused`].
pub const BATCH_EVENTS_MAX: usize = u64::BITS as usize;

/// The statistics of all workers.
pub struct Statistics {
    sections: Sections<Totals, Users>,
    keys: Keys,
    users_max: Option<u64>,
    /// Which shards have been given out.
    taken: Box<[AtomicBool]>,
}

/// What one worker has counted. Users are counted by the worker who saw them first.
#[derive(Clone)]
struct Totals {
    events: u64,
    users: u64,
    sum: Sum,
}

impl Totals {
    const ZERO: Totals = Totals { events: 0, users: 0, sum: Sum::ZERO };
}

/// The statistics at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Events counted.
    pub events: u64,
    /// Distinct user ids among them.
    pub users: u64,
    /// The sum of their values, rounded once; `None` if it is beyond the range of a double.
    pub sum: Option<f64>,
    /// Events counted by each worker.
    pub worker_events: Vec<u64>,
}

impl Snapshot {
    /// `sum / events` in double arithmetic; 0.0 when nothing was counted.
    pub fn average(&self) -> Option<f64> {
        if self.events == 0 { Some(0.0) } else { self.sum.map(|sum| sum / self.events as f64) }
    }
}

impl Statistics {
    /// Statistics of so many workers, all zero. `keys` are random numbers for hashing user ids;
    /// above `users_max`, events of new users are refused.
    pub fn new(workers: usize, keys: [u64; 2], users_max: Option<u64>) -> Arc<Statistics> {
        Arc::new(Statistics {
            sections: Sections::new((0..workers).map(|_| Totals::ZERO), Users::new(users_max)),
            keys: Keys::new(keys),
            users_max,
            taken: (0..workers).map(|_| AtomicBool::new(false)).collect(),
        })
    }

    /// The shard of worker `worker`, which can be had once.
    ///
    /// # Panics
    /// When it is asked for a second time.
    pub fn shard(self: &Arc<Self>, worker: usize) -> Shard {
        let taken = self.taken[worker].swap(true, Ordering::Relaxed);
        assert!(!taken, "worker {worker} has its shard already");
        Shard {
            statistics: Arc::clone(self),
            worker,
            staged: Vec::with_capacity(BATCH_EVENTS_MAX),
            ids: Vec::with_capacity(BATCH_EVENTS_MAX * 16),
        }
    }

    /// The statistics at one instant between the call and its return.
    pub fn snapshot(&self) -> Snapshot {
        // Copied at the instant, and added up and rounded after it, so that workers wait less.
        let mut copies = Vec::with_capacity(self.taken.len());
        self.sections.exclude().for_each_local(|totals| copies.push(totals.clone()));
        let mut all = Totals::ZERO;
        for totals in &copies {
            all.events += totals.events;
            all.users += totals.users;
            all.sum.merge(&totals.sum);
        }
        Snapshot {
            events: all.events,
            users: all.users,
            sum: all.sum.round(),
            worker_events: copies.iter().map(|totals| totals.events).collect(),
        }
    }

    /// Sets everything to zero at one instant, and gives the memory of the users back.
    pub fn reset(&self) {
        let empty = Users::new(self.users_max);
        let mut exclusion = self.sections.exclude();
        exclusion.for_each_local(|totals| *totals = Totals::ZERO);
        let users = exclusion.with_shared(|users| mem::replace(users, empty));
        drop(exclusion);
        // Gigabytes take the system a while to take back; the caller has other clients to serve.
        if users.is_large() {
            // Where no thread can be had, dropping the closure frees the users here.
            let _ = thread::Builder::new().name("free".into()).spawn(move || drop(users));
        }
    }
}

/// One worker's way to count.
pub struct Shard {
    statistics: Arc<Statistics>,
    worker: usize,
    staged: Vec<Staged>,
    /// The ids of the staged events, one behind the other.
    ids: Vec<u8>,
}

/// An event that is not counted yet.
struct Staged {
    hash: u64,
    value: f64,
    id_end: usize,
}

/// Which events of a batch were refused, because their users would have been too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(u64);

impl Refused {
    /// Whether all were counted.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the event staged as number `index`, from 0, was refused.
    pub fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }
}

impl Shard {
    /// Prepares an event: the id is copied and hashed, and nobody sees anything of it.
    /// `user_id` has 1 to 256 bytes, `value` is finite, and the batch is not full.
    #[inline]
    pub fn stage(&mut self, user_id: &[u8], value: f64) {
        debug_assert!((1..=USER_ID_BYTES_MAX).contains(&user_id.len()) && value.is_finite());
        assert!(!self.is_full(), "a full batch is committed first");
        let hash = self.statistics.keys.hash(user_id);
        self.ids.extend_from_slice(user_id);
        self.staged.push(Staged { hash, value, id_end: self.ids.len() });
    }

    /// Events that are staged.
    #[inline(always)]
    pub fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Whether the batch must be committed before more is staged.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.staged.len() == BATCH_EVENTS_MAX
    }

    /// Counts all that is staged, in one section: a snapshot has all of it or nothing.
    #[inline]
    pub fn commit(&mut self) -> Refused {
        let mut refused = 0;
        let mut section = self.statistics.sections.enter(self.worker);
        let (totals, users) = section.parts();
        // All slots are asked for before the first is needed.
        if self.staged.len() > 1 {
            self.staged.iter().for_each(|event| users.prefetch(event.hash));
        }
        let mut id_at = 0;
        for (index, event) in self.staged.iter().enumerate() {
            let id = &self.ids[id_at..event.id_end];
            id_at = event.id_end;
            match users.insert(event.hash, id) {
                Insertion::Known => {}
                Insertion::New => totals.users += 1,
                Insertion::Refused => {
                    refused |= 1 << index;
                    continue;
                }
            }
            totals.events += 1;
            totals.sum.add(event.value);
        }
        drop(section);
        self.discard();
        Refused(refused)
    }

    /// Forgets what is staged.
    #[inline]
    pub fn discard(&mut self) {
        self.staged.clear();
        self.ids.clear();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
