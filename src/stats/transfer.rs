//! Statistics on their way to another process, which goes on counting where this one stops.
//!
//! Users can be many, so they are copied while workers still count: ids are only ever added, each
//! stripe stores its own in the order of their coming, and a [`Transfer`] remembers how far it has come.
//! Once the workers have stopped, what is left is what came last, and the [`Carried`] totals.
//! A reset empties the set in between; the copy notices and begins anew.
//!
//! What arrives belongs to no worker: it has a seat of its own behind theirs.

use super::Statistics;
use super::sum::{Sum, WORD_COUNT};
use super::users::{Copied, Outcome, stored_ids};

/// What all workers have counted, but for the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Events.
    pub events: u64,
    /// Distinct users, as many as ids are copied.
    pub users: u64,
    /// The exact sum of the values, see [`Sum::to_words`].
    pub sum: [i64; WORD_COUNT],
}

/// How far a copy of the ids has come.
#[derive(Clone, Debug)]
pub struct Transfer {
    copied: Copied,
    resets: u64,
}

/// What one step of a copy came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ids were appended.
    Some,
    /// There are none that were not copied.
    None,
    /// The statistics were reset: what was copied before is no part of them any more.
    Reset,
}

/// What arrives is not what a copy can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Statistics {
    /// A copy of the ids that has nothing yet.
    pub fn copy(&self) -> Transfer {
        Transfer { copied: Copied::nothing(), resets: self.with_carried(|_, resets, _| resets) }
    }

    /// Appends some ids, a page of them at the most, that `copy` has not had.
    pub fn copy_ids(&self, copy: &mut Transfer, out: &mut Vec<u8>) -> Step {
        self.with_carried(|_, resets, users| {
            if resets != copy.resets {
                *copy = Transfer { copied: Copied::nothing(), resets };
                return Step::Reset;
            }
            if users.copy_ids(&mut copy.copied, out) { Step::Some } else { Step::None }
        })
    }

    /// The totals at an instant; they fit the ids copied once no worker counts any more.
    pub fn carried(&self) -> Carried {
        let total = self.total(|_| ());
        Carried { events: total.events, users: total.users, sum: total.sum.to_words() }
    }

    /// Takes in ids as [`copy_ids`](Self::copy_ids) has appended them, whatever the limit of users.
    ///
    /// # Errors
    /// If they are no such ids, or no memory is left for them.
    pub fn take_ids(&self, ids: &[u8]) -> Result<(), Malformed> {
        // Some at a time, so that no instant waits long for the section.
        let mut ids = stored_ids(ids).peekable();
        while ids.peek().is_some() {
            self.with_carried(|totals, _, users| {
                for id in ids.by_ref().take(IDS_PER_SECTION) {
                    let id = id.ok_or(Malformed)?;
                    match users.insert_carried(self.hash.hash(id), id) {
                        Outcome::Known => {}
                        Outcome::New => totals.users += 1,
                        Outcome::Refused => return Err(Malformed),
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Takes in the totals, after all ids.
    ///
    /// # Errors
    /// If they do not fit the ids that were taken in, or the sum is none.
    pub fn take_totals(&self, carried: &Carried) -> Result<(), Malformed> {
        let sum = Sum::of_words(&carried.sum).ok_or(Malformed)?;
        self.with_carried(|totals, _, _| {
            if totals.users != carried.users || carried.events < carried.users {
                return Err(Malformed);
            }
            totals.events += carried.events;
            totals.sum.merge(&sum);
            Ok(())
        })
    }
}

const IDS_PER_SECTION: usize = 64;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::Snapshot;

    fn copy_all(from: &Statistics, copy: &mut Transfer, to: &Statistics) -> bool {
        loop {
            let mut ids = Vec::new();
            match from.copy_ids(copy, &mut ids) {
                Step::Some => to.take_ids(&ids).unwrap(),
                Step::None => return true,
                Step::Reset => return false,
            }
        }
    }

    fn fill(statistics: &Arc<Statistics>, worker: usize, ids: std::ops::Range<u32>) {
        let mut shard = statistics.shard(worker);
        for i in ids {
            if shard.is_full() {
                assert!(shard.commit().is_none());
            }
            shard.stage(format!("user_{i}").as_bytes(), f64::from(i) * 0.1);
        }
        assert!(shard.commit().is_none());
    }

    fn same_but_for_workers(a: Snapshot, b: Snapshot) {
        assert_eq!((a.events, a.users, a.sum), (b.events, b.users, b.sum));
    }

    const COUNT: u32 = if cfg!(miri) { 200 } else { 20_000 };

    #[test]
    fn what_arrives_is_what_was_counted_and_counting_goes_on() {
        let (old, new) = (Statistics::new(2, [1, 2], None), Statistics::new(1, [3, 4], None));
        fill(&old, 0, 0..COUNT);
        let mut copy = old.copy();
        assert!(copy_all(&old, &mut copy, &new));
        // Counted after the first part of the copy; half of the ids are known already.
        fill(&old, 1, COUNT / 2..COUNT * 2);
        assert!(copy_all(&old, &mut copy, &new));
        new.take_totals(&old.carried()).unwrap();
        same_but_for_workers(new.snapshot(), old.snapshot());
        assert_eq!(*new.snapshot().worker_events, [0]);
        // A shard that was dropped can be taken again, as by a server that goes on after all.
        for statistics in [&old, &new] {
            fill(statistics, 0, COUNT..COUNT * 3);
        }
        same_but_for_workers(new.snapshot(), old.snapshot());
        assert_eq!(new.snapshot().users, u64::from(COUNT) * 3);
        // From there to a third, what was carried goes on as well.
        let third = Statistics::new(3, [5, 6], None);
        assert!(copy_all(&new, &mut new.copy(), &third));
        third.take_totals(&new.carried()).unwrap();
        same_but_for_workers(third.snapshot(), old.snapshot());
    }

    #[test]
    fn a_reset_ends_a_copy() {
        let (old, new) = (Statistics::new(1, [1, 2], None), Statistics::new(1, [3, 4], None));
        fill(&old, 0, 0..COUNT);
        let mut copy = old.copy();
        assert_eq!(old.copy_ids(&mut copy, &mut Vec::new()), Step::Some);
        old.reset();
        fill(&old, 0, 5..COUNT);
        assert!(!copy_all(&old, &mut copy, &new));
        assert_eq!(new.take_totals(&old.carried()), Err(Malformed), "nothing has arrived yet");
        assert!(copy_all(&old, &mut copy, &new));
        new.take_totals(&old.carried()).unwrap();
        same_but_for_workers(new.snapshot(), old.snapshot());
    }

    #[test]
    fn the_limit_of_users_binds_those_who_come_later() {
        let (old, new) = (Statistics::new(1, [1, 2], None), Statistics::new(1, [3, 4], Some(2)));
        fill(&old, 0, 0..3);
        copy_all(&old, &mut old.copy(), &new);
        new.take_totals(&old.carried()).unwrap();
        let mut shard = new.shard(0);
        shard.stage(b"user_1", 1.0);
        shard.stage(b"user_9", 1.0);
        let refused = shard.commit();
        assert!(!refused.contains(0) && refused.contains(1));
        assert_eq!(new.snapshot().users, 3);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let statistics = Statistics::new(1, [1, 2], None);
        assert_eq!(statistics.take_ids(&[5, b'a']), Err(Malformed));
        let mut carried = statistics.carried();
        carried.users = 1;
        assert_eq!(statistics.take_totals(&carried), Err(Malformed));
        carried = statistics.carried();
        carried.sum[0] = -1;
        assert_eq!(statistics.take_totals(&carried), Err(Malformed));
    }
}
