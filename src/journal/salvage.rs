//! What is asked for with `--salvage`: to go on with what is intact in a damaged directory.
//!
//! Everything is examined first, and every loss is reported before anything is written. Then each damaged
//! file gets a second name, so that it is kept, and a whole file takes its place: written beside it under
//! a name of its own, synced, and renamed. A crash in between leaves some files replaced, and the rest
//! as they were; the salvage can be done again. Afterwards the directory opens as any other.
//!
//! A lane keeps the totals of its newest intact commit, and all ids in intact segments. If ids are lost,
//! some users are counted whose ids are lost: they count again as new. The report includes that.

use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;

use super::choice::{self, HEAD_BYTES, Slots};
use super::control::{Basis, Control, ControlFile, Soundness};
use super::enter;
use super::layout::{
    CONTROL_NAME, Identity, Instance, Kind, SEGMENT_BYTES, STREAM_AT, cells_name, lane_name,
    read_header, segment_at,
};
use super::mark::Mark;
use super::prepare::head;
use super::recovery;
use super::refusal::Unusable;
use super::salvage_cells::CellRemedy;
use super::segment::Stream;
use super::shared::LaneFile;
use super::slot::{Slot, State};
use super::space::write_zeros;
use super::storage::{File, Storage};
use super::visit::{self, Stretch};
use crate::limits::{JOURNAL_BUFFER_BYTES_MAX, JOURNAL_LANES_MAX};

/// Something that cannot be recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The damaged file.
    pub path: String,
    /// What is lost with it.
    pub what: String,
}

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// Makes a damaged directory whole, without what is damaged in it. Calls `report` for each loss before
/// anything is written. Returns the names that the damaged files are kept under.
///
/// # Errors
/// Everything but damage that speaks against using the directory, or a failed write.
pub fn salvage(
    storage: &dyn Storage,
    mut report: impl FnMut(&Loss),
) -> Result<Vec<String>, Unusable> {
    // The open file holds the lock until the end.
    let (control, _lock, rebuilt) = match enter::enter_existing(storage) {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(control)) => (*control.control(), Some(control.file().clone()), false),
        Err(refusal) if refusal.is_damage() => {
            let Guess { control, lock, what } = guess_control(storage)?;
            report(&Loss { path: storage.path(CONTROL_NAME), what: what.to_owned() });
            (control, lock, true)
        }
        Err(refusal) => return Err(refusal),
    };
    let replacements = examine(storage, control, rebuilt)?;
    for replacement in &replacements {
        for what in &replacement.losses {
            report(&Loss { path: storage.path(&replacement.name), what: what.clone() });
        }
    }
    let mut kept = Vec::new();
    for Replacement { name, write, .. } in replacements {
        let failed = |error| Unusable::of(storage.path(&name), "salvage", error);
        let new = format!("{name}.salvaged");
        let file = storage.create(&new).map_err(failed)?;
        write(file).map_err(failed)?;
        kept.extend(replace(storage, &new, &name).map_err(failed)?);
    }
    Ok(kept)
}

/// A whole file for a damaged one.
struct Replacement {
    name: String,
    losses: Vec<String>,
    /// Writes the file and syncs it.
    write: Box<dyn FnOnce(Arc<dyn File>) -> io::Result<()>>,
}

/// Decides what is to be replaced: cells, lanes, and the control file at the end.
fn examine(
    storage: &dyn Storage,
    control: Control,
    with_control: bool,
) -> Result<Vec<Replacement>, Unusable> {
    let level = Soundness::of(control.basis, storage.boot());
    let lanes: Vec<Found> = (0..control.lanes as usize)
        .map(|lane| Found::read(storage, &control, lane))
        .collect::<Result<_, _>>()?;
    let mut replacements = Vec::new();
    for (lane, found) in lanes.iter().enumerate().take(control.cells as usize) {
        let cells = found.slots.as_ref().map_or(0, Slots::cells);
        if let Some(mut remedy) = CellRemedy::find(storage, &control, lane, cells)? {
            let losses = std::mem::take(&mut remedy.losses);
            let write = Box::new(move |file| remedy.write(file));
            replacements.push(Replacement { name: cells_name(lane), losses, write });
        }
    }
    let readable = lanes.iter().filter_map(|lane| lane.slots.as_ref());
    let checkpoint = choice::newest_checkpoint(readable, &control);
    for lane in lanes {
        if let Some(mut remedy) = lane.examine(&control, level, checkpoint)? {
            let name = lane_name(remedy.identity.lane as usize);
            let losses = std::mem::take(&mut remedy.losses);
            let write = Box::new(move |file| remedy.write(file, &control, checkpoint));
            replacements.push(Replacement { name, losses, write });
        }
    }
    if with_control {
        let write = Box::new(move |file| ControlFile::create(file, control).map(drop));
        let name = CONTROL_NAME.to_owned();
        replacements.push(Replacement { name, losses: Vec::new(), write });
    }
    Ok(replacements)
}

