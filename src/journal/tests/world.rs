//! A caller in miniature: workers that journal and publish, what they did, and what may be recovered.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::sync::{Arc, Mutex};

use crate::journal::begin::Begun;
use crate::journal::checkpoint::{Pending, PublishedCut};
use crate::journal::disk::{Disk, Random};
use crate::journal::layout::SEGMENT_BYTES;
use crate::journal::{Fsync, Lane, Mark, Recovered, Unusable, open};
use crate::sys::files::BootId;

pub const BOOT: Option<BootId> = Some([1; 16]);
pub const LATER_BOOT: Option<BootId> = Some([2; 16]);

/// Everything that the journal keeps: states by lane, and how often each record is there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Kept {
    pub epoch: u64,
    pub states: BTreeMap<usize, Vec<u8>>,
    pub records: BTreeMap<Vec<u8>, usize>,
    /// By lane and number.
    pub cells: BTreeMap<(usize, u32), Vec<u8>>,
}

impl Debug for Kept {
    /// Without the bytes of records, of which there can be many.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let states: Vec<_> = self.states.values().map(|state| text(state)).collect();
        let records: usize = self.records.values().sum();
        let last = self.records.keys().next_back().map(|last| text(&last[..last.len().min(12)]));
        write!(f, "epoch {} {states:?}, {records} records, last {last:?}", self.epoch)?;
        let cells = self.cells.iter().map(|(place, value)| (place, text(value)));
        f.debug_map().entries(cells).finish()
    }
}

impl Kept {
    fn empty(epoch: u64) -> Kept {
        Kept { epoch, ..Kept::default() }
    }

    fn add(&mut self, lane: usize, state: &[u8], records: &[Vec<u8>]) {
        self.states.insert(lane, state.to_vec());
        for record in records {
            *self.records.entry(record.clone()).or_default() += 1;
        }
    }
}

/// A state that became the newest one, in the calls from the first to the second.
#[derive(Clone, Debug)]
struct Step {
    begun: usize,
    done: usize,
    kept: Kept,
}

/// How a history ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Kill,
    PowerLoss,
}

pub struct World {
    pub disk: Disk,
    pub fsync: Fsync,
    pub begun: Begun,
    pub lanes: Vec<Lane>,
    /// What is journalled, and at the same time published.
    pub kept: Kept,
    /// The published commit of each lane.
    marks: BTreeMap<usize, Mark>,
    /// States that a kill may leave, and those that a power loss may.
    commits: Vec<Step>,
    checkpoints: Vec<Step>,
    count: usize,
}

impl World {
    pub fn new(lanes: usize, fsync: Fsync) -> World {
        World::on(Disk::new(BOOT), lanes, fsync).expect("an empty disk")
    }

    /// Starts on a disk; what it holds is the first state.
    pub fn on(disk: Disk, lanes: usize, fsync: Fsync) -> Result<World, Unusable> {
        World::with_room(disk, lanes, fsync, SEGMENT_BYTES as u64)
    }

    /// Starts with this much room in each lane.
    pub fn with_room(disk: Disk, lanes: usize, fsync: Fsync, room: u64) -> Result<World, Unusable> {
        let begun_at = disk.calls();
        let (recovered, kept) = recover(&disk)?;
        let (begun, lanes) = recovered.begin(lanes, fsync, room)?;
        let step = Step { begun: begun_at, done: disk.calls(), kept: kept.clone() };
        let marks = lanes.iter().map(|lane| (lane.index(), lane.mark())).collect();
        let (commits, checkpoints) = (vec![step.clone()], vec![step]);
        Ok(World { disk, fsync, begun, lanes, kept, marks, commits, checkpoints, count: 0 })
    }

    /// Commits and publishes this number of records of this length in a lane.
    pub fn commit(&mut self, lane: usize, records: usize, bytes: usize) {
        self.count += 1;
        let begun = self.disk.calls();
        let writer = &mut self.lanes[lane];
        if writer.epoch() != self.kept.epoch {
            writer.restart(self.kept.epoch);
        }
        let record = |i| {
            let mut record = format!("{}.{lane}.{}.{i}.", self.kept.epoch, self.count).into_bytes();
            record.resize(bytes.max(record.len()), b'x');
            record
        };
        let records: Vec<Vec<u8>> = (0..records).map(record).collect();
        for record in &records {
            if writer.append(record).is_err() {
                self.begun.grower.turn(&self.begun.meters).unwrap();
                writer.append(record).expect("room");
            }
        }
        for ((_, index), value) in self.kept.cells.range((lane, 0)..(lane + 1, 0)) {
            // Those that changed tell it.
            if value.ends_with(format!("commit {}", self.count).as_bytes()) {
                writer.put_cell(*index, value).expect("room for a cell");
            }
        }
        let state = format!("state {} of lane {lane}", self.count).into_bytes();
        let mark = writer.commit(&state).expect("a commit");
        self.kept.add(lane, &state, &records);
        self.marks.insert(lane, mark);
        let step = Step { begun, done: self.disk.calls(), kept: self.kept.clone() };
        self.commits.push(step.clone());
        if self.fsync == Fsync::Always {
            self.checkpoints.push(step);
        }
    }

