//! A lane: what one worker writes. Records are gathered, then a commit makes them and the state count.
//!
//! ```text
//! append …, put_cell …   into memory
//! commit    1. write     the records, behind those of the last commit (nothing if there are none)
//!           2. write     the cells, each into a free place of its own (and sync them, with `Always`)
//!           3. write     the slot, over the one 64 commits ago
//!           4. sync      with `Fsync::Always`
//! ```
//!
//! Only after `commit` has returned may the caller publish the state, and then answer. Nothing is read
//! beyond the end that a valid slot names, so that a commit that was cut short leaves no trace. A failed
//! write or sync is final: no later commit of this lane succeeds, and the caller ends the process.

use std::io;
use std::sync::Arc;

use super::cell::CellValue;
use super::cells::{Cells, Versions, cell_at};
use super::layout::{self, SECTOR_BYTES};
use super::mark::Mark;
use super::segment::{StagedRecords, Stream};
use super::shared::{Fsync, JournalMeters, LaneFile};
use super::slot::{Block, Header};
use super::space::{Full, Space};
use crate::limits::{JOURNAL_BUFFER_BYTES_MAX, JOURNAL_CELLS_MAX};

/// How far an open commit has come.
#[derive(Clone, Copy)]
pub struct StagedPoint {
    records: StagedRecords,
    cells: usize,
}

/// The one writer of a lane's file.
pub struct Lane {
    index: usize,
    file: LaneFile,
    incarnation: u64,
    fsync: Fsync,
    meters: Arc<JournalMeters>,
    space: Arc<Space>,
    cells: Cells,
    /// The last commit.
    mark: Mark,
    stream: Stream,
    /// Where the zeros ahead of the records end, when last asked.
    room: u64,
    /// The value of `room` for which waiting was in vain.
    waited_at: Option<u64>,
    /// The cells of the open commit; of the same one the last counts.
    values: Vec<(u32, CellValue)>,
    versions: Versions,
    block: Box<Block>,
    /// The error of a write ahead of the commit, for the commit to return.
    error: Option<io::Error>,
}

impl Lane {
    /// Continues a lane after the commit `mark`.
    pub fn new(
        index: usize,
        (file, cells, versions): (LaneFile, Cells, Versions),
        mark: Mark,
        (incarnation, fsync): (u64, Fsync),
        meters: Arc<JournalMeters>,
        space: Arc<Space>,
    ) -> Lane {
        let stream = Stream::new(file.identity, &mark);
        Lane {
            index,
            incarnation,
            fsync,
            meters,
            mark,
            stream,
            room: space.prepared(index),
            space,
            cells,
            waited_at: None,
            values: Vec::new(),
            versions,
            block: Box::new(Block([0; SECTOR_BYTES])),
            error: None,
            file,
        }
    }

    /// Returns the lane's number.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the last commit.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Returns how often the state had been reset when this lane's records began.
    pub fn epoch(&self) -> u64 {
        self.stream.epoch()
    }

    /// Adds a record to the open commit.
    ///
    /// # Errors
    /// [`Full`] if there is no room for it on the disk. The records before it stay in the commit; a
    /// commit without records always has room.
    ///
    /// # Panics
    /// With no byte, or more than [`JOURNAL_RECORD_BYTES_MAX`](crate::limits::JOURNAL_RECORD_BYTES_MAX).
    #[inline]
    pub fn append(&mut self, record: &[u8]) -> Result<(), Full> {
        let end = self.stream.end_with(record.len());
        if end > self.room && !self.has_room(end) {
            return Err(Full);
        }
        self.stream.append(record);
        if self.stream.unwritten().0.len() >= JOURNAL_BUFFER_BYTES_MAX && self.error.is_none() {
            // Of no effect until a slot names it; a failure is the commit's.
            self.error = self.write_records().err();
        }
        Ok(())
    }

