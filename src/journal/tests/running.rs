//! The whole journal with its threads, on real files and on a disk that gets full or breaks.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::damage::Folder;
use super::world::{BOOT, LATER_BOOT, recover};
use crate::journal::disk::{Disk, Fault};
use crate::journal::{
    Caller, Fsync, Journal, Lane, Mark, PublishedCut, Soundness, Storage, Unusable, open,
    open_existing, receive,
};

/// What the workers of a test have published.
#[derive(Default)]
pub struct Published {
    lanes: Mutex<Vec<(Mark, Vec<u8>)>>,
    failure: Mutex<Option<ErrorKind>>,
    failed: Condvar,
}

impl Published {
    pub fn commit(&self, lane: &mut Lane, record: &[u8], state: &[u8]) {
        lane.append(record).unwrap();
        let mark = lane.commit(state).unwrap();
        self.lanes.lock().unwrap()[lane.index()] = (mark, state.to_vec());
    }
}

impl Caller for Published {
    fn cut(&self, cut: &mut PublishedCut) {
        let lanes = self.lanes.lock().unwrap();
        cut.set_epoch(lanes.iter().map(|(mark, _)| mark.epoch()).max().unwrap_or(0));
        for (lane, (mark, state)) in lanes.iter().enumerate() {
            cut.set(lane, *mark, state);
        }
    }

    fn failed(&self, error: &io::Error) {
        *self.failure.lock().unwrap() = Some(error.kind());
        self.failed.notify_all();
    }
}

pub struct Run {
    pub journal: Journal,
    pub lanes: Vec<Lane>,
    pub published: Arc<Published>,
}

/// Recovers and starts; returns the records too.
pub fn start(storage: Arc<dyn Storage>, workers: usize, fsync: Fsync) -> (Run, Vec<Vec<u8>>) {
    let records = Mutex::new(Vec::new());
    let recovery = open(storage).unwrap();
    let (recovered, visited) =
        recovery.visit(2, |record| records.lock().unwrap().push(record.to_vec())).unwrap();
    let mut records = records.into_inner().unwrap();
    assert_eq!(visited.records as usize, records.len());
    records.sort();
    let states: Vec<Vec<u8>> = recovered.states().map(<[u8]>::to_vec).collect();
    let published = Arc::new(Published::default());
    let (journal, lanes) = recovered.start(workers, fsync, published.clone()).unwrap();
    let state = |index| states.get(index).cloned().unwrap_or_default();
    *published.lanes.lock().unwrap() =
        lanes.iter().map(|lane| (lane.mark(), state(lane.index()))).collect();
    (Run { journal, lanes, published }, records)
}

#[test]
fn what_was_committed_is_there_after_every_kind_of_end() {
    let folder = Folder::new("ends");
    for (round, fsync) in [Fsync::EverySecond, Fsync::Always, Fsync::EverySecond].iter().enumerate()
    {
        let (mut run, records) = start(folder.storage(), 2, *fsync);
        assert_eq!(records.len(), 2 * round);
        for lane in &mut run.lanes {
            let record = format!("round {round} lane {}", lane.index());
            run.published.commit(lane, record.as_bytes(), b"state");
        }
        match round {
            0 => drop(run), // as a kill
            _ => run.journal.close(run.lanes).unwrap(),
        }
    }
    let recovery = open(folder.storage()).unwrap();
    assert_eq!(recovery.level(), Soundness::Slots { unsynced: false, torn: false });
    assert!(recovery.states().all(|state| state == b"state"));
}

