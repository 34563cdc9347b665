//! One worker's part in the statistics.
//!
//! A worker stages the events of a turn of its loop and commits them at once, before the first of
//! their answers leaves. Committing is one section (see `section`): the users, the counts and the
//! sum of a batch become visible together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Statistics;
use super::batch::{BATCH_EVENTS_MAX, Batch};
use super::sum::Sum;
use super::users::{Keyed, Outcome, Users};

/// A worker's access to the statistics. What it has staged is lost when it is dropped.
pub struct Shard {
    statistics: Arc<Statistics>,
    worker: usize,
    hash: Keyed,
    batch: Box<Batch>,
}

impl Shard {
    pub(super) fn new(statistics: Arc<Statistics>, worker: usize, hash: Keyed) -> Self {
        Shard { statistics, worker, hash, batch: Batch::new() }
    }

    /// Takes an event into the batch; nobody sees it yet. `user_id` has 1 to 256 bytes, `value`
    /// is finite.
    ///
    /// # Panics
    ///
    /// If the batch is full or `user_id` has another length.
    #[inline]
    pub fn stage(&mut self, user_id: &[u8], value: f64) {
        self.batch.push(self.hash.hash(user_id), user_id, value);
    }

    /// Events staged since the last commit.
    #[inline]
    pub fn staged(&self) -> usize {
        self.batch.len()
    }

    /// Whether the batch must be committed before another event is staged.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.batch.len() == BATCH_EVENTS_MAX
    }

    /// Publishes all that is staged, in one instant, and says which events were refused. The
    /// others are counted, exactly once, in every snapshot begun from now on.
    pub fn commit(&mut self) -> Refused {
        if self.batch.len() == 0 {
            return Refused::default();
        }
        let batch = &*self.batch;
        let sections = &self.statistics.sections;
        let refused = sections.enter(self.worker, |totals, users| totals.count(batch, users));
        self.batch.clear();
        refused
    }

    /// Forgets what is staged.
    pub fn discard(&mut self) {
        self.batch.clear();
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.statistics.shard_taken[self.worker].store(false, Ordering::Relaxed);
    }
}

/// Which events of a batch were not counted, since there are as many users as may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Refused {
    /// Bit `i` stands for the event staged as the `i`-th, from 0.
    bits: u64,
}

impl Refused {
    /// Whether every event was counted.
    #[inline]
    pub fn is_none(self) -> bool {
        self.bits == 0
    }

    /// Whether the event staged as the `index`-th, from 0, was refused.
    #[inline]
    pub fn contains(self, index: usize) -> bool {
        index < BATCH_EVENTS_MAX && self.bits >> index & 1 == 1
    }

    /// How many were refused.
    pub fn count(self) -> usize {
        self.bits.count_ones() as usize
    }

    fn insert(&mut self, index: usize) {
        self.bits |= 1 << index;
    }
}

const _: () = assert!(BATCH_EVENTS_MAX <= u64::BITS as usize);

/// What a worker has counted.
#[derive(Clone)]
pub(super) struct Totals {
    pub events: u64,
    /// Users whose first event this worker took.
    pub users: u64,
    pub sum: Sum,
}

impl Totals {
    pub const ZERO: Totals = Totals { events: 0, users: 0, sum: Sum::ZERO };

    fn count(&mut self, batch: &Batch, users: &Users) -> Refused {
        if batch.len() > 1 {
            users.prefetch(batch.hashes());
        }
        let mut refused = Refused::default();
        let mut new = 0;
        for (index, (hash, id)) in batch.ids().enumerate() {
            match users.insert(hash, id) {
                Outcome::Known => {}
                Outcome::New => new += 1,
                Outcome::Refused => refused.insert(index),
            }
        }
        self.users += new;
        self.events += (batch.len() - refused.count()) as u64;
        if refused.is_none() {
            self.sum.add_all(batch.values());
        } else {
            let counted = batch.values().iter().enumerate().filter(|&(i, _)| !refused.contains(i));
            counted.for_each(|(_, &value)| self.sum.add(value));
        }
        refused
    }
}
