//! Which slot of a lane counts, and what in its first 64 KiB cannot be the work of a crash.
//!
//! A lane writes its slots one after the other, so the ring holds the last 64 numbers without a gap, or
//! fewer and then nothing. A crash can damage only one place: that of the next slot. Any other place that
//! does not fit is damage, and is not taken for the end.

use std::cmp::Reverse;

use super::control::{Control, Soundness};
use super::layout::{
    Identity, RING_AT, RING_SLOTS, SECTOR_BYTES, STREAM_AT, checkpoint_at, slot_at,
};
use super::mark::Mark;
use super::slot::{Sector, Slot};

/// Bytes of a lane's file before its stream.
pub const HEAD_BYTES: usize = STREAM_AT as usize;

/// All slots of a lane.
pub struct Slots {
    ring: Vec<Sector>,
    checkpoints: [Sector; 2],
}

/// Where something is wrong, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The place in the lane's file.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

impl Slots {
    /// Reads the slots in the first [`HEAD_BYTES`] of a lane's file.
    pub fn read(identity: &Identity, head: &[u8]) -> Slots {
        let seed = identity.seed();
        let sector = |at: u64| match head[at as usize..].first_chunk::<SECTOR_BYTES>() {
            Some(bytes) => Slot::decode(seed, bytes),
            None => Sector::Damaged,
        };
        Slots {
            ring: (0..RING_SLOTS).map(slot_at).map(sector).collect(),
            checkpoints: [sector(checkpoint_at(0)), sector(checkpoint_at(1))],
        }
    }

    /// Returns the newest slot in the ring, after checking the ring. With `torn`, a power loss may have
    /// torn the one after it.
    ///
    /// # Errors
    /// The first place that a crash cannot have left so.
    pub fn newest(&self, control: &Control, torn: bool) -> Result<&Slot, Wrong> {
        let top = self
            .top(control)
            .ok_or(Wrong { offset: RING_AT, what: "the ring holds no slot of the last run" })?;
        let number = top.mark.number;
        let mut ended = false;
        for back in 0..RING_SLOTS {
            let place = number.wrapping_sub(back) % RING_SLOTS;
            let expected = number.checked_sub(back).filter(|&number| number > 0);
            let what = match &self.ring[place as usize] {
                Sector::Slot(slot) if !ended && Some(slot.mark.number) == expected => continue,
                // The first slot of a start that did not get as far as serving.
                Sector::Slot(slot)
                    if back == RING_SLOTS - 1
                        && slot.mark.number == number + 1
                        && slot.incarnation > control.settled =>
                {
                    continue;
                }
                Sector::Empty if back > 0 => {
                    ended = true;
                    continue;
                }
                Sector::Damaged if back == RING_SLOTS - 1 && torn => continue,
                Sector::Empty | Sector::Slot(_) => "this slot is not the one that belongs here",
                Sector::Damaged => "this slot's checksum does not fit",
            };
            return Err(Wrong { offset: slot_at(place), what });
        }
        if top.mark.epoch() > control.epoch {
            return Err(Wrong { offset: slot_at(number), what: "a reset that never was" });
        }
        Ok(top)
    }

    /// Returns the slot with the highest number among those of the last run.
    pub fn top(&self, control: &Control) -> Option<&Slot> {
        let slots = self.ring.iter().filter_map(Sector::slot);
        let counting = slots.filter(|slot| slot.incarnation == control.settled);
        counting.filter(|slot| slot.checkpoint == 0).max_by_key(|slot| slot.mark.number)
    }

    /// Returns the slot of the last run before `slot`.
    pub fn before(&self, control: &Control, slot: &Slot) -> Option<&Slot> {
        let number = slot.mark.number.checked_sub(1)?;
        let before = self.ring[(number % RING_SLOTS) as usize].slot()?;
        (before.mark.number == number && before.incarnation == control.settled).then_some(before)
    }

