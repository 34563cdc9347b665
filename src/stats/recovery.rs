//! Takes in the statistics that an earlier process kept, before anything is counted.
//!
//! Ids come in any order, from many threads at once, and some more than once. Each seat has its totals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::kept::KeptTotals;
use super::statistics::Statistics;
use super::totals::KeptMark;
use super::users::{Keyed, Outcome, Users};

/// Takes in ids; see [`Statistics::recover`].
pub struct Recovering {
    users: Arc<Users>,
    hash: Keyed,
    new: AtomicU64,
    lacks_memory: AtomicBool,
}

impl Statistics {
    /// Begins to take in kept statistics.
    pub fn recover(&self) -> Recovering {
        let users = self.sections.instant(|instant| instant.with_shared(Arc::clone));
        let (new, lacks_memory) = (AtomicU64::new(0), AtomicBool::new(false));
        Recovering { users, hash: self.hash, new, lacks_memory }
    }

    /// Ends the recovery: takes in the totals of the workers' seats, each with its mark, and the number
    /// of resets. `rest` has the totals that belong to no worker. Returns false if there was not enough
    /// memory for all ids.
    pub fn finish_recovery(
        &self,
        recovering: Recovering,
        resets: u64,
        workers: impl Iterator<Item = (KeptTotals, KeptMark)>,
        rest: &KeptTotals,
    ) -> bool {
        for (worker, (kept, mark)) in workers.enumerate() {
            self.in_section(worker, |totals, _, _| {
                totals.events = kept.events;
                totals.sum = kept.sum;
                totals.mark = mark;
            });
        }
        self.with_extra(|totals, _| {
            totals.events = rest.events;
            totals.sum.clone_from(&rest.sum);
            totals.users += recovering.new.load(Ordering::Relaxed);
        });
        self.resets.store(resets, Ordering::Relaxed);
        !recovering.lacks_memory.load(Ordering::Relaxed)
    }
}

impl Recovering {
    /// Takes in an id, which may have come before.
    pub fn take(&self, id: &[u8]) {
        match self.users.insert_carried(self.hash.hash(id), id) {
            Outcome::Known => {}
            Outcome::New => {
                self.new.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Refused(_) => self.lacks_memory.store(true, Ordering::Relaxed),
        }
    }
}
