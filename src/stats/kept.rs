//! Commits of batches that are kept, on a disk for example, before they are published.
//!
//! A crash must not take back anything that a reader has seen or a client was answered. So a batch is *kept*
//! first and published second:
//!
//! ```text
//! 1 find      in sections of 64 events: which ids are new, and is there a place for each of them?
//! 2 keep      the new ids and the totals, absolute, in the ledger: this may take milliseconds
//! 3 publish   in one section: insert the new ids, replace the totals
//! ```
//!
//! **No event without its user.** Another worker finds an id in the set only after step 3 of the worker
//! that inserts it, hence after step 2. So the user of a kept event is kept too, by the same worker or by
//! an earlier step 2 of another one. Two workers may keep the same new
//! id; the set takes it once.
//!
//! **Resets.** A reset may come between the steps. Step 3 sees that the number of resets has changed,
//! publishes nothing, and the commit begins anew. The ledger gets the number of resets with each batch, so
//! batches that it kept for an earlier number do not count.
//!
//! An id is found new at most once in a batch, so the ledger grows with users and never with events.

use std::io;
use std::ops::Range;

use super::batch::Batch;
use super::newcomers::Newcomers;
use super::statistics::Statistics;
use super::sum::Sum;
use super::totals::{KeptMark, RefusedGroup};
use super::users::Lack;
use crate::limits::SECTION_EVENTS_MAX;

/// Keeps one worker's batches.
pub trait Ledger {
    /// A place between two ids of the open batch.
    type Point: Copy;

    /// Opens a batch in the time after `resets` resets; batches of an earlier time count no more.
    fn open(&mut self, resets: u64);
    /// Returns the place behind the last id.
    fn point(&self) -> Self::Point;
    /// Forgets the ids behind `point`.
    fn back_to(&mut self, point: Self::Point);
    /// Adds an id that is new. Returns false if there is no room for it.
    fn add(&mut self, id: &[u8]) -> bool;
    /// Keeps the batch: its ids, and the worker's totals with it.
    ///
    /// # Errors
    /// If it is not kept. The batch must not be published then.
    fn keep(&mut self, totals: &KeptTotals) -> io::Result<KeptMark>;
}

/// Holds the totals of one worker, as its ledger keeps them.
#[derive(Clone, Debug)]
pub struct KeptTotals {
    /// Events.
    pub events: u64,
    /// The exact sum of their values.
    pub sum: Sum,
}

/// Holds the memory that all commits of one worker use.
pub(super) struct Keeping {
    newcomers: Newcomers,
    totals: KeptTotals,
    resets: u64,
}

/// The statistics were reset while a batch was being committed.
struct WasReset;

/// Tells how far the search for new ids came.
enum Found {
    /// All events were looked at.
    All,
    /// There is no place for the id of this event.
    NoPlace(usize),
}

impl Keeping {
    pub fn new() -> Keeping {
        let totals = KeptTotals { events: 0, sum: Sum::ZERO };
        Keeping { newcomers: Newcomers::new(), totals, resets: 0 }
    }

    /// Keeps and publishes a batch; appends the groups that were refused.
    ///
    /// # Errors
    /// Those of [`Ledger::keep`]; then nothing is published.
    pub fn commit<L: Ledger>(
        &mut self,
        statistics: &Statistics,
        worker: usize,
        batch: &Batch,
        ledger: &mut L,
        refused: &mut Vec<RefusedGroup>,
    ) -> io::Result<()> {
        loop {
            refused.clear();
            let mut attempt = Attempt { keeping: self, statistics, worker, batch, ledger, refused };
            if attempt.find().is_err() {
                continue;
            }
            let mark = attempt.keep()?;
            if attempt.publish(mark).is_ok() {
                return Ok(());
            }
        }
    }
}

/// One attempt to commit a batch.
struct Attempt<'a, L> {
    keeping: &'a mut Keeping,
    statistics: &'a Statistics,
    worker: usize,
    batch: &'a Batch,
    ledger: &'a mut L,
    refused: &'a mut Vec<RefusedGroup>,
}

