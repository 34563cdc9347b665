//! What a state directory holds: which commit of each lane counts, and all records up to it.
//!
//! Nothing is written here. [`open`] takes the directory and chooses a commit for each lane;
//! [`Recovery::visit`] reads the records, checks every byte of them on the way, and returns the proof
//! that a start needs.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::cells::CellFile;
use super::choice::{self, HEAD_BYTES, Slots, Wrong};
use super::control::{Basis, Control, ControlFile, Soundness};
use super::enter;
use super::layout::{
    HeaderError, Identity, Instance, Kind, cells_name, checkpoint_at, lane_name, read_header,
    segment_at,
};
use super::mark::Mark;
use super::refusal::{Damage, Unusable};
use super::shared::LaneFile;
use super::slot::{Slot, State};
use super::storage::{File, Storage};
use super::visit::{self, Failure, ReadProgress, Stretch, Visited};

/// A lane as it was found.
#[derive(Debug)]
pub struct FoundLane {
    /// The file.
    pub file: LaneFile,
    /// The commit that counts.
    pub mark: Mark,
    /// Its state.
    pub state: State,
    /// A commit of which all records are known to be on disk.
    pub durable: Mark,
    /// The file of its cells, if it has one.
    pub cells: Option<CellFile>,
    /// Cells that it has room for at least.
    pub cells_min: u32,
    /// Where the zeros ahead of the records end, if another process has handed that over.
    pub prepared: Option<u64>,
}

/// A state directory that has been opened, with a commit for each lane.
#[derive(Debug)]
pub struct Recovery {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) control: ControlFile,
    pub(super) level: Soundness,
    pub(super) lanes: Vec<FoundLane>,
    /// The newest checkpoint that all lanes have.
    pub(super) checkpoint: u64,
    pub(super) began: Instant,
}

/// A [`Recovery`] all of whose records have been read: what a start begins with.
#[derive(Debug)]
pub struct Recovered(pub(super) Recovery);

/// Takes a state directory for this process, makes it if it is not there, and chooses a commit for each
/// lane.
///
/// # Errors
/// Everything that speaks against going on. Then nothing has been changed.
pub fn open(storage: Arc<dyn Storage>) -> Result<Recovery, Unusable> {
    let began = Instant::now();
    let control = enter::enter(&*storage)?;
    open_lanes(storage, control, began)
}

/// Opens a state directory as [`open`] does, but makes nothing; returns `None` if there is no state.
///
/// # Errors
/// Everything that speaks against going on.
pub fn open_existing(storage: Arc<dyn Storage>) -> Result<Option<Recovery>, Unusable> {
    let began = Instant::now();
    match enter::enter_existing(&*storage)? {
        Some(control) => open_lanes(storage, control, began).map(Some),
        None => Ok(None),
    }
}

fn open_lanes(
    storage: Arc<dyn Storage>,
    control: ControlFile,
    began: Instant,
) -> Result<Recovery, Unusable> {
    let facts = control.control();
    let mut files = Vec::new();
    for lane in 0..facts.lanes as usize {
        let has_cells = lane < facts.cells as usize;
        let cells = has_cells.then(|| enter::open(&*storage, &cells_name(lane))).transpose()?;
        files.push((enter::open(&*storage, &lane_name(lane))?, cells));
    }
    let level = Soundness::of(control.control().basis, storage.boot());
    choose(storage, control, files, level, began)
}

/// The open files of a lane: that of its records, and that of its cells if it has one.
pub(super) type Opened = (Arc<dyn File>, Option<Arc<dyn File>>);

/// Chooses a commit for each lane, whose files are open.
pub(super) fn choose(
    storage: Arc<dyn Storage>,
    control: ControlFile,
    opened: Vec<Opened>,
    level: Soundness,
    began: Instant,
) -> Result<Recovery, Unusable> {
    let facts = *control.control();
    let (mut files, mut slots) = (Vec::new(), Vec::new());
    for (lane, (file, cells)) in opened.into_iter().enumerate() {
        let (file, found) = read_lane(&*storage, &facts, lane, file)?;
        let cells =
            cells.map(|cells| CellFile::open(cells, &facts, lane, &*storage)).transpose()?;
        files.push((file, cells));
        slots.push(found);
    }
    let wrong = |lane: usize, Wrong { offset, what }| {
        Unusable::from(Damage { path: storage.path(&lane_name(lane)), offset, what })
    };
    let checkpoint = choice::whole_checkpoint(&slots, &facts).ok_or_else(|| {
        let damaged = slots.iter().map(Slots::damaged_checkpoint);
        let place = damaged.enumerate().find_map(|(lane, offset)| Some((lane, offset?)));
        let (lane, offset) = place.unwrap_or((0, checkpoint_at(0)));
        wrong(lane, Wrong { offset, what: "no checkpoint of the last run is in all lanes" })
    })?;
    let mut lanes = Vec::new();
    for (lane, ((file, cells), slots)) in files.into_iter().zip(&slots).enumerate() {
        let chosen = chosen(&file, slots, &facts, level, checkpoint)
            .map_err(|error| Unusable::of(storage.path(&lane_name(lane)), "read", error))?
            .map_err(|error| wrong(lane, error))?;
        if let Some(cells) = &cells {
            let long_enough = cells.check_length(chosen.cells);
            long_enough.map_err(|error| error.refusal(&*storage, &cells_name(lane)))?;
        }
        lanes.push(FoundLane { cells, ..FoundLane::new(file, slots, &chosen, &facts) });
    }
    Ok(Recovery { storage, control, level, lanes, checkpoint, began })
}