/// Keeps the file `name` under another one, which is returned, and puts `new` in its place.
fn replace(storage: &dyn Storage, new: &str, name: &str) -> io::Result<Option<String>> {
    let names = storage.names()?.unwrap_or_default();
    let mut kept = None;
    if names.iter().any(|other| other == name) {
        let free = (1..).map(|number: u32| format!("{name}.damaged-{number}"));
        let free = free.into_iter().find(|free| !names.contains(free));
        if let Some(free) = free {
            storage.link(name, &free)?;
            storage.sync_names()?;
            kept = Some(free);
        }
    }
    storage.rename(new, name)?;
    storage.sync_names()?;
    Ok(kept)
}

/// A lane as far as it can be read.
struct Found {
    lane: usize,
    identity: Identity,
    file: Option<Arc<dyn File>>,
    slots: Option<Slots>,
    losses: Vec<String>,
}

impl Found {
    fn read(storage: &dyn Storage, control: &Control, lane: usize) -> Result<Found, Unusable> {
        let identity = Identity { instance: control.instance, lane: lane as u32 };
        let name = lane_name(lane);
        let file = match enter::open(storage, &name) {
            Ok(file) => file,
            Err(Unusable::Missing { .. }) => {
                let losses = vec!["the file is missing; all of it is lost".to_owned()];
                return Ok(Found { lane, identity, file: None, slots: None, losses });
            }
            Err(refusal) => return Err(refusal),
        };
        let mut head = vec![0; HEAD_BYTES];
        let length =
            file.bytes().map_err(|error| Unusable::of(storage.path(&name), "read", error))?;
        let there = (length as usize).min(HEAD_BYTES);
        file.read_at(&mut head[..there], 0)
            .map_err(|error| Unusable::of(storage.path(&name), "read", error))?;
        let mut losses = Vec::new();
        if there < HEAD_BYTES {
            losses.push(format!("the file ends at byte {there}, before its records"));
        }
        let header = head.first_chunk().map(|block| read_header(block, Kind::Lane));
        if header != Some(Ok(identity)) {
            losses.push("the header is damaged; nothing is lost by that".to_owned());
        }
        let slots = Slots::read(&identity, &head);
        Ok(Found { lane, identity, file: Some(file), slots: Some(slots), losses })
    }

