//! Exact statistics of events: how many, of how many users, and the sum of their values.
//!
//! Each worker counts in a [`Shard`] of its own. A [`Snapshot`] is what people see of the state at one
//! instant; a [`Cut`] is all of that state, ids included, which are copied while counting goes on; an
//! [`image`] is a cut as bytes. They stand on three parts that do not depend on one another:
//!
//! - `section`: batches that become visible whole, and instants at which everything is read;
//! - [`sum`]: an exact sum of doubles;
//! - `users`: an exact set of ids.
//!
//! What is left out: sockets, text, files, the clock, and where random keys come from.

mod batch;
mod cut;
pub mod image;
mod kept;
mod newcomers;
mod recovery;
mod section;
mod shard;
mod snapshot;
pub mod sum;
mod sync;
mod users;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub use cut::{Counted, Cut, Ids};
pub use kept::{KeptTotals, Ledger, Mark};
pub use recovery::Recovering;
pub use shard::{OpenGroup, Refusal, Refused, Shard};
pub use snapshot::Snapshot;
pub use users::{Lack, Positions, stored_ids};

use section::Sections;
use shard::Totals;
use users::{Keyed, Users};

/// The statistics of all workers.
pub struct Statistics {
    /// A seat for each worker, and one for what an image brought. The set of users is counted, so
    /// that a cut keeps it when a reset replaces it.
    sections: Sections<Totals, Arc<Users>>,
    /// How often the set of users was replaced; changed at an instant only.
    resets: AtomicU64,
    /// Held during a reset, so that resets are kept and published in the same order.
    resetting: Mutex<()>,
    shard_taken: Box<[AtomicBool]>,
    hash: Keyed,
    users_max: Option<u64>,
}

impl Statistics {
    /// Makes statistics of `workers` workers, all zero. `keys` are random, so that clients cannot choose
    /// ids whose hashes collide. More users than `users_max` are refused. Returns `None` if the system
    /// has no memory even for an empty set of users.
    pub fn try_new(
        workers: usize,
        keys: [u64; 2],
        users_max: Option<u64>,
    ) -> Option<Arc<Statistics>> {
        let users = Arc::new(Users::try_new(users_max)?);
        let locals = (0..workers + 1).map(|_| Totals::ZERO);
        Some(Arc::new(Statistics {
            resets: AtomicU64::new(0),
            resetting: Mutex::new(()),
            sections: Sections::new(locals, users),
            shard_taken: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            hash: Keyed::new(keys),
            users_max,
        }))
    }

    /// Makes statistics as [`try_new`](Self::try_new) does.
    ///
    /// # Panics
    ///
    /// When the system has no memory even for an empty set of users.
    pub fn new(workers: usize, keys: [u64; 2], users_max: Option<u64>) -> Arc<Statistics> {
        Statistics::try_new(workers, keys, users_max).expect("memory for an empty set of users")
    }

    /// The shard of `worker`, counted from 0.
    ///
    /// # Panics
    ///
    /// If there is no such worker, or its shard was taken and not dropped since.
    pub fn shard(self: &Arc<Self>, worker: usize) -> Shard {
        let taken = self.shard_taken[worker].swap(true, Ordering::Relaxed);
        assert!(!taken, "the shard of worker {worker} is taken");
        Shard::new(Arc::clone(self), worker, self.hash)
    }

    /// The state at an instant between call and return. Waits for no more than the batches that
    /// are just being committed, and for snapshots that came before.
    pub fn snapshot(&self) -> Snapshot {
        let mut worker_events = Vec::with_capacity(self.sections.seat_count());
        let total = self.total(|local| worker_events.push(local.events));
        // What an image brought belongs to no worker.
        worker_events.pop();
        Snapshot {
            events: total.events,
            users: total.users,
            sum: total.sum.round(),
            worker_events: worker_events.into_boxed_slice(),
        }
    }

    /// All totals together at an instant; shows each to `visit`.
    fn total(&self, mut visit: impl FnMut(&Totals)) -> Totals {
        let mut total = Totals::ZERO;
        self.sections.instant(|instant| {
            instant.for_each_local(|local| {
                visit(local);
                total.events += local.events;
                total.users += local.users;
                total.sum.merge(&local.sum);
            });
        });
        total
    }

    /// Runs `work` in a section of the extra seat, the one after the workers' seats, which holds
    /// what an image brought.
    fn with_extra<R>(&self, work: impl FnOnce(&mut Totals, &Users) -> R) -> R {
        self.sections.enter(self.shard_taken.len(), |totals, users| work(totals, users))
    }

    /// Runs `work` in a section of `worker`'s seat, with the number of resets so far.
    fn in_section<R>(&self, worker: usize, work: impl FnOnce(&mut Totals, u64, &Users) -> R) -> R {
        self.sections
            .enter(worker, |totals, users| work(totals, self.resets.load(Ordering::Relaxed), users))
    }

    /// Sets everything to zero at an instant between call and return; the memory of the users is
    /// given back soon after. Returns whether that was done: it is not if the system has no memory for
    /// an empty set of users.
    pub fn reset(&self) -> bool {
        // Without a ledger the number of resets need only change.
        self.reset_kept(|resets| Ok(resets + 1)).is_ok_and(|was_reset| was_reset)
    }

    /// Resets as [`reset`](Self::reset) does, after `keep` has kept that there is a reset. `keep` gets
    /// the number of resets so far and returns the new one, which must be larger.
    ///
    /// # Errors
    /// Those of `keep`; then nothing is reset.
    pub fn reset_kept(&self, keep: impl FnOnce(u64) -> io::Result<u64>) -> io::Result<bool> {
        let Some(empty) = Users::try_new(self.users_max).map(Arc::new) else { return Ok(false) };
        let turn = self.resetting.lock().unwrap_or_else(PoisonError::into_inner);
        let resets = keep(self.resets.load(Ordering::Relaxed))?;
        let old = self.sections.instant(|instant| {
            instant.for_each_local(|local| *local = Totals::ZERO);
            self.resets.store(resets, Ordering::Relaxed);
            instant.replace_shared(empty)
        });
        drop(turn);
        give_back(old);
        Ok(true)
    }
}

/// Drops a set, if no cut keeps it; a large one in a thread of its own, since the caller has other
/// work to do.
fn give_back(users: Arc<Users>) {
    if users.page_bytes() > DROP_AT_ONCE_BYTES_MAX {
        // Where no thread can be had, the closure and the set in it are dropped here.
        let _ = thread::Builder::new().name("reset".into()).spawn(move || drop(users));
    }
}

/// Unmapping this much takes about a millisecond.
const DROP_AT_ONCE_BYTES_MAX: usize = 8 << 20;

#[cfg(all(test, not(loom)))]
mod tests;