/// Checks the header of a lane's file and reads its slots.
pub(super) fn read_lane(
    storage: &dyn Storage,
    control: &Control,
    lane: usize,
    file: Arc<dyn File>,
) -> Result<(LaneFile, Slots), Unusable> {
    let name = lane_name(lane);
    let mut head = vec![0; HEAD_BYTES];
    let path = || storage.path(&name);
    let damage = |what| Unusable::from(Damage { path: path(), offset: 0, what });
    file.read_at(&mut head, 0).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damage("the file is too short"),
        _ => Unusable::of(path(), "read", error),
    })?;
    let header = head
        .first_chunk()
        .map_or(Err(HeaderError::Foreign), |block| read_header(block, Kind::Lane));
    let expected = Identity { instance: control.instance, lane: lane as u32 };
    match header {
        Ok(identity) if identity == expected => {}
        Ok(_) | Err(HeaderError::Elsewhere) => {
            return Err(damage("the file belongs to another lane or another state directory"));
        }
        Err(HeaderError::Newer(format)) => return Err(Unusable::Newer { path: path(), format }),
        Err(HeaderError::Foreign) => return Err(damage("this is not a file of millrace")),
        Err(HeaderError::Damaged) => return Err(damage("the header's checksum does not fit")),
    }
    let slots = Slots::read(&expected, &head);
    Ok((LaneFile { file, identity: expected }, slots))
}

/// Chooses the commit of a lane that counts.
pub(super) fn chosen(
    file: &LaneFile,
    slots: &Slots,
    control: &Control,
    level: Soundness,
    checkpoint: u64,
) -> io::Result<Result<Slot, Wrong>> {
    match level {
        Soundness::Checkpoints => chosen_checkpoint(file, slots, control, checkpoint),
        Soundness::Slots { torn, .. } => chosen_slot(file, slots, control, torn),
    }
}

/// The newest commit in the ring whose records are there. Only if the last one may be torn, the one
/// before it will do.
fn chosen_slot(
    file: &LaneFile,
    slots: &Slots,
    control: &Control,
    torn: bool,
) -> io::Result<Result<Slot, Wrong>> {
    if let Some(offset) = slots.damaged_checkpoint().filter(|_| !torn) {
        return Ok(Err(Wrong { offset, what: "this checkpoint's checksum does not fit" }));
    }
    let top = match slots.newest(control, torn) {
        Ok(top) => top,
        Err(wrong) => return Ok(Err(wrong)),
    };
    // What a power loss may have torn are the records since the commit before.
    let before = slots.before(control, top).filter(|_| torn);
    let from = match before {
        Some(before) if before.mark.epoch() == top.mark.epoch() => before.mark.segment,
        Some(_) => 0,
        None => top.mark.segment,
    };
    if has_records(file, control, top, from)? {
        return Ok(Ok(*top));
    }
    if let Some(before) = before
        && has_records(file, control, before, before.mark.segment)?
    {
        // The one after the torn one was not begun, so that its place must be whole.
        return Ok(slots.newest(control, false).map(|_| *before));
    }
    let offset = segment_at(top.mark.segment);
    Ok(Err(Wrong { offset, what: "the last segment's checksum does not fit" }))
}

fn chosen_checkpoint(
    file: &LaneFile,
    slots: &Slots,
    control: &Control,
    number: u64,
) -> io::Result<Result<Slot, Wrong>> {
    let wrong = |offset, what| Ok(Err(Wrong { offset, what }));
    let Some(slot) = slots.checkpoint(control, number) else {
        return wrong(checkpoint_at(number), "the checkpoint is missing");
    };
    if slot.mark.epoch() > control.epoch {
        return wrong(checkpoint_at(number), "a reset that never was");
    }
    if !has_records(file, control, slot, slot.mark.segment)? {
        return wrong(segment_at(slot.mark.segment), "the last segment's checksum does not fit");
    }
    Ok(Ok(*slot))
}

/// Whether the records of a commit are there, as far as the segments from `from` on show. Those of an
/// earlier epoch need not be.
fn has_records(file: &LaneFile, control: &Control, slot: &Slot, from: u32) -> io::Result<bool> {
    let mark = slot.mark;
    if mark.epoch() < control.epoch {
        return Ok(true);
    }
    let stretch = Stretch { file: &*file.file, identity: file.identity, mark };
    match visit::check_from(stretch, from) {
        Ok(()) => Ok(true),
        Err(Failure { error: Ok(_), .. }) => Ok(false),
        Err(Failure { error: Err(error), .. }) => Err(error),
    }
}

