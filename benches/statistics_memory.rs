//! Memory of the users, and the longest pause that growth causes, at the contract's four sizes.
//!
//! `cargo bench --bench statistics_memory` prints the table of `docs/statistics.md`; other sizes
//! may be given as arguments. Resident memory is what Linux says of the whole process, before and
//! after, so that unused parts of pages and old directories are in it.
//!
//! Growth is told from noise by repetition: with equal keys the same insertions grow the same
//! parts, while other programs and the hypervisor interrupt each run elsewhere. What counts for an
//! insertion is the shortest of its times over the runs, and the longest of these is the pause.

use std::thread;
use std::time::{Duration, Instant};

use millrace::stats::{Shard, Statistics};

const RUNS: usize = 4;

fn main() {
    let mut sizes: Vec<usize> = std::env::args().filter_map(|size| size.parse().ok()).collect();
    if sizes.is_empty() {
        let as_bench = std::env::args().any(|argument| argument == "--bench");
        // Run as a test: does it work at all?
        sizes = if as_bench { CONTRACT_SIZES.to_vec() } else { vec![1_000] };
    }
    println!("       users  bytes/user  KiB after reset  ns/insertion  longest µs");
    for users in sizes {
        let (used, left) = memory(users);
        let (mean, longest) = times(users);
        let used = used as f64 / users as f64;
        println!("{users:>12} {used:>11.1} {:>16} {mean:>13.0} {longest:>11.1}", left / 1024);
    }
}

const CONTRACT_SIZES: [usize; 4] = [75_000, 1_000_000, 10_000_000, 50_000_000];

/// Bytes resident for `users` users, and those that stay after a reset.
fn memory(users: usize) -> (u64, u64) {
    let before = resident_bytes();
    let statistics = Statistics::new(1, [1, 2], None);
    insert_all(&mut statistics.shard(0), users, |_| ());
    assert_eq!(statistics.snapshot().users, users as u64);
    let used = resident_bytes().saturating_sub(before);
    statistics.reset();
    // The set is dropped by a thread of its own; wait until the memory stops shrinking.
    let mut left = resident_bytes();
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = resident_bytes();
        if now >= left {
            return (used, left.saturating_sub(before));
        }
        left = now;
    }
}

/// The mean time of an insertion in ns, and the longest in µs.
fn times(users: usize) -> (f64, f64) {
    let mut shortest_ns = vec![u32::MAX; users];
    for _ in 0..RUNS {
        let statistics = Statistics::new(1, [1, 2], None);
        let mut last = Instant::now();
        insert_all(&mut statistics.shard(0), users, |user| {
            let now = Instant::now();
            let ns = (now - last).as_nanos() as u32;
            shortest_ns[user] = shortest_ns[user].min(ns);
            last = now;
        });
    }
    let sum: f64 = shortest_ns.iter().map(|&ns| f64::from(ns)).sum();
    let longest = shortest_ns.iter().max().copied().unwrap_or(0);
    (sum / users as f64, f64::from(longest) / 1e3)
}

fn insert_all(shard: &mut Shard, users: usize, mut inserted: impl FnMut(usize)) {
    let mut id = *b"user_00000000000000000000";
    let mut digits = itoa::Buffer::new();
    for user in 0..users {
        let text = digits.format(user).as_bytes();
        let end = 5 + text.len();
        id[5..end].copy_from_slice(text);
        shard.stage(&id[..end], 0.5);
        assert!(shard.commit().is_none());
        inserted(user);
    }
}

/// The second figure of `statm` is the pages in memory.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4096
}