#[test]
fn a_directory_has_one_user_at_a_time() {
    let folder = Folder::new("lock");
    assert!(open_existing(folder.storage()).unwrap().is_none() && !folder.0.exists());
    let (run, _) = start(folder.storage(), 1, Fsync::EverySecond);
    for refusal in [open(folder.storage()).err(), open_existing(folder.storage()).err()] {
        assert!(matches!(refusal, Some(Unusable::InUse { .. })), "{refusal:?}");
    }
    drop(run);
    assert!(open_existing(folder.storage()).unwrap().is_some());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&folder.0).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_thread_makes_checkpoints_and_a_power_loss_keeps_them() {
    let disk = Disk::new(BOOT);
    let (mut run, _) = start(Arc::new(disk.clone()), 2, Fsync::EverySecond);
    for lane in &mut run.lanes {
        run.published.commit(lane, b"kept", b"kept");
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while run.journal.figures().counted.checkpoints == 0 {
        assert!(Instant::now() < deadline, "no checkpoint");
        std::thread::yield_now();
    }
    run.published.commit(&mut run.lanes[0], b"lost", b"lost");
    let (_, kept) = recover(&Disk::of(disk.image(), LATER_BOOT)).unwrap();
    assert!(kept.states.values().all(|state| state == b"kept"), "{kept:?}");
    assert_eq!(kept.records.values().sum::<usize>(), 2);
    let figures = run.journal.figures();
    assert!(figures.counted.syncs >= 4 && figures.counted.last_sync_unix_s > 0);
    assert!(figures.disk_bytes > 2 << 20 && figures.prepared_bytes_min > 1 << 19);
    // Nothing new, no checkpoint.
    run.journal.checkpoint().unwrap();
    let (calls, count) = (disk.calls(), run.journal.figures().counted.checkpoints);
    run.journal.checkpoint().unwrap();
    assert_eq!((disk.calls(), run.journal.figures().counted.checkpoints), (calls, count));
}

#[test]
fn resets_are_counted_and_durable() {
    let disk = Disk::new(BOOT);
    let (mut run, _) = start(Arc::new(disk.clone()), 1, Fsync::EverySecond);
    run.published.commit(&mut run.lanes[0], b"gone", b"gone");
    assert_eq!((run.journal.epoch(), run.journal.reset().unwrap(), run.journal.epoch()), (0, 1, 1));
    let (_, kept) = recover(&Disk::of(disk.image(), LATER_BOOT)).unwrap();
    assert!(kept.epoch == 1 && kept.states.is_empty() && kept.records.is_empty());
    run.lanes[0].restart(1);
    run.published.commit(&mut run.lanes[0], b"new", b"new");
    drop(run);
    let (_, records) = start(Arc::new(disk), 1, Fsync::EverySecond);
    assert_eq!(records, [b"new"]);
}

#[test]
fn a_full_disk_refuses_new_records_and_goes_on_when_there_is_space() {
    let disk = Disk::new(BOOT);
    let (mut run, _) = start(Arc::new(disk.clone()), 1, Fsync::EverySecond);
    disk.set_bytes_max(disk.bytes() + (1 << 17));
    let lane = &mut run.lanes[0];
    let mut count = 0_u64;
    while lane.append(&[7; 300]).is_ok() {
        count += 1;
        lane.commit(&count.to_le_bytes()).unwrap();
        assert!(count < 100_000, "the disk is never full");
    }
    // All of the disk has been used, and what needs no space goes on.
    assert!(count > 3_800, "only {count} records fitted");
    assert!(run.journal.figures().disk_full);
    for state in 0..200_u64 {
        lane.commit(&state.to_le_bytes()).unwrap();
    }
    disk.set_bytes_max(usize::MAX);
    let deadline = Instant::now() + Duration::from_secs(20);
    while lane.append(b"again").is_err() {
        assert!(Instant::now() < deadline, "there is space, and it is not used");
        std::thread::yield_now();
    }
    lane.commit(b"end").unwrap();
    while run.journal.figures().disk_full {
        assert!(Instant::now() < deadline, "the disk is said to be full");
        std::thread::yield_now();
    }
    drop(run);
    let (_, kept) = recover(&disk).unwrap();
    assert_eq!(kept.records.values().sum::<usize>() as u64, count + 1);
}

#[test]
fn a_disk_that_was_full_at_the_start_holds_what_is_known() {
    let disk = Disk::new(BOOT);
    let (mut run, _) = start(Arc::new(disk.clone()), 1, Fsync::EverySecond);
    run.published.commit(&mut run.lanes[0], b"known", b"1");
    drop(run);
    disk.set_bytes_max(disk.bytes());
    let (mut run, records) = start(Arc::new(disk.clone()), 1, Fsync::Always);
    assert_eq!(records, [b"known"]);
    run.published.commit(&mut run.lanes[0], b"one more", b"2");
    drop(run);
    // A lane that is not there cannot be made, and nothing is lost by trying.
    let (recovered, kept) = recover(&disk).unwrap();
    let caller = Arc::new(Published::default());
    let refusal = recovered.start(2, Fsync::Always, caller).err().unwrap().to_string();
    assert!(refusal.contains("-0001: cannot write"), "{refusal}");
    assert_eq!(recover(&disk).unwrap().1, kept);
}

#[test]
fn a_broken_disk_ends_everything() {
    for call in [0, 1, 2] {
        let disk = Disk::new(BOOT);
        let (mut run, _) = start(Arc::new(disk.clone()), 1, Fsync::EverySecond);
        run.published.commit(&mut run.lanes[0], b"a", b"a");
        let call = disk.calls() + call;
        disk.set_fault(Fault { call, kind: ErrorKind::Other, forever: false });
        let failure = run.published.failure.lock().unwrap();
        let patience = Duration::from_secs(20);
        let (failure, _) = run
            .published
            .failed
            .wait_timeout_while(failure, patience, |failure| failure.is_none())
            .unwrap();
        assert_eq!(*failure, Some(ErrorKind::Other));
        assert!(run.lanes[0].commit(b"b").is_err() && run.journal.reset().is_err());
        assert_eq!(run.journal.figures().counted.errors, 1);
        assert!(run.journal.close(run.lanes).is_err());
        assert_eq!(recover(&disk).unwrap().1.states[&0], b"a");
    }
}

/// Copies of what the successor gets.
pub fn luggage(packed: &crate::journal::Packed) -> (Vec<u8>, Vec<OwnedFd>) {
    let descriptors = packed.descriptors();
    let copies = descriptors.iter().map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    (packed.bytes().to_vec(), copies.collect())
}

#[test]
fn a_successor_goes_on_without_reading_the_records() {
    let folder = Folder::new("successor");
    let (mut run, _) = start(folder.storage(), 2, Fsync::EverySecond);
    run.published.commit(&mut run.lanes[0], b"first", b"1");
    let packed = run.journal.pack(run.lanes).unwrap();
    let (bytes, descriptors) = luggage(&packed);
    // Other workers and another mode than before.
    let recovered = receive(folder.storage(), &bytes, descriptors).unwrap();
    assert_eq!(recovered.states().collect::<Vec<_>>(), [&b"1"[..], b""]);
    let caller = Arc::new(Published::default());
    let (journal, mut lanes) = recovered.start(3, Fsync::Always, caller).unwrap();
    drop(packed);
    assert!(matches!(open(folder.storage()), Err(Unusable::InUse { .. })), "the lock has moved");
    for lane in &mut lanes {
        lane.append(b"second").unwrap();
        lane.commit(b"2").unwrap();
    }
    journal.close(lanes).unwrap();
    let (run, records) = start(folder.storage(), 1, Fsync::EverySecond);
    assert_eq!(records, [&b"first"[..], b"second", b"second", b"second"]);
    assert_eq!(run.journal.figures().lanes, 3);
}

#[test]
fn a_process_goes_on_when_its_successor_has_failed() {
    let folder = Folder::new("failed-successor");
    let (mut run, _) = start(folder.storage(), 1, Fsync::EverySecond);
    run.published.commit(&mut run.lanes[0], b"first", b"1");
    for (round, workers) in [1, 3].into_iter().enumerate() {
        let packed = run.journal.pack(run.lanes).unwrap();
        let (bytes, descriptors) = luggage(&packed);
        let recovered = receive(folder.storage(), &bytes, descriptors).unwrap();
        // The successor gets as far as it can without serving.
        let caller = Arc::new(Published::default());
        drop(recovered.start(workers, Fsync::Always, caller).unwrap());
        let recovered = packed.unpack().unwrap();
        assert_eq!(recovered.states().next(), Some(&b"1"[..]));
        let (journal, lanes) =
            recovered.start(1, Fsync::EverySecond, run.published.clone()).unwrap();
        run = Run { journal, lanes, ..run };
        run.published.commit(&mut run.lanes[0], format!("more {round}").as_bytes(), b"1");
    }
    drop(run);
    let (_, records) = start(folder.storage(), 1, Fsync::EverySecond);
    assert_eq!(records, [&b"first"[..], b"more 0", b"more 1"]);
}

#[test]
fn luggage_of_something_else_is_refused() {
    let (folder, other) = (Folder::new("luggage"), Folder::new("other-luggage"));
    let (run, _) = start(folder.storage(), 1, Fsync::EverySecond);
    let (other_run, _) = start(other.storage(), 1, Fsync::EverySecond);
    let packed = run.journal.pack(run.lanes).unwrap();
    let (bytes, descriptors) = luggage(&packed);
    let refusal = receive(other.storage(), &bytes, descriptors).unwrap_err().to_string();
    assert!(refusal.contains("not the directory of the other process"), "{refusal}");
    let (_, descriptors) = luggage(&packed);
    assert!(receive(folder.storage(), &[9; 8], descriptors).is_err());
    assert!(receive(folder.storage(), &bytes, Vec::new()).is_err());
    assert!(other_run.journal.pack(Vec::new()).is_err(), "a lane is missing");
}
