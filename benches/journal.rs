//! What a commit costs beside the system calls that it is made of, and how long recovery takes.
//!
//! `cargo bench --bench journal` prints the tables of `docs/durability.md`. Each row is measured on a
//! directory of the disk (`MILLRACE_BENCH_DIR`, or the directory for temporary files) and on tmpfs, the
//! raw calls in turn with the commits, so that noise of the machine meets both; the fastest of several
//! rounds counts. Recovery reads files from the page cache.

// Of the function that the harness would make.
#![allow(missing_docs)]

use std::cell::RefCell;
use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace::journal::{Caller, Directory, Fsync, Journal, Lane, PublishedCut, open};

const ROUNDS: usize = 7;
const STATE: [u8; 300] = [7; 300];

fn main() {
    // Run as a test: does it work at all?
    let as_bench = std::env::args().any(|argument| argument == "--bench");
    let scale = if as_bench { 1 } else { 1_000 };
    let disk =
        std::env::var_os("MILLRACE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    for folder in [disk, PathBuf::from("/dev/shm")] {
        let Some(folder) = Folder::new(&folder) else {
            println!("{}: cannot be used", folder.display());
            continue;
        };
        println!("{}", folder.0.display());
        commits(&folder.0, 100_000 / scale, 500 / scale.min(100));
    }
    for users in [1_000_000, 10_000_000] {
        recovery(users / scale as u64);
    }
}

/// A directory of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: &Path) -> Option<Folder> {
        let path = parent.join(format!("millrace-bench-{}", std::process::id()));
        fs::create_dir(&path).ok().map(|()| Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Nothing;

impl Caller for Nothing {
    fn cut(&self, _: &mut PublishedCut) {}

    fn failed(&self, error: &io::Error) {
        panic!("{error}");
    }
}

fn start(path: PathBuf, fsync: Fsync) -> (Journal, Lane) {
    let recovery = open(Arc::new(Directory::new(path))).expect("a new directory");
    let (recovered, _) = recovery.visit(1, |_| {}).expect("an empty directory");
    let (journal, lanes) = recovered.start(1, fsync, Arc::new(Nothing)).expect("a start");
    (journal, lanes.into_iter().next().expect("a lane"))
}

/// Runs each measure in turn, and prints the shortest time of each, for one of its calls.
fn compare(rows: &mut [(&str, &mut dyn FnMut() -> Duration)]) {
    let mut best = vec![Duration::MAX; rows.len()];
    for _ in 0..ROUNDS {
        for (best, (_, measure)) in best.iter_mut().zip(rows.iter_mut()) {
            *best = measure().min(*best);
        }
    }
    for (best, (name, _)) in best.iter().zip(rows) {
        println!("  {name:<52} {:>10.2} µs", best.as_nanos() as f64 / 1_000.0);
    }
}

fn mean(count: usize, mut call: impl FnMut()) -> Duration {
    let from = Instant::now();
    (0..count).for_each(|_| call());
    from.elapsed() / count as u32
}

fn commits(path: &Path, writes: usize, syncs: usize) {
    let raw = File::create_new(path.join("raw")).expect("a file");
    raw.write_all_at(&vec![1; 1 << 20], 0).and_then(|()| raw.sync_all()).expect("space");
    let slot = [1; 512];
    let write = |bytes: &[u8], at| raw.write_all_at(black_box(bytes), at).expect("a write");
    let (fast, lane) = start(path.join("everysec"), Fsync::EverySecond);
    let (slow, synced) = start(path.join("always"), Fsync::Always);
    let (lane, synced) = (RefCell::new(lane), RefCell::new(synced));
    let mut id = 0_u64;
    let mut commit = |lane: &mut Lane, records: usize| {
        for _ in 0..records {
            id += 1;
            while lane.append(format!("user_{id}").as_bytes()).is_err() {}
        }
        black_box(lane.commit(&STATE).expect("a commit"));
    };
    let commit = RefCell::new(&mut commit);
    let commits = |lane: &RefCell<Lane>, records, count| {
        mean(count, || (commit.borrow_mut())(&mut lane.borrow_mut(), records))
    };
    compare(&mut [
        ("pwrite of 512 bytes", &mut || mean(writes, || write(&slot, 4_096))),
        ("commit, no new record", &mut || commits(&lane, 0, writes)),
        ("two pwrites, of 17 and 512 bytes", &mut || {
            mean(writes, || {
                write(&slot[..17], 65_536);
                write(&slot, 4_096);
            })
        }),
        ("commit, 1 new record", &mut || commits(&lane, 1, writes)),
        ("commit, 64 new records", &mut || commits(&lane, 64, writes / 16)),
        ("commit, 1 new record and 16 cells", &mut || {
            mean(writes / 4, || {
                let lane = &mut *lane.borrow_mut();
                for index in 0..16 {
                    while lane.put_cell(index * 7, &STATE[..64]).is_err() {}
                }
                (commit.borrow_mut())(lane, 1);
            })
        }),
        ("pwrite of 512 bytes, fdatasync", &mut || {
            mean(syncs, || {
                write(&slot, 4_096);
                raw.sync_data().expect("a sync");
            })
        }),
        ("commit with Fsync::Always, no new record", &mut || commits(&synced, 0, syncs)),
        ("two pwrites, fdatasync", &mut || {
            mean(syncs, || {
                write(&slot[..17], 65_536);
                write(&slot, 4_096);
                raw.sync_data().expect("a sync");
            })
        }),
        ("commit with Fsync::Always, 1 new record", &mut || commits(&synced, 1, syncs)),
        ("commit with Fsync::Always, 1 new record and 16 cells", &mut || {
            mean(syncs, || {
                let lane = &mut *synced.borrow_mut();
                for index in 0..16 {
                    while lane.put_cell(index * 7, &STATE[..64]).is_err() {}
                }
                (commit.borrow_mut())(lane, 1);
            })
        }),
    ]);
    drop((fast, slow));
}

fn recovery(users: u64) {
    let folder = Folder::new(&std::env::temp_dir()).expect("a directory");
    let path = folder.0.join("state");
    let (journal, mut lane) = start(path.clone(), Fsync::EverySecond);
    for id in 0..users {
        let record = format!("user_{id}");
        while lane.append(record.as_bytes()).is_err() {}
        if id % 64 == 0 {
            lane.commit(&STATE).expect("a commit");
        }
    }
    lane.commit(&STATE).expect("a commit");
    journal.close(vec![lane]).expect("an end");
    for threads in [1, 2] {
        let mut best = Duration::MAX;
        let mut bytes = 0;
        for _ in 0..3 {
            let from = Instant::now();
            let recovery = open(Arc::new(Directory::new(&path))).expect("a state");
            let visit = |record: &[u8]| {
                black_box(record);
            };
            let (_, visited) = recovery.visit(threads, visit).expect("all records");
            best = best.min(from.elapsed());
            assert_eq!(visited.records, users);
            bytes = visited.bytes;
        }
        println!(
            "recovery of {users} users, {threads} threads: {:.3} s, {:.1} bytes for each, {:.0} MB/s",
            best.as_secs_f64(),
            bytes as f64 / users as f64,
            bytes as f64 / best.as_secs_f64() / 1e6,
        );
    }
}