    /// Returns the checkpoints of the last run, in no order.
    pub fn checkpoints(&self, control: &Control) -> impl Iterator<Item = &Slot> {
        let settled = control.settled;
        self.checkpoints.iter().enumerate().filter_map(move |(place, sector)| {
            let counts = |slot: &&Slot| {
                slot.incarnation == settled
                    && slot.checkpoint > 0
                    && slot.checkpoint % 2 == place as u64
            };
            sector.slot().filter(counts)
        })
    }

    /// Returns the checkpoint of this number.
    pub fn checkpoint(&self, control: &Control, number: u64) -> Option<&Slot> {
        self.checkpoints(control).find(|slot| slot.checkpoint == number)
    }

    /// Returns the first checkpoint place that holds neither a checkpoint nor nothing.
    pub fn damaged_checkpoint(&self) -> Option<u64> {
        let place = self.checkpoints.iter().position(|sector| *sector == Sector::Damaged)?;
        Some(checkpoint_at(place as u64))
    }
}

impl Slots {
    /// Returns the slot to go on with although the chosen one is damaged: the newest intact one.
    pub fn salvaged(&self, control: &Control, level: Soundness, checkpoint: u64) -> Option<&Slot> {
        let checkpoints = || self.checkpoints(control).max_by_key(|slot| slot.checkpoint);
        let usable = |slot: &&Slot| slot.mark.epoch() <= control.epoch;
        match level {
            Soundness::Slots { .. } => self.top(control).filter(usable).or_else(checkpoints),
            Soundness::Checkpoints => {
                let chosen = self.checkpoint(control, checkpoint).filter(usable);
                chosen.or_else(checkpoints).or_else(|| self.top(control))
            }
        }
        .filter(usable)
    }

    /// Returns all commits of the epoch that end in this segment, the longest first.
    pub fn ends_in(&self, control: &Control, segment: u32) -> Vec<Mark> {
        let slots = self.ring.iter().chain(&self.checkpoints).filter_map(Sector::slot);
        let marks = slots.map(|slot| slot.mark);
        let mut marks: Vec<Mark> =
            marks.filter(|mark| mark.epoch() == control.epoch && mark.segment == segment).collect();
        marks.sort_by_key(|mark| Reverse(mark.used()));
        marks
    }

    /// Returns the number of cells that the file of cells has had room for.
    pub fn cells(&self) -> u32 {
        let slots = self.ring.iter().chain(&self.checkpoints).filter_map(Sector::slot);
        slots.map(|slot| slot.cells).max().unwrap_or(0)
    }

    /// Returns the highest incarnation and epoch in any slot.
    pub fn newest_run(&self) -> (u64, u64) {
        let slots = self.ring.iter().filter_map(Sector::slot);
        slots.fold((0, 0), |(incarnation, epoch), slot| {
            (incarnation.max(slot.incarnation), epoch.max(slot.mark.epoch()))
        })
    }
}

/// Returns the highest number of a checkpoint that all these lanes have; if there is none, a number for
/// all of them to get.
pub fn newest_checkpoint<'a>(lanes: impl Iterator<Item = &'a Slots>, control: &Control) -> u64 {
    let numbers = |lane: &Slots| lane.checkpoints(control).map(|slot| slot.checkpoint).collect();
    let lanes: Vec<Vec<u64>> = lanes.map(numbers).collect();
    let in_all = |number: &&u64| lanes.iter().all(|lane| lane.contains(number));
    let newest = lanes.iter().flatten().filter(in_all).max();
    *newest.or(lanes.iter().flatten().max()).unwrap_or(&1)
}

/// Returns the highest number of a checkpoint that all lanes have; 0 without lanes.
pub fn whole_checkpoint(lanes: &[Slots], control: &Control) -> Option<u64> {
    let Some((first, others)) = lanes.split_first() else { return Some(0) };
    let numbers = first.checkpoints(control).map(|slot| slot.checkpoint);
    numbers
        .filter(|&number| others.iter().all(|lane| lane.checkpoint(control, number).is_some()))
        .max()
}
