//! Checkpoints: what a power loss leaves, when commits are not synced one by one.
//!
//! ```text
//! 1. cut     the caller passes mark and state of every lane, as published at one instant
//! 2. sync    all lanes: the records and cells up to the marks are on disk
//! 3. write   the cut into every lane's checkpoint place, by the parity of its number
//! 4. sync    all lanes
//! ```
//!
//! A checkpoint counts if every lane has it. Until step 4 is over the one before it does, whose places are
//! the other ones. Each names the epoch of its cut: after a reset it is the state of an earlier epoch,
//! and so is one whose cut was before the reset and whose writing was after it.

use std::io;
use std::sync::MutexGuard;

use super::cells::{Cells, Reach};
use super::layout::{SECTOR_BYTES, checkpoint_at};
use super::mark::Mark;
use super::shared::{JournalMeters, LaneFile};
use super::slot::{Block, Slot, State};

/// What the journal's threads ask of the caller.
pub trait Caller: Send + Sync {
    /// Is called by each thread of the journal when it begins.
    fn begin_thread(&self, _name: &str) {}

    /// Fills in what is published at one instant: the epoch, and for the lane of each worker the mark
    /// of its last published commit and its state.
    fn cut(&self, cut: &mut PublishedCut);

    /// Learns that a write or sync failed. The process must end, without another answer.
    fn failed(&self, error: &io::Error);
}

/// What was published at one instant.
#[derive(Clone, Debug)]
pub struct PublishedCut {
    epoch: u64,
    lanes: Vec<Published>,
}

/// A lane's last published commit.
#[derive(Clone, Copy, Debug)]
struct Published {
    mark: Mark,
    state: State,
}

impl PublishedCut {
    /// Sets how often the published state had been reset.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Sets the last published commit of a lane. One of an epoch before the cut's counts as nothing.
    ///
    /// # Panics
    /// Without such a lane, or with too many bytes.
    pub fn set(&mut self, lane: usize, mark: Mark, state: &[u8]) {
        self.lanes[lane] = Published { mark, state: State::new(state) };
    }

    /// Returns the number of lanes, those without a worker included. They keep what they had.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }
}

/// Writes checkpoints; the work of the journal's first thread.
#[derive(Debug)]
pub struct Checkpointer {
    lanes: Vec<(LaneFile, Cells)>,
    incarnation: u64,
    /// The last checkpoint that is on disk.
    last: Vec<Slot>,
    number: u64,
}

/// A checkpoint under way: step 1 is done.
#[derive(Debug)]
pub struct Pending {
    slots: Vec<Slot>,
}

impl Checkpointer {
    /// Goes on after a checkpoint of these slots, one for each lane.
    pub fn new(
        lanes: Vec<(LaneFile, Cells)>,
        incarnation: u64,
        number: u64,
        last: Vec<Slot>,
    ) -> Self {
        Checkpointer { lanes, incarnation, last, number }
    }

    /// Returns a cut that holds the last checkpoint, for the caller to fill in.
    pub fn cut(&self) -> PublishedCut {
        let published = |slot: &Slot| Published { mark: slot.mark, state: slot.state };
        let epoch = self.last.iter().map(|slot| slot.mark.epoch()).max().unwrap_or(0);
        PublishedCut { epoch, lanes: self.last.iter().map(published).collect() }
    }

    /// Holds the cells of all lanes. A cut must be taken and begun meanwhile: what it needs of them must
    /// not be written over before the lanes can tell.
    pub fn hold(&self) -> Vec<MutexGuard<'_, Reach>> {
        self.lanes.iter().map(|(_, cells)| cells.reach()).collect()
    }

    /// Makes a checkpoint of a cut; `None` if it would be the last one again.
    ///
    /// # Errors
    /// If a lane is ahead of the cut's epoch, which would be the caller's mistake.
    pub fn begin(
        &self,
        cut: &PublishedCut,
        mut held: Vec<MutexGuard<'_, Reach>>,
    ) -> io::Result<Option<Pending>> {
        let mut slots = Vec::with_capacity(self.lanes.len());
        for ((published, (lane, _)), reach) in cut.lanes.iter().zip(&self.lanes).zip(&held) {
            let Published { mut mark, mut state } = *published;
            if mark.epoch() > cut.epoch {
                return Err(io::Error::other("a cut has a lane of a later epoch than its own"));
            }
            if mark.epoch() < cut.epoch {
                mark = Mark::start(&lane.identity, mark.number, cut.epoch);
                state = State::EMPTY;
            }
            let checkpoint = self.number + 1;
            let (incarnation, cells) = (self.incarnation, reach.cells);
            slots.push(Slot { mark, incarnation, checkpoint, cells, state });
        }
        let same = slots.iter().zip(&self.last).all(|(slot, last)| slot.mark == last.mark);
        if same {
            return Ok(None);
        }
        for (reach, slot) in held.iter_mut().zip(&slots) {
            reach.pending = slot.mark.number;
        }
        Ok(Some(Pending { slots }))
    }

    /// Step 2. A lane that has not changed since the last checkpoint needs no sync.
    ///
    /// # Errors
    /// A failed sync.
    pub fn sync_records(&self, pending: &Pending, meters: &JournalMeters) -> io::Result<()> {
        let changed = pending.slots.iter().zip(&self.last).zip(&self.lanes);
        for (_, (lane, cells)) in changed.filter(|((slot, last), _)| slot.mark != last.mark) {
            cells.sync(meters)?;
            meters.sync(&*lane.file)?;
        }
        Ok(())
    }

    /// Step 3.
    ///
    /// # Errors
    /// A failed write.
    pub fn write(&self, pending: &Pending) -> io::Result<()> {
        let mut block = Block([0; SECTOR_BYTES]);
        for (slot, (lane, _)) in pending.slots.iter().zip(&self.lanes) {
            slot.encode(lane.identity.seed(), &mut block);
            lane.file.write_at(&block.0, checkpoint_at(slot.checkpoint))?;
        }
        Ok(())
    }

    /// Step 4.
    ///
    /// # Errors
    /// A failed sync.
    pub fn finish(&mut self, pending: Pending, meters: &JournalMeters) -> io::Result<()> {
        for (lane, _) in &self.lanes {
            meters.sync(&*lane.file)?;
        }
        for (slot, (_, cells)) in pending.slots.iter().zip(&self.lanes) {
            cells.reach().durable = slot.mark.number;
        }
        self.number += 1;
        self.last = pending.slots;
        meters.checkpointed();
        Ok(())
    }

    /// All four steps.
    ///
    /// # Errors
    /// A failed write or sync.
    pub fn turn(&mut self, caller: &dyn Caller, meters: &JournalMeters) -> io::Result<()> {
        let mut cut = self.cut();
        let held = self.hold();
        caller.cut(&mut cut);
        if let Some(pending) = self.begin(&cut, held)? {
            self.sync_records(&pending, meters)?;
            self.write(&pending)?;
            self.finish(pending, meters)?;
        }
        Ok(())
    }
}