    /// Commits and publishes new values of these cells in a lane, with one record.
    pub fn commit_cells(&mut self, lane: usize, cells: &[u32]) {
        for &index in cells {
            let value = format!("cell {index} of commit {}", self.count + 1);
            self.kept.cells.insert((lane, index), value.into_bytes());
        }
        self.commit(lane, 1, 20);
    }

    /// What is published, as the caller of the journal reports it.
    pub fn cut(&self) -> PublishedCut {
        let mut cut = self.begun.checkpointer.cut();
        cut.set_epoch(self.kept.epoch);
        for (&lane, mark) in &self.marks {
            cut.set(lane, *mark, self.kept.states.get(&lane).map_or(&[], Vec::as_slice));
        }
        cut
    }

    /// Makes a checkpoint, with `between` after each of its steps.
    pub fn checkpoint_with(&mut self, mut between: impl FnMut(&mut World, usize)) {
        let (begun, kept, cut) = (self.disk.calls(), self.kept.clone(), self.cut());
        let held = self.begun.checkpointer.hold();
        let Some(pending) = self.begun.checkpointer.begin(&cut, held).unwrap() else { return };
        between(self, 1);
        self.begun.checkpointer.sync_records(&pending, &self.begun.meters).unwrap();
        between(self, 2);
        self.begun.checkpointer.write(&pending).unwrap();
        between(self, 3);
        self.finish(pending, begun, kept);
    }

    fn finish(&mut self, pending: Pending, begun: usize, kept: Kept) {
        self.begun.checkpointer.finish(pending, &self.begun.meters).unwrap();
        // With a sync for each commit, those made meanwhile are kept as well.
        if self.fsync == Fsync::EverySecond {
            self.checkpoints.push(Step { begun, done: self.disk.calls(), kept });
        }
    }

    pub fn checkpoint(&mut self) {
        self.checkpoint_with(|_, _| {});
    }

    /// Resets, first on disk, then what is published.
    pub fn reset(&mut self) {
        let begun = self.disk.calls();
        let epoch = self.begun.control.reset().unwrap();
        self.kept = Kept::empty(epoch);
        let step = Step { begun, done: self.disk.calls(), kept: self.kept.clone() };
        self.commits.push(step.clone());
        self.checkpoints.push(step);
    }

    /// Makes room where it is asked for.
    pub fn grow(&mut self) {
        self.begun.grower.turn(&self.begun.meters).unwrap();
    }

    /// Ends, cleanly or not, and starts again on the same disk with other lanes or another mode.
    pub fn restart(self, clean: bool, lanes: usize, fsync: Fsync) -> World {
        let World { disk, mut begun, kept, commits, mut checkpoints, count, .. } = self;
        if clean {
            let from = disk.calls();
            for (lane, cells) in &begun.files {
                cells.sync(&begun.meters).unwrap();
                lane.file.sync().unwrap();
            }
            begun.control.close().unwrap();
            checkpoints.push(Step { begun: from, done: disk.calls(), kept: kept.clone() });
        }
        let begun_at = disk.calls();
        let mut world = World::on(disk, lanes, fsync).unwrap();
        assert_eq!(world.kept, kept, "a start goes on with what was there");
        let step = Step { begun: begun_at, done: world.disk.calls(), kept };
        for (steps, mut before) in
            [(&mut world.commits, commits), (&mut world.checkpoints, checkpoints)]
        {
            before.push(step.clone());
            *steps = before;
        }
        world.count = count;
        world
    }

    /// What may be recovered if the history ends in this way after this number of calls.
    pub fn allowed(&self, calls: usize, end: End) -> Vec<Kept> {
        let steps = match end {
            End::Kill => &self.commits,
            End::PowerLoss => &self.checkpoints,
        };
        // A reset that is done counts, even if a checkpoint of before it is finished afterwards.
        let done = |step: &&Step| step.done <= calls;
        let epoch = steps.iter().filter(done).map(|step| step.kept.epoch).max().unwrap_or(0);
        let last = steps.iter().rposition(|step| step.done <= calls && step.kept.epoch == epoch);
        let under_way = steps.iter().filter(|step| step.begun < calls && step.done > calls);
        let mut allowed: Vec<Kept> =
            under_way.map(|step| step.kept.clone()).filter(|kept| kept.epoch >= epoch).collect();
        // Before the first start is done, there is nothing to be kept.
        allowed.push(last.map_or(Kept::default(), |last| steps[last].kept.clone()));
        allowed
    }