impl<L: Ledger> Attempt<'_, L> {
    /// Step 1: finds the new ids, and refuses the groups that lack something.
    fn find(&mut self) -> Result<(), WasReset> {
        self.keeping.newcomers.clear();
        let has_room = self.begin();
        self.ledger.open(self.keeping.resets);
        if self.batch.is_single() {
            return self.find_single(has_room);
        }
        for (number, group) in self.batch.groups().enumerate() {
            let (point, newcomers) = (self.ledger.point(), self.keeping.newcomers.len());
            if let Some((_, lack)) = self.find_in(group, has_room)? {
                self.undo(point, newcomers)?;
                self.refused.push(RefusedGroup { group: number as u32, lack });
            }
        }
        Ok(())
    }

    /// Reads the present totals and the number of resets. Returns whether there is memory for new ids.
    fn begin(&mut self) -> bool {
        let keeping = &mut *self.keeping;
        self.statistics.in_section(self.worker, |totals, resets, users| {
            keeping.resets = resets;
            keeping.totals.events = totals.events;
            keeping.totals.sum.clone_from(&totals.sum);
            users.has_room()
        })
    }

    /// Finds the new ids of a batch in which each event is a group of its own. An event that lacks
    /// something is left out, and the search goes on behind it.
    fn find_single(&mut self, has_room: bool) -> Result<(), WasReset> {
        let mut start = 0;
        while let Some((event, lack)) = self.find_in(start..self.batch.len(), has_room)? {
            self.refused.push(RefusedGroup { group: event as u32, lack });
            start = event + 1;
        }
        Ok(())
    }

    /// Finds the new ids of some events. Returns the first event that lacks something, and what.
    fn find_in(
        &mut self,
        events: Range<usize>,
        has_room: bool,
    ) -> Result<Option<(usize, Lack)>, WasReset> {
        let mut start = events.start;
        while start < events.end {
            let end = events.end.min(start + SECTION_EVENTS_MAX);
            let known = self.keeping.newcomers.len();
            let found = self.look(start..end)?;
            let found_new = self.keeping.newcomers.len() > known;
            if found_new && let Some(lacking) = self.add_to_ledger(known, has_room)? {
                return Ok(Some(lacking));
            }
            if let Found::NoPlace(event) = found {
                return Ok(Some((event, Lack::Place)));
            }
            start = end;
        }
        Ok(None)
    }

    /// Looks for the ids of some events in the set, in one section, and takes a place for each new one.
    fn look(&mut self, events: Range<usize>) -> Result<Found, WasReset> {
        let (batch, keeping) = (self.batch, &mut *self.keeping);
        self.statistics.in_section(self.worker, |_, resets, users| {
            if resets != keeping.resets {
                return Err(WasReset);
            }
            if events.len() > 1 {
                users.prefetch(batch.hashes(events.clone()));
            }
            for (event, (hash, id)) in events.clone().zip(batch.ids(events.clone())) {
                if users.has(hash, id) || keeping.newcomers.has(hash, id, batch) {
                    continue;
                }
                if !users.take_place() {
                    return Ok(Found::NoPlace(event));
                }
                keeping.newcomers.add(event as u32, batch);
            }
            Ok(Found::All)
        })
    }

    /// Adds the ids that were found last to the ledger. Returns the first event for whose id there is
    /// no room; that one and those behind it are newcomers no more.
    fn add_to_ledger(
        &mut self,
        known: usize,
        has_room: bool,
    ) -> Result<Option<(usize, Lack)>, WasReset> {
        for index in known..self.keeping.newcomers.len() {
            let event = self.keeping.newcomers.event(index);
            let point = self.ledger.point();
            let lack = match has_room {
                false => Lack::Memory,
                true if self.ledger.add(self.batch.id(event).1) => continue,
                true => Lack::Disk,
            };
            self.undo(point, index)?;
            return Ok(Some((event, lack)));
        }
        Ok(None)
    }

    /// Forgets the newcomers from number `newcomers` on, and their ids in the ledger behind `point`.
    fn undo(&mut self, point: L::Point, newcomers: usize) -> Result<(), WasReset> {
        self.ledger.back_to(point);
        let places = self.keeping.newcomers.len() - newcomers;
        self.keeping.newcomers.truncate(newcomers, self.batch);
        let expected = self.keeping.resets;
        self.statistics.in_section(self.worker, |_, resets, users| {
            if resets != expected {
                return Err(WasReset);
            }
            users.give_back_places(places as u64);
            Ok(())
        })
    }

    /// Step 2: keeps the new ids, and the totals as they will be.
    fn keep(&mut self) -> io::Result<KeptMark> {
        let (batch, totals) = (self.batch, &mut self.keeping.totals);
        let mut refused = self.refused.iter().map(|refusal| refusal.group as usize).peekable();
        if refused.peek().is_none() {
            totals.events += batch.len() as u64;
            totals.sum.add_all(batch.events(0..batch.len()), |event| event.value);
        } else {
            for (number, group) in batch.groups().enumerate() {
                if refused.next_if_eq(&number).is_none() {
                    totals.events += group.len() as u64;
                    totals.sum.add_all(batch.events(group), |event| event.value);
                }
            }
        }
        self.ledger.keep(totals)
    }

    /// Step 3: publishes the kept batch.
    fn publish(&mut self, mark: KeptMark) -> Result<(), WasReset> {
        let (batch, keeping) = (self.batch, &*self.keeping);
        self.statistics.in_section(self.worker, |totals, resets, users| {
            if resets != keeping.resets {
                return Err(WasReset);
            }
            let mut new = 0;
            for event in keeping.newcomers.events() {
                let (hash, id) = batch.id(event);
                new += u64::from(users.insert_with_place(hash, id));
            }
            users.give_back_places(keeping.newcomers.len() as u64 - new);
            totals.users += new;
            totals.events = keeping.totals.events;
            totals.sum.clone_from(&keeping.totals.sum);
            totals.mark = mark;
            Ok(())
        })
    }
}

#[cfg(all(test, loom))]
mod loom_model;
#[cfg(all(test, not(loom)))]
mod tests;