/// A commit at or before `chosen` whose records are on disk for certain. A checkpoint is such, as it was
/// written after the records that it needs; and so is the commit before, if each was synced.
fn durable(slots: &Slots, control: &Control, chosen: &Slot) -> Option<Mark> {
    let synced = matches!(control.basis, Basis::SyncedSlots(_));
    let before = slots.before(control, chosen).filter(|_| synced);
    let marks = slots.checkpoints(control).chain(before).map(|slot| slot.mark);
    let usable = marks
        .filter(|mark| mark.epoch() == chosen.mark.epoch() && mark.number <= chosen.mark.number);
    usable.max_by_key(|mark| mark.number)
}

impl FoundLane {
    /// A lane whose commit `chosen` counts, unless it is of an earlier epoch.
    pub(super) fn new(file: LaneFile, slots: &Slots, chosen: &Slot, control: &Control) -> Self {
        let start = |number| Mark::start(&file.identity, number, control.epoch);
        let (mark, state, durable) = if chosen.mark.epoch() < control.epoch {
            (start(chosen.mark.number), State::EMPTY, None)
        } else {
            (chosen.mark, chosen.state, durable(slots, control, chosen))
        };
        let durable = durable.unwrap_or_else(|| start(0));
        let cells_min = chosen.cells;
        FoundLane { file, mark, state, durable, cells: None, cells_min, prepared: None }
    }
}

impl Recovery {
    /// Returns the state of each lane at the commit that counts; empty if there was none since the last
    /// reset. The caller's totals are those of all lanes.
    pub fn states(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.lanes.iter().map(|lane| lane.state.bytes())
    }

    /// Returns how often the state was reset.
    pub fn epoch(&self) -> u64 {
        self.control.control().epoch
    }

    /// Returns the random number of the state directory.
    pub fn instance(&self) -> Instance {
        self.control.control().instance
    }

    /// Calls `visit` with the lane, the number and the value of each cell, as it was at the commit that
    /// counts. A cell of the caller's may be in several lanes.
    ///
    /// # Errors
    /// The first damage that is found, or a failed read.
    pub fn visit_cells(&self, mut visit: impl FnMut(usize, u32, &[u8])) -> Result<(), Unusable> {
        for (lane, found) in self.lanes.iter().enumerate() {
            if let Some(cells) = &found.cells {
                let visited = cells.visit(&found.mark, |index, value| visit(lane, index, value));
                visited.map_err(|error| error.refusal(&*self.storage, &cells_name(lane)))?;
            }
        }
        Ok(())
    }

    /// Returns what the recovered state rests on.
    pub fn level(&self) -> Soundness {
        self.level
    }

    /// Calls `visit` for each record, on this thread and `threads - 1` others, and checks every byte on
    /// the way. Checks all cells afterwards.
    ///
    /// A record may come more than once, in different lanes.
    ///
    /// # Errors
    /// The first damage that is found, or a failed read. What was visited so far is of no use then.
    pub fn visit(
        self,
        threads: usize,
        visit: impl Fn(&[u8]) + Sync,
    ) -> Result<(Recovered, Visited), Unusable> {
        let complete = self.visit_while(threads, visit, |_| ControlFlow::Continue(()))?;
        Ok(complete.expect("it ends early only on request"))
    }

    /// Visits as [`visit`](Self::visit) does. Calls `progress` now and then, on this thread, and returns
    /// `None` if `progress` ends the visit.
    ///
    /// # Errors
    /// The first damage that is found, or a failed read.
    pub fn visit_while(
        self,
        threads: usize,
        visit: impl Fn(&[u8]) + Sync,
        progress: impl FnMut(ReadProgress) -> ControlFlow<()>,
    ) -> Result<Option<(Recovered, Visited)>, Unusable> {
        let stretches: Vec<Stretch> = self
            .lanes
            .iter()
            .map(|lane| Stretch {
                file: &*lane.file.file,
                identity: lane.file.identity,
                mark: lane.mark,
            })
            .collect();
        let visited = visit::visit(&stretches, threads, visit, progress).map_err(|failure| {
            let path = self.storage.path(&lane_name(failure.lane as usize));
            match failure.error {
                Ok(what) => Damage { path, offset: failure.offset, what }.into(),
                Err(error) => Unusable::of(path, "read", error),
            }
        })?;
        drop(stretches);
        let Some(visited) = visited else { return Ok(None) };
        self.visit_cells(|_, _, _| {})?;
        Ok(Some((Recovered(self), visited)))
    }
}

impl Recovered {
    /// Returns the state of each lane, see [`Recovery::states`].
    pub fn states(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.states()
    }

    /// Calls `visit` for each cell, see [`Recovery::visit_cells`].
    ///
    /// # Errors
    /// The first damage that is found, or a failed read.
    pub fn visit_cells(&self, visit: impl FnMut(usize, u32, &[u8])) -> Result<(), Unusable> {
        self.0.visit_cells(visit)
    }
}