    /// Crashes after every call in every way, and checks what is recovered and how it goes on.
    pub fn crash_everywhere(&self, images_per_call: usize) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut count = 0;
        for calls in 0..=self.disk.calls() {
            let lost = self.disk.power_lost(calls, images_per_call, &mut random);
            let lost = lost.into_iter().map(|image| Disk::of(image, LATER_BOOT)).collect();
            for (end, disks) in [(End::Kill, self.disk.killed(calls)), (End::PowerLoss, lost)] {
                let case = Case { world: self, calls, end };
                for disk in disks {
                    count += 1;
                    let world = case.check(disk, &mut random);
                    if count % 8 == 0 || end == End::Kill {
                        case.crash_again(&world, &mut random);
                    }
                }
            }
        }
    }
}

/// A history that ended.
struct Case<'a> {
    world: &'a World,
    calls: usize,
    end: End,
}

impl Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?} after {} of {} calls", self.end, self.calls, self.world.disk.calls())
    }
}

impl Case<'_> {
    /// Recovers what is left: it must start, with one of the allowed states. Goes on with it: what is
    /// committed then must be there together with what was.
    fn check(&self, disk: Disk, random: &mut Random) -> World {
        let fsync = if random.below(2) == 0 { Fsync::EverySecond } else { Fsync::Always };
        let world = World::on(disk, 1 + random.below(3), fsync);
        let mut world = world.unwrap_or_else(|refusal| panic!("{self}: {refusal}"));
        let allowed = self.world.allowed(self.calls, self.end);
        assert!(allowed.contains(&world.kept), "{self}: {:?} is none of {allowed:?}", world.kept);
        for lane in 0..world.lanes.len() {
            world.commit(lane, 2, 40);
        }
        let (_, kept) = recover(&world.disk).unwrap_or_else(|refusal| panic!("{self}: {refusal}"));
        assert_eq!(kept, world.kept, "{self}, and then a kill");
        world
    }

    /// Crashes during the recovery, or the commits after it.
    fn crash_again(&self, world: &World, random: &mut Random) {
        let first = world.commits[0].clone();
        for _ in 0..3 {
            let calls = first.begun + random.below(world.disk.calls() + 1 - first.begun);
            let lost = world.disk.power_lost(calls, 6, random);
            let lost = lost.into_iter().map(|image| Disk::of(image, Some([3; 16]))).collect();
            for (end, disks) in [(End::Kill, world.disk.killed(calls)), (End::PowerLoss, lost)] {
                for disk in disks {
                    self.check_again(&first, world, calls, end, &disk);
                }
            }
        }
    }

    fn check_again(&self, first: &Step, world: &World, calls: usize, end: End, disk: &Disk) {
        let (recovered, kept) = recover(disk).unwrap_or_else(|refusal| {
            panic!("{self}, then {end:?} after {calls} calls: {refusal}")
        });
        let mut allowed = world.allowed(calls, end);
        if calls < first.done {
            allowed = vec![first.kept.clone()];
            // If the power goes after a kill, before the next start has made sure of what it found,
            // the kill is as if it had not been.
            let found = recovered.0.control.control();
            if found.incarnation < world.begun.control.control().incarnation {
                allowed.extend(match end {
                    End::Kill => self.world.allowed(self.calls, self.end),
                    End::PowerLoss => self.world.allowed(self.calls, End::PowerLoss),
                });
            }
        }
        assert!(
            allowed.contains(&kept),
            "{self}, then {end:?} after {calls} calls: {kept:?} is none of {allowed:?}"
        );
    }
}

/// What a disk holds.
pub fn recover(disk: &Disk) -> Result<(Recovered, Kept), Unusable> {
    let recovery = open(Arc::new(disk.clone()))?;
    let mut kept = Kept::empty(recovery.epoch());
    let states = recovery.states().enumerate().filter(|(_, state)| !state.is_empty());
    kept.states = states.map(|(lane, state)| (lane, state.to_vec())).collect();
    let records = Mutex::new(BTreeMap::new());
    let add = |record: &[u8]| {
        *records.lock().unwrap().entry(record.to_vec()).or_default() += 1;
    };
    let (recovered, _) = recovery.visit(1, add)?;
    kept.records = records.into_inner().unwrap();
    recovered.visit_cells(|lane, index, value| {
        kept.cells.insert((lane, index), value.to_vec());
    })?;
    Ok((recovered, kept))
}
