//! Memory of the users, and the longest pause that growth causes, at the contract's four sizes.
//!
//! `cargo bench --bench statistics_memory` prints the table of `docs/statistics.md`; other sizes
//! may be given as arguments. Resident memory is what Linux says of the whole process, before and
//! after; so each size stands for everything, unused parts of pages and old directories included.

use std::time::{Duration, Instant};

use millrace::stats::Statistics;

fn main() {
    let mut sizes: Vec<u64> = std::env::args().filter_map(|size| size.parse().ok()).collect();
    let as_bench = std::env::args().any(|argument| argument == "--bench");
    if sizes.is_empty() {
        sizes = if as_bench {
            vec![75_000, 1_000_000, 10_000_000, 50_000_000]
        } else {
            vec![75_000] // Run as a test: does it work at all?
        };
    }
    println!(
        "{:>12} {:>14} {:>16} {:>16} {:>16}",
        "users", "bytes a user", "ns an insertion", "longest µs", "after reset KiB"
    );
    for size in sizes {
        measure(size);
    }
}

fn measure(users: u64) {
    let before = resident_bytes();
    let statistics = Statistics::new(1, [1, 2], None);
    let mut shard = statistics.shard(0);
    let mut id = *b"user_00000000000000000000";
    let mut digits = itoa::Buffer::new();
    let mut longest = Duration::ZERO;
    let start = Instant::now();
    let mut last = start;
    for user in 0..users {
        let text = digits.format(user).as_bytes();
        id[5..5 + text.len()].copy_from_slice(text);
        shard.stage(&id[..5 + text.len()], 0.5);
        assert!(shard.commit().is_none());
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    let taken = start.elapsed();
    assert_eq!(statistics.snapshot().users, users);
    let used = resident_bytes().saturating_sub(before);
    statistics.reset();
    // The set is dropped by a thread of its own; wait until the memory stops shrinking.
    let mut left = resident_bytes();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = resident_bytes();
        if now >= left {
            break;
        }
        left = now;
    }
    println!(
        "{users:>12} {:>14.1} {:>16.1} {:>16.1} {:>16}",
        used as f64 / users as f64,
        taken.as_nanos() as f64 / users as f64,
        longest.as_nanos() as f64 / 1e3,
        left.saturating_sub(before) / 1024,
    );
}

/// The second figure of `statm` is the pages in memory.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4096
}
