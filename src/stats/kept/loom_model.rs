//! Every interleaving of workers that keep and publish with a reset, and with a crash at any moment.
//!
//! The disk is a lock around what it holds: a write of a worker's slot, and that of the number of resets,
//! each happen whole or not at all. A crash is a look at it.

use std::collections::BTreeSet;
use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;

use super::*;
use crate::stats::{Shard, Snapshot, Statistics};

/// Preemptions in a schedule, so that a model ends within a minute.
const PREEMPTIONS_MAX: usize = 2;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}

/// What one worker has kept last.
#[derive(Clone, Default)]
struct Lane {
    resets: u64,
    events: u64,
    ids: BTreeSet<Vec<u8>>,
}

/// What a crash leaves.
#[derive(Default)]
struct Disk {
    resets: u64,
    lanes: [Lane; 2],
}

impl Disk {
    /// Returns the number of events and the ids that a start after a crash would find.
    fn recovered(&self) -> (u64, BTreeSet<Vec<u8>>) {
        let lanes = self.lanes.iter().filter(|lane| lane.resets == self.resets);
        lanes.fold(Default::default(), |(events, mut ids), lane| {
            ids.extend(lane.ids.iter().cloned());
            (events + lane.events, ids)
        })
    }
}

type SharedDisk = Arc<Mutex<Disk>>;

/// A worker's way to its lane. What it holds is on the disk after `keep`.
struct LaneLedger {
    disk: SharedDisk,
    worker: usize,
    open: Lane,
    staged: Vec<Vec<u8>>,
}

impl Ledger for LaneLedger {
    type Point = usize;

    fn open(&mut self, resets: u64) {
        self.staged.clear();
        if self.open.resets != resets {
            self.open = Lane { resets, ..Lane::default() };
        }
    }

    fn point(&self) -> usize {
        self.staged.len()
    }

    fn back_to(&mut self, point: usize) {
        self.staged.truncate(point);
    }

    fn add(&mut self, id: &[u8]) -> bool {
        self.staged.push(id.to_vec());
        true
    }

    fn keep(&mut self, totals: &KeptTotals) -> io::Result<KeptMark> {
        self.open.ids.extend(self.staged.drain(..));
        self.open.events = totals.events;
        self.disk.lock().unwrap().lanes[self.worker] = self.open.clone();
        Ok([totals.events, 0, 0])
    }
}

/// A worker, which counts an event of each of these users and is answered. Then the disk must have all
/// that it has counted, unless a reset came.
fn count(statistics: &Arc<Statistics>, disk: &SharedDisk, worker: usize, users: &[&str]) {
    let mut shard: Shard = statistics.shard(worker);
    let (disk, open) = (Arc::clone(disk), Lane::default());
    let mut ledger = LaneLedger { disk, worker, open, staged: Vec::new() };
    for (done, user) in users.iter().enumerate() {
        shard.stage(user.as_bytes(), 1.0);
        assert!(shard.commit_kept(&mut ledger).unwrap().is_none());
        let disk = ledger.disk.lock().unwrap();
        let (events, ids) = disk.recovered();
        let is_kept = events > done as u64 && ids.contains(user.as_bytes());
        assert!(disk.resets > 0 || is_kept, "an answered event is not on the disk");
    }
}

/// Asserts that a crash takes back nothing of what a reader saw before.
fn assert_covers(disk: &SharedDisk, seen: &Snapshot) {
    let (events, ids) = disk.lock().unwrap().recovered();
    assert!(
        events >= seen.events && ids.len() as u64 >= seen.users,
        "a crash takes back what was seen"
    );
    assert!(events == 0 || !ids.is_empty(), "an event without its user");
}

fn statistics() -> (Arc<Statistics>, SharedDisk) {
    (Statistics::new(2, [1, 2], None), Arc::new(Mutex::new(Disk::default())))
}

#[test]
fn loom_what_a_reader_sees_survives_a_crash() {
    check(|| {
        let (statistics, disk) = statistics();
        let worker = {
            let (statistics, disk) = (Arc::clone(&statistics), Arc::clone(&disk));
            thread::spawn(move || count(&statistics, &disk, 0, &["a"]))
        };
        assert_covers(&disk, &statistics.snapshot());
        worker.join().unwrap();
    });
}

#[test]
fn loom_a_user_of_two_workers_is_kept_with_each_event() {
    check(|| {
        let (statistics, disk) = statistics();
        let worker = {
            let (statistics, disk) = (Arc::clone(&statistics), Arc::clone(&disk));
            thread::spawn(move || count(&statistics, &disk, 0, &["a"]))
        };
        count(&statistics, &disk, 1, &["a"]);
        worker.join().unwrap();
        let (seen, (events, ids)) = (statistics.snapshot(), disk.lock().unwrap().recovered());
        assert_eq!((seen.events, seen.users), (2, 1));
        assert_eq!((events, ids.len()), (2, 1));
    });
}

#[test]
fn loom_a_reset_beside_a_commit_leaves_the_same_on_the_disk_and_in_memory() {
    check(|| {
        let (statistics, disk) = statistics();
        let worker = {
            let (statistics, disk) = (Arc::clone(&statistics), Arc::clone(&disk));
            thread::spawn(move || count(&statistics, &disk, 0, &["a"]))
        };
        let keep = |_| {
            let mut disk = disk.lock().unwrap();
            disk.resets += 1;
            Ok(disk.resets)
        };
        assert!(statistics.reset_kept(keep).unwrap());
        assert_covers(&disk, &statistics.snapshot());
        worker.join().unwrap();
        let (seen, (events, ids)) = (statistics.snapshot(), disk.lock().unwrap().recovered());
        assert_eq!((seen.events, seen.users), (events, ids.len() as u64));
        assert!(events <= 1);
    });
}
