//! Step B of a start: what each lane gets before it is written.

use std::io;

use super::cells::{CellFile, Failure, Versions};
use super::control::{Control, Soundness};
use super::layout::{
    Identity, Kind, RING_AT, RING_BYTES, SECTOR_BYTES, SEGMENT_BYTES, STREAM_AT, cells_name,
    checkpoint_at, lane_name, put, slot_at,
};
use super::mark::Mark;
use super::recovery::FoundLane;
use super::refusal::Unusable;
use super::shared::LaneFile;
use super::slot::{Block, Slot, State};
use super::space::{RoomEnds, is_full, write_zeros};
use super::storage::{File, Storage};

/// A lane that is ready.
pub struct Ready {
    /// The file of its records.
    pub file: LaneFile,
    /// The file of its cells.
    pub cells: CellFile,
    /// Which of their versions are there.
    pub versions: Versions,
    /// The first commit of this incarnation, which repeats the one that counts.
    pub slot: Slot,
    /// The room for records, and that for cells.
    pub rooms: [RoomEnds; 2],
}

/// What step B needs.
pub struct StepB<'a> {
    /// The directory.
    pub storage: &'a dyn Storage,
    /// What step A has written.
    pub control: Control,
    /// What the slots are worth.
    pub level: Soundness,
    /// The checkpoint that must stay until step C.
    pub checkpoint: u64,
    /// Bytes of zeros behind the records.
    pub step_bytes_min: u64,
}

impl StepB<'_> {
    /// Takes a lane over; `grows` is whether it has a worker.
    ///
    /// # Errors
    /// A failed call, or a damaged cell.
    pub fn go_on(&self, lane: usize, found: FoundLane, grows: bool) -> Result<Ready, Unusable> {
        let FoundLane { file, mark, state, cells, cells_min, prepared, .. } = found;
        let cells = match cells {
            None => self.make_cells(lane)?,
            Some(cells) => {
                let voided = cells.void_after(&mark, cells_min);
                let refusal = |failure: Failure| failure.refusal(self.storage, &cells_name(lane));
                let (versions, room) = voided.map_err(refusal)?;
                (cells, versions, room)
            }
        };
        let prepared = match prepared {
            Some(prepared) => prepared,
            None if grows => self.prepare(&*file.file, mark.end()).map_err(self.failed(lane))?,
            None => mark.end(),
        };
        let slot = self.first_slot(mark, state, cells.1.cells());
        let length = self.write_slots(&file, &slot).map_err(self.failed(lane))?;
        self.ready(lane, file, cells, slot, [prepared, length])
    }

    /// Makes a lane. Its files may be there, from a start that did not get this far.
    ///
    /// # Errors
    /// A failed call.
    pub fn make(&self, lane: usize) -> Result<Ready, Unusable> {
        let cells = self.make_cells(lane)?;
        let identity = self.identity(lane);
        let slot = self.first_slot(Mark::start(&identity, 0, self.control.epoch), State::EMPTY, 0);
        let make = || {
            let file = self.storage.create(&lane_name(lane))?;
            file.write_at(&head(identity, &slot, self.checkpoint + 1), 0)?;
            let prepared = self.prepare(&*file, slot.mark.end())?;
            file.sync()?;
            let length = file.bytes()?;
            Ok((file, prepared, length))
        };
        let (file, prepared, length) = make().map_err(self.failed(lane))?;
        let file = LaneFile { file, identity };
        self.ready(lane, file, cells, slot, [prepared, length])
    }

    fn ready(
        &self,
        lane: usize,
        file: LaneFile,
        (cells, versions, room): (CellFile, Versions, u64),
        slot: Slot,
        [prepared, length]: [u64; 2],
    ) -> Result<Ready, Unusable> {
        let cells_length = cells.file().bytes().map_err(self.failed(lane))?;
        let records = RoomEnds { used: slot.mark.end(), prepared, length };
        let of_cells = RoomEnds { used: 0, prepared: room, length: cells_length };
        Ok(Ready { file, cells, versions, slot, rooms: [records, of_cells] })
    }

    /// Makes a file of cells; returns it, its versions, and where the room in it ends.
    fn make_cells(&self, lane: usize) -> Result<(CellFile, Versions, u64), Unusable> {
        let name = cells_name(lane);
        let file = self.storage.create(&name);
        let made = file.and_then(|file| CellFile::make(file, self.identity(lane)));
        let made = made.map_err(|error| Unusable::of(self.storage.path(&name), "write", error))?;
        Ok((made, Versions::default(), SEGMENT_BYTES as u64))
    }

    fn identity(&self, lane: usize) -> Identity {
        Identity { instance: self.control.instance, lane: lane as u32 }
    }

    fn failed(&self, lane: usize) -> impl Fn(io::Error) -> Unusable {
        let path = self.storage.path(&lane_name(lane));
        move |error| Unusable::of(path.clone(), "write", error)
    }

    fn first_slot(&self, mark: Mark, state: State, cells: u32) -> Slot {
        let incarnation = self.control.incarnation;
        Slot { mark: mark.next(), incarnation, checkpoint: 0, cells, state }
    }

    /// Writes the first slot and the checkpoint, and syncs the lane; returns the length of the file.
    fn write_slots(&self, file: &LaneFile, slot: &Slot) -> io::Result<u64> {
        let LaneFile { file, identity } = file;
        let mut block = Block([0; SECTOR_BYTES]);
        slot.encode(identity.seed(), &mut block);
        if self.level == Soundness::Checkpoints {
            // The slots of the last run count no more, and the disk may lack some of them.
            let mut ring = vec![0; RING_BYTES];
            put(&mut ring, (slot_at(slot.mark.number) - RING_AT) as usize, &block.0);
            file.write_at(&ring, RING_AT)?;
        } else {
            file.write_at(&block.0, slot_at(slot.mark.number))?;
        }
        let checkpoint = self.checkpoint + 1;
        Slot { checkpoint, ..*slot }.encode(identity.seed(), &mut block);
        file.write_at(&block.0, checkpoint_at(checkpoint))?;
        file.sync()?;
        file.bytes()
    }

    /// Writes zeros from the end of the records on; returns how far. A full disk only means that there
    /// is less room. Nothing that counts lies there: positions only grow within an epoch.
    fn prepare(&self, file: &dyn File, from: u64) -> io::Result<u64> {
        let to = from.next_multiple_of(SEGMENT_BYTES as u64) + self.step_bytes_min;
        match write_zeros(file, from, to) {
            Ok(()) => Ok(to),
            Err((made, error)) if is_full(&error) => Ok(made),
            Err((_, error)) => Err(error),
        }
    }
}

/// Returns everything before the stream of a lane with one commit, which is also its checkpoint.
pub fn head(identity: Identity, slot: &Slot, checkpoint: u64) -> Vec<u8> {
    let mut head = vec![0; STREAM_AT as usize];
    put(&mut head, 0, &identity.header(Kind::Lane));
    let mut block = Block([0; SECTOR_BYTES]);
    slot.encode(identity.seed(), &mut block);
    put(&mut head, slot_at(slot.mark.number) as usize, &block.0);
    Slot { checkpoint, ..*slot }.encode(identity.seed(), &mut block);
    put(&mut head, checkpoint_at(checkpoint) as usize, &block.0);
    head
}
