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

use super::checkpoint::Checkpointer;
use super::control::{Basis, Control, ControlFile, Level};
use super::lane::Lane;
use super::layout::{
    Identity, Kind, RING_AT, RING_BYTES, SECTOR_BYTES, SEGMENT_BYTES, STREAM_AT, checkpoint_at,
    lane_name, put, slot_at,
};
use super::mark::Mark;
use super::recovery::{FoundLane, Recovered, Recovery};
use super::refusal::Refusal;
use super::shared::{Fsync, LaneFile, Meters};
use super::slot::{Block, Slot, State};
use super::space::{Grower, Space, is_full, write_zeros};
use super::storage::{File, Storage};

/// A journal whose threads do not run yet.
#[derive(Debug)]
pub struct Begun {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) control: ControlFile,
    pub(super) files: Vec<LaneFile>,
    pub(super) checkpointer: Checkpointer,
    pub(super) grower: Grower,
    pub(super) meters: Arc<Meters>,
    pub(super) space: Arc<Space>,
    pub(super) fsync: Fsync,
    pub(super) recovery: Duration,
}

/// A lane on its way through step B.
struct Prepared {
    file: LaneFile,
    /// The first commit of this incarnation, which repeats the one that counts.
    slot: Slot,
    /// Where the zeros behind the records end, and the file.
    prepared: u64,
    length: u64,
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
    ) -> Result<(Begun, Vec<Lane>), Refusal> {
        let Recovery { storage, mut control, level, lanes, checkpoint, began } = self.0;
        let found = *control.control();
        let incarnation = found.incarnation + 1;
        let failed = |lane, error| Refusal::of(storage.path(&lane_name(lane)), "write", error);
        let control_failed =
            |error| Refusal::of(storage.path(super::layout::CONTROL_NAME), "write", error);
        // The last run may have ended between making a name, or writing a copy, and making it durable.
        let named = storage.sync_names();
        named.map_err(|error| Refusal::of(storage.path(""), "sync", error))?;
        control.rewrite().map_err(control_failed)?;
        if let Level::Slots { unsynced: true, .. } = level {
            for (lane, found) in lanes.iter().enumerate() {
                rewrite(found).map_err(|error| failed(lane, error))?;
            }
        }
        let decided = Control { incarnation, basis: decided(level), ..found };
        control.write(decided).map_err(control_failed)?;

        let context = StepB { control: control.control(), level, checkpoint, step_bytes_min };
        let mut ready = Vec::new();
        for (lane, found) in lanes.into_iter().enumerate() {
            let grows = lane < workers;
            ready.push(context.go_on(found, grows).map_err(|error| failed(lane, error))?);
        }
        let count = ready.len();
        for lane in count..workers {
            let file = storage.create(&lane_name(lane)).map_err(|error| failed(lane, error))?;
            ready.push(context.make(file, lane).map_err(|error| failed(lane, error))?);
        }
        if ready.len() > count {
            let named = storage.sync_names();
            named.map_err(|error| Refusal::of(storage.path(""), "sync", error))?;
        }

        let basis = match (fsync, storage.boot()) {
            (Fsync::EverySecond, Some(boot)) => Basis::SlotsUntilReboot(boot),
            (Fsync::EverySecond, None) => Basis::Checkpoints,
            (Fsync::Always, boot) => Basis::SyncedSlots(boot),
        };
        let lanes = ready.len() as u32;
        let settled = Control { incarnation, settled: incarnation, basis, lanes, ..found };
        control.write(settled).map_err(control_failed)?;
        let parts =
            Parts { storage, control, ready, fsync, checkpoint: checkpoint + 1, step_bytes_min };
        let (begun, lanes) = parts.assemble(workers);
        Ok((Begun { recovery: began.elapsed(), ..begun }, lanes))
    }
}

