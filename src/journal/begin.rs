//! From what was found to lanes that can be written: the steps of a start on disk.
//!
//! ```text
//! A  control   one incarnation more; what the slots are worth is decided, and stays so until C
//! B  lanes     missing ones are made; each gets a first slot and a checkpoint of this incarnation,
//!              and zeros behind its records; all of it synced
//! C  control   this incarnation counts from now on
//! ```
//!
//! Until C only slots of the last run count, and B has spared those that do. So a crash at any point
//! leaves what the start had found, and the next start finds the same. After C only slots of this
//! incarnation count; what an unlucky earlier run left behind the commit that was chosen never does.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::cells::Cells;
use super::checkpoint::Checkpointer;
use super::control::{Basis, Control, ControlFile, Soundness};
use super::lane::Lane;
use super::layout::{CONTROL_NAME, RING_AT, SEGMENT_BYTES, STREAM_AT, cells_name, lane_name};
use super::prepare::{Ready, StepB};
use super::recovery::{FoundLane, Recovered, Recovery};
use super::refusal::Unusable;
use super::shared::{Fsync, JournalMeters, LaneFile};
use super::slot::Slot;
use super::space::{Grower, Space};
use super::storage::Storage;

/// A journal whose threads do not run yet.
#[derive(Debug)]
pub struct Begun {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) control: ControlFile,
    pub(super) files: Vec<(LaneFile, Cells)>,
    pub(super) checkpointer: Checkpointer,
    pub(super) grower: Grower,
    pub(super) meters: Arc<JournalMeters>,
    pub(super) space: Arc<Space>,
    pub(super) fsync: Fsync,
    pub(super) recovery: Duration,
}

impl Recovered {
    /// Goes through all steps, for this number of workers.
    ///
    /// # Errors
    /// A failed write or sync; the state on disk is then what it was.
    pub(super) fn begin(
        self,
        workers: usize,
        fsync: Fsync,
        step_bytes_min: u64,
    ) -> Result<(Begun, Vec<Lane>), Unusable> {
        let Recovery { storage, mut control, level, lanes, checkpoint, began } = self.0;
        let found = *control.control();
        let incarnation = found.incarnation + 1;
        step_a(&*storage, &mut control, level, &lanes)?;

        let step_b = StepB {
            storage: &*storage,
            control: *control.control(),
            level,
            checkpoint,
            step_bytes_min,
        };
        let mut ready = Vec::new();
        for (lane, found) in lanes.into_iter().enumerate() {
            ready.push(step_b.go_on(lane, found, lane < workers)?);
        }
        for lane in ready.len()..workers {
            ready.push(step_b.make(lane)?);
        }
        let count = ready.len() as u32;
        if found.cells < count {
            sync_names(&*storage)?;
        }

        let basis = match (fsync, storage.boot()) {
            (Fsync::EverySecond, Some(boot)) => Basis::SlotsUntilReboot(boot),
            (Fsync::EverySecond, None) => Basis::Checkpoints,
            (Fsync::Always, boot) => Basis::SyncedSlots(boot),
        };
        let settled = Control { incarnation, settled: incarnation, basis, ..found };
        let settled = Control { lanes: count, cells: count, ..settled };
        control.write(settled).map_err(control_failed(&*storage))?;
        let parts =
            Parts { storage, control, ready, fsync, checkpoint: checkpoint + 1, step_bytes_min };
        let (begun, lanes) = parts.assemble(workers);
        Ok((Begun { recovery: began.elapsed(), ..begun }, lanes))
    }
}

/// Makes sure that all of what was found is on disk, and writes the decision down.
fn step_a(
    storage: &dyn Storage,
    control: &mut ControlFile,
    level: Soundness,
    lanes: &[FoundLane],
) -> Result<(), Unusable> {
    // The last run may have ended between making a name, or writing a copy, and making it durable.
    sync_names(storage)?;
    control.rewrite().map_err(control_failed(storage))?;
    if let Soundness::Slots { unsynced: true, .. } = level {
        for (lane, found) in lanes.iter().enumerate() {
            let failed = |error| Unusable::of(storage.path(&lane_name(lane)), "write", error);
            rewrite(found).map_err(failed)?;
            if let Some(cells) = &found.cells {
                let rewritten = match found.prepared {
                    // The other process is well; its cells are in order.
                    Some(_) => cells.file().sync().map_err(Into::into),
                    None => cells.rewrite(&found.durable),
                };
                rewritten.map_err(|failure| failure.refusal(storage, &cells_name(lane)))?;
            }
        }
    }
    let found = *control.control();
    let decided = Control { incarnation: found.incarnation + 1, basis: decided(level), ..found };
    control.write(decided).map_err(control_failed(storage))
}

