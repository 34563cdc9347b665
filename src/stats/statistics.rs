//! The statistics of all workers: the totals of each of them, and the set of users.
//!
//! A worker changes its totals and the set in a section; a snapshot and a reset each take place at an
//! instant (see `section`). What workers do inside a section is in `shard` and `kept`.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::section::Sections;
use super::snapshot::Snapshot;
use super::totals::Totals;
use super::users::{Keyed, Users};
use crate::limits::RESET_DROP_BYTES_MAX;

/// The statistics of all workers.
pub struct Statistics {
    /// A seat for each worker, and one for what an image brought. The set of users is counted, so
    /// that a cut keeps it when a reset replaces it.
    pub(super) sections: Sections<Totals, Arc<Users>>,
    /// How often the set of users was replaced; changed at an instant only.
    pub(super) resets: AtomicU64,
    /// Held during a reset, so that resets are kept and published in the same order.
    resetting: Mutex<()>,
    pub(super) shard_taken: Box<[AtomicBool]>,
    pub(super) hash: Keyed,
    users_max: Option<u64>,
}

impl Statistics {
    /// Makes statistics of `workers` workers, all zero. `keys` must be random, so that clients cannot
    /// choose ids whose hashes collide. More users than `users_max` are refused. Returns `None` if the
    /// system has no memory for an empty set of users.
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
    /// If the system has no memory for an empty set of users.
    pub fn new(workers: usize, keys: [u64; 2], users_max: Option<u64>) -> Arc<Statistics> {
        Statistics::try_new(workers, keys, users_max).expect("memory for an empty set of users")
    }

    /// Returns the state at an instant between call and return. Waits only for the batches that are
    /// being committed at this moment, and for earlier snapshots.
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

    /// Adds all totals up at an instant, and passes each of them to `visit`.
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

    /// Runs `work` in a section of the extra seat, the one after the workers' seats. It holds what an
    /// image brought.
    pub(super) fn with_extra<R>(&self, work: impl FnOnce(&mut Totals, &Users) -> R) -> R {
        self.sections.enter(self.shard_taken.len(), |totals, users| work(totals, users))
    }

    /// Runs `work` in a section of `worker`'s seat. Passes the number of resets so far to `work`.
    pub(super) fn in_section<R>(
        &self,
        worker: usize,
        work: impl FnOnce(&mut Totals, u64, &Users) -> R,
    ) -> R {
        self.sections
            .enter(worker, |totals, users| work(totals, self.resets.load(Ordering::Relaxed), users))
    }

    /// Sets everything to zero at an instant between call and return. The memory of the users is
    /// given back soon after. Returns false, and changes nothing, if the system has no memory for an
    /// empty set of users.
    pub fn reset(&self) -> bool {
        // Without a ledger any change of the number of resets will do.
        self.reset_kept(|resets| Ok(resets + 1)).is_ok_and(|was_reset| was_reset)
    }

    /// Resets as [`reset`](Self::reset) does, after `keep` has kept the fact of the reset. `keep` gets
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

/// Drops a set, if no cut keeps it. A large one is dropped in a thread of its own, since the caller has
/// other work to do.
fn give_back(users: Arc<Users>) {
    if users.page_bytes() > RESET_DROP_BYTES_MAX {
        // If no thread can be started, the closure and the set in it are dropped here.
        let _ = thread::Builder::new().name("reset".into()).spawn(move || drop(users));
    }
}
