//! What one worker has counted, and how it counts a batch.
//!
//! A batch is counted inside a section of the worker's seat (see `section`), so that users, counts and
//! sum change together. A *group* of events is counted as a whole or refused as a whole.

use std::ops::Range;

use super::batch::Batch;
use super::sum::Sum;
use super::users::{Lack, Outcome, Users};
use crate::limits::BATCH_EVENTS_MAX;

/// Identifies a kept batch to the ledger; all zeros before the first one.
pub type KeptMark = [u64; 3];

/// Holds what a worker has counted.
#[derive(Clone)]
pub(super) struct Totals {
    pub events: u64,
    /// Users whose first event this worker took.
    pub users: u64,
    pub sum: Sum,
    /// Identifies the last batch that was kept and published since the last reset.
    pub mark: KeptMark,
}

impl Totals {
    pub const ZERO: Totals = Totals { events: 0, users: 0, sum: Sum::ZERO, mark: [0; 3] };

    /// Counts a batch. Appends the groups that were refused.
    pub fn count(&mut self, batch: &Batch, users: &Users, refused: &mut Vec<RefusedGroup>) {
        if batch.is_single() {
            return self.count_single(batch, users, refused);
        }
        for (number, group) in batch.groups().enumerate() {
            if let Err(lack) = self.count_group(batch, group, users) {
                refused.push(RefusedGroup { group: number as u32, lack });
            }
        }
    }

    /// Counts a batch of which each event is a group of its own.
    fn count_single(&mut self, batch: &Batch, users: &Users, refused: &mut Vec<RefusedGroup>) {
        let all = 0..batch.len();
        if batch.len() > 1 {
            users.prefetch(batch.hashes(all.clone()));
        }
        let mut new = 0;
        for (index, (hash, id)) in batch.ids(all.clone()).enumerate() {
            match users.insert(hash, id) {
                Outcome::Known => {}
                Outcome::New => new += 1,
                Outcome::Refused(lack) => refused.push(RefusedGroup { group: index as u32, lack }),
            }
        }
        self.users += new;
        self.events += (batch.len() - refused.len()) as u64;
        if refused.is_empty() {
            self.sum.add_all(batch.events(all), |event| event.value);
        } else {
            let counted = |index: usize| {
                refused.binary_search_by_key(&(index as u32), |it| it.group).is_err()
            };
            let events = batch.events(all).iter().enumerate();
            events
                .filter(|&(index, _)| counted(index))
                .for_each(|(_, event)| self.sum.add(event.value));
        }
    }

    /// Counts a group, all of it or nothing.
    fn count_group(
        &mut self,
        batch: &Batch,
        group: Range<usize>,
        users: &Users,
    ) -> Result<(), Lack> {
        let mut places = users.reserve(batch.ids(group.clone()))?;
        let mut start = group.start;
        while start < group.end {
            let end = group.end.min(start + BATCH_EVENTS_MAX);
            users.prefetch(batch.hashes(start..end));
            for (hash, id) in batch.ids(start..end) {
                self.users += u64::from(places.insert(hash, id));
            }
            start = end;
        }
        self.events += group.len() as u64;
        self.sum.add_all(batch.events(group), |event| event.value);
        Ok(())
    }
}

/// Names a group of which nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedGroup {
    /// Its number, from 0 in the order of staging.
    pub group: u32,
    /// What its new users lacked.
    pub lack: Lack,
}