fn sync_names(storage: &dyn Storage) -> Result<(), Unusable> {
    storage.sync_names().map_err(|error| Unusable::of(storage.path(""), "sync", error))
}

fn control_failed(storage: &dyn Storage) -> impl Fn(io::Error) -> Unusable {
    let path = storage.path(CONTROL_NAME);
    move |error| Unusable::of(path.clone(), "write", error)
}

/// Returns the basis that holds until step C.
fn decided(level: Soundness) -> Basis {
    match level {
        Soundness::Slots { torn: false, .. } => Basis::Slots,
        Soundness::Slots { torn: true, .. } => Basis::SyncedSlots(None),
        Soundness::Checkpoints => Basis::Checkpoints,
    }
}

/// Writes again what is in the page cache and may not be on disk, and makes it durable.
///
/// A sync would do, but for one case: the last run ended because a sync failed. Then the kernel may have
/// marked pages as written that are not, and a sync alone would report success.
fn rewrite(lane: &FoundLane) -> io::Result<()> {
    let file = &*lane.file.file;
    let mut bytes = vec![0; SEGMENT_BYTES];
    let stretches = [(RING_AT, STREAM_AT), (lane.durable.end(), lane.mark.end())];
    for (from, to) in stretches {
        let mut at = from;
        while at < to {
            let bytes = &mut bytes[..(to - at).min(SEGMENT_BYTES as u64) as usize];
            file.read_at(bytes, at)?;
            file.write_at(bytes, at)?;
            at += bytes.len() as u64;
        }
    }
    file.sync()
}

/// What a start ends with.
struct Parts {
    storage: Arc<dyn Storage>,
    control: ControlFile,
    ready: Vec<Ready>,
    fsync: Fsync,
    checkpoint: u64,
    step_bytes_min: u64,
}

impl Parts {
    fn assemble(self, workers: usize) -> (Begun, Vec<Lane>) {
        let Parts { storage, control, ready, fsync, checkpoint, step_bytes_min } = self;
        let incarnation = control.control().incarnation;
        let meters = Arc::new(JournalMeters::default());
        let with_worker = || ready.iter().take(workers);
        let room = |which: usize| with_worker().map(move |lane| lane.rooms[which]);
        let space = Arc::new(Space::new(room(0).chain(room(1))));
        let last = ready.iter().map(|lane| Slot { checkpoint, ..lane.slot }).collect();
        let records = with_worker().map(|lane| (lane.file.file.clone(), step_bytes_min));
        let cells = with_worker().map(|lane| (lane.cells.file().clone(), SEGMENT_BYTES as u64));
        let growing: Vec<_> = records.chain(cells).collect();
        let (mut files, mut lanes) = (Vec::new(), Vec::new());
        for (index, lane) in ready.into_iter().enumerate() {
            let mark = lane.slot.mark;
            let cells = Cells::new(lane.cells, mark.number, lane.versions.cells());
            files.push((lane.file.clone(), cells.clone()));
            if index < workers {
                let own = (lane.file, cells, lane.versions);
                let (meters, space) = (meters.clone(), space.clone());
                lanes.push(Lane::new(index, own, mark, (incarnation, fsync), meters, space));
            }
        }
        let begun = Begun {
            checkpointer: Checkpointer::new(files.clone(), incarnation, checkpoint, last),
            grower: Grower::new(space.clone(), growing.into_iter()),
            storage,
            control,
            files,
            meters,
            space,
            fsync,
            recovery: Duration::ZERO,
        };
        (begun, lanes)
    }
}