    /// Decides what can be kept; `None` if that is everything.
    fn examine(
        mut self,
        control: &Control,
        level: Soundness,
        checkpoint: u64,
    ) -> Result<Option<Remedy>, Unusable> {
        let (Some(file), Some(slots)) = (self.file.take(), self.slots.take()) else {
            return Ok(Some(Remedy::empty(self.identity, control, self.losses)));
        };
        let file = LaneFile { file, identity: self.identity };
        let read = |error| Unusable::of(lane_name(self.lane), "read", error);
        let chosen = recovery::chosen(&file, &slots, control, level, checkpoint).map_err(read)?;
        let (slot, wrong) = match chosen {
            Ok(slot) => (Some(slot), None),
            Err(wrong) => (slots.salvaged(control, level, checkpoint).copied(), Some(wrong)),
        };
        if let Some(wrong) = wrong {
            self.losses.push(format!("damaged at byte {}: {}", wrong.offset, wrong.what));
        }
        if slots.checkpoint(control, checkpoint).is_none() {
            self.losses.push("the checkpoint is damaged; nothing is lost by that".to_owned());
        }
        let Some(slot) = slot else {
            self.losses.push("no intact commit is left; all of it is lost".to_owned());
            return Ok(Some(Remedy::empty(self.identity, control, self.losses)));
        };
        if wrong.is_some() {
            let number = slot.mark.number;
            self.losses
                .push(format!("the totals are those of commit {number}, the newest intact one"));
        }
        let mut remedy = Remedy::empty(self.identity, control, self.losses);
        remedy.number = slot.mark.number;
        if slot.mark.epoch() == control.epoch {
            remedy.state = slot.state;
            let stretch = Stretch { file: &*file.file, identity: self.identity, mark: slot.mark };
            let there = file.file.bytes().map_err(read)?.saturating_sub(STREAM_AT);
            let last = there.div_ceil(SEGMENT_BYTES as u64).saturating_sub(1);
            if last < u64::from(slot.mark.segment) {
                let end = segment_at(last as u32 + 1);
                remedy
                    .losses
                    .push(format!("the file ends too early; ids from byte {end} on are lost"));
            }
            for segment in 0..=slot.mark.segment.min(last as u32) {
                let shorter = slots.ends_in(control, segment);
                match remedy.take_segment(stretch, segment, shorter) {
                    Ok(()) => {}
                    Err(visit::Failure { error: Err(error), .. }) => return Err(read(error)),
                    Err(visit::Failure { error: Ok(what), .. }) => {
                        let (from, to) = (segment_at(segment), segment_at(segment + 1));
                        remedy.losses.push(format!("{what}; ids in bytes {from} to {to} are lost"));
                    }
                }
            }
        }
        remedy.source = Some(file.file);
        Ok((!remedy.losses.is_empty()).then_some(remedy))
    }
}

/// A lane to be written anew.
struct Remedy {
    identity: Identity,
    number: u64,
    state: State,
    epoch: u64,
    source: Option<Arc<dyn File>>,
    /// The segments to be copied, each with a commit that vouches for it.
    intact: Vec<(u32, Mark)>,
    losses: Vec<String>,
}

impl Remedy {
    fn empty(identity: Identity, control: &Control, losses: Vec<String>) -> Remedy {
        Remedy {
            identity,
            number: 1,
            state: State::EMPTY,
            epoch: control.epoch,
            source: None,
            intact: Vec::new(),
            losses,
        }
    }

    /// Notes a segment as intact, or as much of it as an older commit vouches for.
    fn take_segment(
        &mut self,
        stretch: Stretch<'_>,
        segment: u32,
        shorter: Vec<Mark>,
    ) -> Result<(), visit::Failure> {
        let whole = visit::check_one(stretch, segment);
        if whole.is_ok() {
            self.intact.push((segment, stretch.mark));
            return Ok(());
        }
        let part = shorter
            .into_iter()
            .find(|mark| visit::check_one(Stretch { mark: *mark, ..stretch }, segment).is_ok());
        self.intact.extend(part.map(|mark| (segment, mark)));
        whole
    }

    /// Writes the whole file, and syncs it.
    fn write(&self, file: Arc<dyn File>, control: &Control, checkpoint: u64) -> io::Result<()> {
        let file = &*file;
        let start = Mark::start(&self.identity, self.number, self.epoch);
        let mut stream = Stream::new(self.identity, &start);
        for (segment, mark) in &self.intact {
            let Some(source) = &self.source else { break };
            let stretch = Stretch { file: &**source, identity: self.identity, mark: *mark };
            let mut outcome = Ok(());
            let read = visit::read_one(stretch, *segment, |record| {
                stream.append(record);
                if outcome.is_ok() && stream.unwritten().0.len() >= JOURNAL_BUFFER_BYTES_MAX {
                    outcome = flush(&mut stream, file);
                }
            });
            outcome?;
            if let Err(failure) = read {
                return Err(failure.error.err().unwrap_or_else(|| {
                    io::Error::other("a segment has changed while it was read")
                }));
            }
        }
        flush(&mut stream, file)?;
        let mark = stream.mark(self.number);
        let end = mark.end().next_multiple_of(SEGMENT_BYTES as u64);
        write_zeros(file, mark.end(), end).map_err(|(_, error)| error)?;
        let slot =
            Slot { mark, incarnation: control.settled, checkpoint: 0, cells: 0, state: self.state };
        file.write_at(&head(self.identity, &slot, checkpoint), 0)?;
        file.sync()
    }
}

