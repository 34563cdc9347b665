//! One worker's part in the statistics.
//!
//! A worker stages requests and commits them together, before the first of their answers leaves. A
//! commit is one section (see `section`): the users, the counts and the sum of a batch become
//! visible together. A request is a *group* of events; its events are counted all or none.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::batch::Batch;
use super::kept::{Keeping, Ledger};
use super::statistics::Statistics;
use super::totals::RefusedGroup;
use super::users::Keyed;
use crate::limits::BATCH_EVENTS_MAX;

/// Gives one worker access to the statistics. Staged events are lost when it is dropped.
pub struct Shard {
    statistics: Arc<Statistics>,
    worker: usize,
    hash: Keyed,
    batch: Batch,
    /// The groups that the last commit refused, in the order of their numbers.
    refused: Vec<RefusedGroup>,
    /// The memory of commits that are kept.
    keeping: Box<Keeping>,
}

impl Statistics {
    /// Takes the shard of `worker`, counted from 0.
    ///
    /// # Panics
    ///
    /// If there is no such worker, or if its shard is in use.
    pub fn shard(self: &Arc<Self>, worker: usize) -> Shard {
        let taken = self.shard_taken[worker].swap(true, Ordering::Relaxed);
        assert!(!taken, "the shard of worker {worker} is taken");
        Shard::new(Arc::clone(self), worker, self.hash)
    }
}

impl Shard {
    fn new(statistics: Arc<Statistics>, worker: usize, hash: Keyed) -> Self {
        Shard {
            statistics,
            worker,
            hash,
            batch: Batch::new(),
            refused: Vec::new(),
            keeping: Box::new(Keeping::new()),
        }
    }

    /// Stages a group of one event. `user_id` has 1 to 256 bytes, `value` is finite.
    #[inline]
    pub fn stage(&mut self, user_id: &[u8], value: f64) {
        self.batch.push(self.hash.hash(user_id), user_id, value);
    }

    /// Opens a group, to stage one or more events in it.
    pub fn open_group(&mut self) -> OpenGroup<'_> {
        OpenGroup { shard: self, events: 0 }
    }

    /// Returns the number of groups staged since the last commit.
    #[inline]
    pub fn staged(&self) -> usize {
        self.batch.group_count()
    }

    /// Returns whether the batch has enough events for a commit.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_EVENTS_MAX
    }

    /// Publishes all that is staged, in one instant, and returns which groups were refused. The
    /// others are counted, exactly once, in every snapshot begun from now on.
    pub fn commit(&mut self) -> Refused<'_> {
        self.refused.clear();
        if self.batch.group_count() > 0 {
            let (batch, refused) = (&self.batch, &mut self.refused);
            self.statistics
                .sections
                .enter(self.worker, |totals, users| totals.count(batch, users, refused));
            self.batch.clear();
        }
        Refused { groups: &self.refused }
    }

    /// Keeps all that is staged in `ledger`, then publishes it as [`commit`](Self::commit) does.
    ///
    /// # Errors
    /// If the batch could not be kept. Then nothing of it is published, and the ledger must not be used
    /// again.
    pub fn commit_kept(&mut self, ledger: &mut impl Ledger) -> io::Result<Refused<'_>> {
        self.refused.clear();
        if self.batch.group_count() > 0 {
            let (batch, refused) = (&self.batch, &mut self.refused);
            self.keeping.commit(&self.statistics, self.worker, batch, ledger, refused)?;
            self.batch.clear();
        }
        Ok(Refused { groups: &self.refused })
    }

    /// Returns the number of staged events.
    #[inline]
    pub fn staged_events(&self) -> usize {
        self.batch.len()
    }

    /// Forgets all staged groups but the first `groups`.
    pub fn truncate(&mut self, groups: usize) {
        self.batch.truncate(groups);
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.statistics.shard_taken[self.worker].store(false, Ordering::Relaxed);
    }
}

/// Stages a group. Forgets it if it is dropped before [`close`](Self::close).
pub struct OpenGroup<'s> {
    shard: &'s mut Shard,
    events: usize,
}

impl OpenGroup<'_> {
    /// Stages an event in this group. `user_id` has 1 to 256 bytes, `value` is finite.
    #[inline(always)]
    pub fn stage(&mut self, user_id: &[u8], value: f64) {
        let hash = self.shard.hash.hash(user_id);
        if self.events == 0 {
            self.shard.batch.push(hash, user_id, value);
        } else {
            self.shard.batch.push_follower(hash, user_id, value);
        }
        self.events += 1;
    }

    /// Ends the group, which is staged now as a whole; returns the number of its events. A group
    /// without events is no group.
    pub fn close(mut self) -> usize {
        std::mem::take(&mut self.events)
    }
}

impl Drop for OpenGroup<'_> {
    fn drop(&mut self) {
        if self.events > 0 {
            self.shard.batch.pop_group();
        }
    }
}

/// The groups of a batch of which nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Refused<'s> {
    groups: &'s [RefusedGroup],
}

impl<'s> Refused<'s> {
    /// Returns whether every group was counted.
    #[inline]
    pub fn is_none(self) -> bool {
        self.groups.is_empty()
    }

    /// Returns the refused groups in the order of their numbers.
    pub fn groups(self) -> &'s [RefusedGroup] {
        self.groups
    }
}