/// Returns the basis that holds until step C.
fn decided(level: Level) -> Basis {
    match level {
        Level::Slots { torn: false, .. } => Basis::Slots,
        Level::Slots { torn: true, .. } => Basis::SyncedSlots(None),
        Level::Checkpoints => Basis::Checkpoints,
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

struct StepB<'a> {
    control: &'a Control,
    level: Level,
    /// The checkpoint that must stay until step C.
    checkpoint: u64,
    step_bytes_min: u64,
}

impl StepB<'_> {
    fn first_slot(&self, mark: Mark, state: State) -> Slot {
        Slot { mark: mark.next(), incarnation: self.control.incarnation, checkpoint: 0, state }
    }

    /// Takes a lane over.
    fn go_on(&self, found: FoundLane, grows: bool) -> io::Result<Prepared> {
        let FoundLane { file, mark, state, prepared, .. } = found;
        let slot = self.first_slot(mark, state);
        let prepared = match prepared {
            Some(prepared) => prepared,
            None if grows => self.prepare(&*file.file, mark.end())?,
            None => mark.end(),
        };
        let seed = file.identity.seed();
        let mut block = Block([0; SECTOR_BYTES]);
        slot.encode(seed, &mut block);
        if self.level == Level::Checkpoints {
            // The slots of the last run count no more, and the disk may lack some of them.
            let mut ring = vec![0; RING_BYTES];
            put(&mut ring, (slot_at(slot.mark.number) - RING_AT) as usize, &block.0);
            file.file.write_at(&ring, RING_AT)?;
        } else {
            file.file.write_at(&block.0, slot_at(slot.mark.number))?;
        }
        let checkpoint = self.checkpoint + 1;
        Slot { checkpoint, ..slot }.encode(seed, &mut block);
        file.file.write_at(&block.0, checkpoint_at(checkpoint))?;
        file.file.sync()?;
        let length = file.file.bytes()?;
        Ok(Prepared { file, slot, prepared, length })
    }

    /// Makes a lane. Its file may be there, from a start that did not get this far.
    fn make(&self, file: Arc<dyn File>, lane: usize) -> io::Result<Prepared> {
        let identity = Identity { instance: self.control.instance, lane: lane as u32 };
        let mark = Mark::start(&identity, 0, self.control.epoch);
        let slot = self.first_slot(mark, State::EMPTY);
        let mut head = vec![0; STREAM_AT as usize];
        put(&mut head, 0, &identity.header(Kind::Lane));
        let mut block = Block([0; SECTOR_BYTES]);
        slot.encode(identity.seed(), &mut block);
        put(&mut head, slot_at(slot.mark.number) as usize, &block.0);
        let checkpoint = self.checkpoint + 1;
        Slot { checkpoint, ..slot }.encode(identity.seed(), &mut block);
        put(&mut head, checkpoint_at(checkpoint) as usize, &block.0);
        file.write_at(&head, 0)?;
        let prepared = self.prepare(&*file, mark.end())?;
        file.sync()?;
        let length = file.bytes()?;
        Ok(Prepared { file: LaneFile { file, identity }, slot, prepared, length })
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

/// What a start ends with.
struct Parts {
    storage: Arc<dyn Storage>,
    control: ControlFile,
    ready: Vec<Prepared>,
    fsync: Fsync,
    checkpoint: u64,
    step_bytes_min: u64,
}

impl Parts {
    fn assemble(self, workers: usize) -> (Begun, Vec<Lane>) {
        let Parts { storage, control, ready, fsync, checkpoint, step_bytes_min } = self;
        let incarnation = control.control().incarnation;
        let meters = Arc::new(Meters::default());
        let rooms = ready.iter().take(workers);
        let rooms = rooms.map(|lane| (lane.slot.mark.end(), lane.prepared, lane.length));
        let space = Arc::new(Space::new(rooms));
        let lane = |(index, lane): (usize, &Prepared)| {
            let (meters, space) = (meters.clone(), space.clone());
            Lane::new(index, lane.file.clone(), lane.slot.mark, incarnation, fsync, meters, space)
        };
        let lanes: Vec<Lane> = ready.iter().take(workers).enumerate().map(lane).collect();
        let last = ready.iter().map(|lane| Slot { checkpoint, ..lane.slot }).collect();
        let files: Vec<LaneFile> = ready.into_iter().map(|lane| lane.file).collect();
        let begun = Begun {
            checkpointer: Checkpointer::new(files.clone(), incarnation, checkpoint, last),
            grower: Grower::new(space.clone(), &files[..workers], step_bytes_min),
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