    /// Sets a cell as part of the open commit. Which numbers are in use is the caller's affair; they
    /// should be without large gaps, as the file is as long as the highest one demands.
    ///
    /// # Errors
    /// [`Full`] if there is no room for a cell of this number on the disk. One that had a value since the
    /// start always has room.
    ///
    /// # Panics
    /// With more than [`JOURNAL_CELL_BYTES_MAX`](crate::limits::JOURNAL_CELL_BYTES_MAX) bytes.
    pub fn put_cell(&mut self, index: u32, value: &[u8]) -> Result<(), Full> {
        let room = self.space.room_of_cells(self.index);
        let end = cell_at(index) + SECTOR_BYTES as u64;
        let is_there = end <= self.space.prepared(room);
        if !is_there && (index >= JOURNAL_CELLS_MAX || self.space.wait(room, end) < end) {
            return Err(Full);
        }
        self.values.push((index, CellValue::new(value)));
        Ok(())
    }

    /// Returns how far the open commit has come, for [`back_to`](Self::back_to).
    pub fn staged(&self) -> StagedPoint {
        StagedPoint { records: self.stream.staged(), cells: self.values.len() }
    }

    /// Forgets the records and cells since `staged`, which must be of the open commit.
    pub fn back_to(&mut self, staged: StagedPoint) {
        self.stream.back_to(staged.records);
        self.values.truncate(staged.cells);
    }

    /// Forgets all records and cells of the open commit.
    pub fn discard(&mut self) {
        self.stream.discard();
        self.values.clear();
    }

    /// Begins anew after a reset: the records so far do not count any more, and no state does. The
    /// journal's `reset` must have returned this epoch.
    pub fn restart(&mut self, epoch: u64) {
        debug_assert!(epoch > self.epoch());
        self.stream.restart(epoch);
        self.values.clear();
        self.versions.clear();
    }

    /// Makes the records and cells of the open commit count, together with `state`, which replaces the
    /// last one. When this returns, the caller may publish all of it with the mark, and answer. It must
    /// be published before the next commit is made.
    ///
    /// # Errors
    /// A failed write or sync, of this commit or earlier. The caller must not publish, and must end the
    /// process.
    ///
    /// # Panics
    /// With more than [`JOURNAL_STATE_BYTES_MAX`](crate::limits::JOURNAL_STATE_BYTES_MAX) bytes.
    pub fn commit(&mut self, state: &[u8]) -> io::Result<Mark> {
        if self.meters.has_failed() {
            return Err(self.error.take().unwrap_or_else(JournalMeters::after_failure));
        }
        let mark = self.stream.mark(self.mark.number + 1);
        let written = match self.error.take() {
            Some(error) => Err(error),
            None => self.write(&mark, state),
        };
        if let Err(error) = written {
            self.meters.fail();
            return Err(error);
        }
        self.stream.committed();
        if let Some((highest, _)) = self.values.iter().max_by_key(|(index, _)| *index) {
            let end = cell_at(*highest) + SECTOR_BYTES as u64;
            self.space.used_up_to(self.space.room_of_cells(self.index), end);
            self.values.clear();
        }
        self.mark = mark;
        self.space.used(self.index, mark.end());
        Ok(mark)
    }

    fn write(&mut self, mark: &Mark, state: &[u8]) -> io::Result<()> {
        self.write_records()?;
        if !self.values.is_empty() {
            self.cells.write(mark, &self.values, &mut self.versions)?;
            if self.fsync == Fsync::Always {
                self.cells.sync(&self.meters)?;
            }
        }
        let seed = self.file.identity.seed();
        let cells = self.versions.cells();
        Header { mark: *mark, incarnation: self.incarnation, cells }.encode(
            seed,
            0,
            state,
            &mut self.block,
        );
        self.file.file.write_at(&self.block.0, layout::slot_at(mark.number))?;
        match self.fsync {
            Fsync::EverySecond => Ok(()),
            Fsync::Always => self.meters.sync(&*self.file.file),
        }
    }

    fn write_records(&mut self) -> io::Result<()> {
        let (bytes, at) = self.stream.unwritten();
        if !bytes.is_empty() {
            self.file.file.write_at(bytes, at)?;
            self.stream.written();
        }
        Ok(())
    }

    /// Whether there is room up to `end`, perhaps after a moment.
    #[cold]
    fn has_room(&mut self, end: u64) -> bool {
        self.room = self.space.prepared(self.index);
        if end > self.room && self.waited_at != Some(self.room) {
            self.room = self.space.wait(self.index, end);
            self.waited_at = (end > self.room).then_some(self.room);
        }
        end <= self.room
    }

    /// Returns where the zeros ahead of the records end.
    pub(super) fn prepared(&self) -> u64 {
        self.space.prepared(self.index)
    }
}
