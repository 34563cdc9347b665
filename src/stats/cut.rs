//! All that was counted at one instant, ids included.
//!
//! Users can be many, so a cut does not copy them. Ids are only ever added, and each stripe of the set
//! keeps its ids in the order of their arrival. So a cut takes the totals and the place where each
//! stripe's list ends, in some microseconds; the ids before those places are read later, a page at a
//! time, while workers go on counting. Nothing waits for the reader, and the reader waits for nothing
//! but the insertion of a single id.
//!
//! A reset replaces the set of users. A cut keeps the set that it was taken of, so the ids of a cut are
//! complete also after a reset. The thread that drops the last cut of a set gives its memory back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::statistics::Statistics;
use super::sum::Sum;
use super::totals::{KeptMark, Totals};
use super::users::{Positions, Users};

/// Holds the state at one instant. It has the totals; it reads the ids when they are needed.
pub struct Cut {
    seats: Box<[Counted]>,
    resets: u64,
    users: Arc<Users>,
    ends: Positions,
}

/// Holds what one seat has counted, or all of them together.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Events.
    pub events: u64,
    /// Users whose first event was counted here.
    pub users: u64,
    /// The exact sum of the values.
    pub sum: Sum,
    /// Identifies the seat's last batch that was kept; all zeros if there was none since the last reset.
    pub mark: KeptMark,
}

impl Counted {
    /// Nothing.
    pub const ZERO: Counted = Counted { events: 0, users: 0, sum: Sum::ZERO, mark: [0; 3] };

    fn of(totals: &Totals) -> Counted {
        Counted {
            events: totals.events,
            users: totals.users,
            sum: totals.sum.clone(),
            mark: totals.mark,
        }
    }

    /// Adds what another seat has counted.
    pub fn merge(&mut self, other: &Counted) {
        self.events += other.events;
        self.users += other.users;
        self.sum.merge(&other.sum);
    }
}

impl Statistics {
    /// Takes a cut at an instant between call and return. Waits only for the batches that are being
    /// committed at this moment, and for earlier snapshots.
    pub fn cut(&self) -> Cut {
        let mut seats = Vec::with_capacity(self.sections.seat_count());
        let (users, ends, resets) = self.sections.instant(|instant| {
            instant.for_each_local(|totals| seats.push(Counted::of(totals)));
            let resets = self.resets.load(Ordering::Relaxed);
            instant.with_shared(|users| (Arc::clone(users), users.ends(), resets))
        });
        Cut { seats: seats.into_boxed_slice(), resets, users, ends }
    }
}

impl Cut {
    /// Returns the totals of each seat: one for each worker, and the last for what an image brought.
    pub fn seats(&self) -> &[Counted] {
        &self.seats
    }

    /// Returns the totals of all seats together.
    pub fn total(&self) -> Counted {
        self.seats.iter().fold(Counted::ZERO, |mut total, seat| {
            total.merge(seat);
            total
        })
    }

    /// Returns how often the statistics had been reset.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Returns the place where the ids of this cut end.
    pub fn ends(&self) -> Positions {
        self.ends
    }

    /// Returns whether no reset lies between this cut and `other`, so that positions of the one are
    /// positions of the other.
    pub fn is_of_the_same_set(&self, other: &Cut) -> bool {
        Arc::ptr_eq(&self.users, &other.users)
    }

    /// Returns a reader of the ids of this cut that stand behind `after`; `None` if that is no place
    /// between two ids of this cut, because it comes from another set, or was made up. A position
    /// that was taken before a reset may pass for one after it by chance: the caller compares
    /// [`resets`](Self::resets).
    pub fn ids(&self, after: Positions) -> Option<Ids<'_>> {
        let is_before = |(from, to): (u64, u64)| from <= to;
        let places = after.to_words().into_iter().zip(self.ends.to_words());
        if !places.into_iter().all(is_before) || !self.users.has_boundaries(&after) {
            return None;
        }
        Some(Ids { cut: self, at: after })
    }
}

/// Reads the ids of a cut, a page at a time.
pub struct Ids<'c> {
    cut: &'c Cut,
    at: Positions,
}