fn flush(stream: &mut Stream, file: &dyn File) -> io::Result<()> {
    let (bytes, at) = stream.unwritten();
    file.write_at(bytes, at)?;
    stream.written();
    Ok(())
}

/// The content that a control file had which cannot be read in full.
struct Guess {
    control: Control,
    lock: Option<Arc<dyn File>>,
    /// What may be lost by that.
    what: &'static str,
}

/// Makes a control file from the lanes, and from the copy that can be read if there is one. That may be
/// the older copy, so that what the lanes say goes before it.
fn guess_control(storage: &dyn Storage) -> Result<Guess, Unusable> {
    let failed = |attempt, error| Unusable::of(storage.path(""), attempt, error);
    let lock = enter::open(storage, CONTROL_NAME).ok();
    if let Some(file) = &lock
        && !file.try_lock().map_err(|error| failed("lock", error))?
    {
        return Err(Unusable::InUse { path: storage.path("") });
    }
    let copy = lock.as_ref().and_then(|file| ControlFile::read_any(&**file, storage));
    let names = storage.names().map_err(|error| failed("read", error))?.unwrap_or_default();
    let lanes = (0..JOURNAL_LANES_MAX).filter(|lane| names.contains(&lane_name(*lane)));
    let lanes: Vec<u32> = lanes.map(|lane| lane as u32).collect();
    let runs: Vec<Run> = lanes.iter().filter_map(|lane| Run::read(storage, *lane)).collect();
    // One of the files may be of another directory.
    let votes = |run: &&Run| runs.iter().filter(|other| other.instance == run.instance).count();
    let most = runs.iter().max_by_key(votes).map(|run| run.instance);
    let instance = copy.map(|copy| copy.instance).or(most);
    let Some(instance) = instance else {
        return Err(Unusable::Missing { path: storage.path(CONTROL_NAME) });
    };
    let of_lanes = || runs.iter().filter(|run| run.instance == instance);
    // A start that did not get as far as serving has left its number in some lanes only, or in all
    // of them together with what it had found.
    let settled = of_lanes().map(|run| run.incarnation).min().unwrap_or(0);
    let incarnation = of_lanes().map(|run| run.incarnation).max().unwrap_or(0);
    let copies_basis = copy.filter(|copy| copy.settled == settled).map(|copy| copy.basis);
    let lanes = lanes.last().map_or(0, |last| last + 1).max(copy.map_or(0, |copy| copy.lanes));
    let has_cells = names.iter().any(|name| name.starts_with("cells-"));
    let control = Control {
        instance,
        cells: if has_cells { lanes } else { 0 },
        incarnation: incarnation.max(copy.map_or(0, |copy| copy.incarnation)),
        settled,
        epoch: of_lanes()
            .map(|run| run.epoch)
            .chain(copy.map(|copy| copy.epoch))
            .max()
            .unwrap_or(0),
        lanes,
        basis: copies_basis.unwrap_or(Basis::SyncedSlots(None)),
    };
    let what = "it is made again from the lanes; a reset that is in no lane yet may be undone";
    Ok(Guess { control, lock, what })
}

/// The last run that a lane tells of.
struct Run {
    instance: Instance,
    incarnation: u64,
    epoch: u64,
}

impl Run {
    fn read(storage: &dyn Storage, lane: u32) -> Option<Run> {
        let file = enter::open(storage, &lane_name(lane as usize)).ok()?;
        let mut head = vec![0; HEAD_BYTES];
        file.read_at(&mut head, 0).ok()?;
        let identity = read_header(head.first_chunk()?, Kind::Lane).ok()?;
        let (incarnation, epoch) = Slots::read(&identity, &head).newest_run();
        (identity.lane == lane).then_some(Run { instance: identity.instance, incarnation, epoch })
    }
}