impl Ids<'_> {
    /// Appends the next ids to `out`, a page of them at the most, in the form that
    /// [`stored_ids`](super::stored_ids) reads. Returns false if there are no more.
    pub fn next_page(&mut self, out: &mut Vec<u8>) -> bool {
        self.cut.users.copy_ids(&mut self.at, &self.cut.ends, out)
    }

    /// Returns the place behind the ids that were read.
    pub fn positions(&self) -> Positions {
        self.at
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stats::stored_ids;
    use std::collections::HashSet;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    const COUNT: u32 = if cfg!(miri) { 200 } else { 20_000 };

    fn fill(statistics: &Arc<Statistics>, worker: usize, ids: std::ops::Range<u32>) {
        let mut shard = statistics.shard(worker);
        for i in ids {
            if shard.is_full() {
                assert!(shard.commit().is_none());
            }
            shard.stage(format!("user_{i}").as_bytes(), 0.5);
        }
        assert!(shard.commit().is_none());
    }

    /// The ids behind `after`, each of which must come once.
    fn read(cut: &Cut, after: Positions) -> HashSet<Vec<u8>> {
        let (mut ids, mut bytes) = (cut.ids(after).expect("a place"), Vec::new());
        while ids.next_page(&mut bytes) {}
        assert_eq!(ids.positions(), cut.ends());
        let mut all = HashSet::new();
        for id in stored_ids(&bytes) {
            assert!(all.insert(id.expect("whole").to_vec()), "{id:?} comes twice");
        }
        all
    }

    #[test]
    fn a_cut_has_the_ids_of_its_instant_and_the_next_one_has_the_rest() {
        let statistics = Statistics::new(2, [1, 2], None);
        fill(&statistics, 0, 0..COUNT);
        let first = statistics.cut();
        fill(&statistics, 1, COUNT / 2..COUNT * 2);
        let second = statistics.cut();
        assert_eq!(first.seats().len(), 3);
        let counted = |seat: &Counted| (seat.events, seat.users, seat.sum.round());
        let count = u64::from(COUNT);
        assert_eq!(counted(&first.total()), (count, count, Some(count as f64 / 2.0)));
        assert_eq!(counted(&second.seats()[0]), counted(&first.seats()[0]));
        assert_eq!(counted(&second.seats()[1]).0, count * 3 / 2);
        assert_eq!(counted(&second.total()).1, count * 2);
        assert_eq!(read(&first, Positions::START).len(), COUNT as usize);
        assert_eq!(read(&second, first.ends()).len(), COUNT as usize);
        assert!(read(&second, second.ends()).is_empty());
        assert_eq!(read(&second, Positions::START).len(), 2 * COUNT as usize);
        assert!(first.is_of_the_same_set(&second));
        // What the second cut added is not in the first.
        assert!(first.ids(second.ends()).is_none());
    }

    #[test]
    fn a_cut_outlives_a_reset() {
        let statistics = Statistics::new(1, [1, 2], None);
        fill(&statistics, 0, 0..COUNT);
        let before = statistics.cut();
        statistics.reset();
        fill(&statistics, 0, 5..COUNT / 10);
        let after = statistics.cut();
        assert!(!before.is_of_the_same_set(&after));
        assert_eq!((before.resets(), after.resets()), (0, 1));
        assert_eq!(read(&before, Positions::START).len(), COUNT as usize);
        assert_eq!(read(&after, Positions::START).len(), COUNT as usize / 10 - 5);
        assert!(after.ids(before.ends()).is_none());
        drop(statistics);
        assert_eq!(read(&before, Positions::START).len(), COUNT as usize);
    }

    #[test]
    fn made_up_positions_are_refused() {
        let statistics = Statistics::new(1, [1, 2], None);
        fill(&statistics, 0, 0..COUNT);
        let cut = statistics.cut();
        let ends = cut.ends().to_words();
        assert!(cut.ids(Positions::from_words(ends)).is_some());
        for (index, end) in ends.into_iter().enumerate() {
            for wrong in [end + 1, end.saturating_sub(2), 2, u64::MAX, 1 << 40] {
                let mut words = ends;
                words[index] = wrong;
                let found = cut.ids(Positions::from_words(words)).is_some();
                assert_eq!(found, wrong == end, "{wrong}");
            }
        }
    }

    /// Cuts are taken and read while two workers insert: each cut has as many ids as users, and all
    /// of them together have each id once.
    #[test]
    fn cuts_are_whole_while_others_count() {
        let statistics = Statistics::new(2, [1, 2], None);
        let done = AtomicBool::new(false);
        let ids = thread::scope(|scope| {
            let writers = [0, 1].map(|worker| {
                let statistics = &statistics;
                let start = worker as u32 * COUNT / 2;
                scope.spawn(move || fill(statistics, worker, start..start + COUNT))
            });
            let reader = scope.spawn(|| {
                let (mut all, mut at) = (HashSet::new(), Positions::START);
                loop {
                    let last = done.load(Ordering::Relaxed);
                    let cut = statistics.cut();
                    for id in read(&cut, at) {
                        assert!(all.insert(id), "an id is in two parts");
                    }
                    at = cut.ends();
                    assert_eq!(all.len() as u64, cut.total().users);
                    if last {
                        return all;
                    }
                }
            });
            writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
            done.store(true, Ordering::Relaxed);
            reader.join().expect("no panic")
        });
        assert_eq!(ids.len(), COUNT as usize * 3 / 2);
    }
}
