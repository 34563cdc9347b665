//! Memory of the users, and the longest pause that growth causes, at the contract's four sizes.
//!
//! `cargo bench --bench statistics_memory` prints the table of `docs/statistics.md`; other sizes
//! may be given as arguments. Resident memory is what Linux says of the whole process, before and
//! after; so each size stands for everything, unused parts of pages and old directories included.
//! Pauses are measured by the thread's processor time, in which page faults and mappings count and
//! the time given to other programs does not; the longest by the clock stands beside it.

#![allow(unsafe_code)] // Std does not know a thread's processor time.

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
    println!("       users  bytes/user  ns/insertion  longest µs  by the clock  KiB after reset");
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
    let mut longest = [Duration::ZERO; 2];
    let start = Instant::now();
    let mut last = [start.elapsed(), processor_time()];
    for user in 0..users {
        let text = digits.format(user).as_bytes();
        id[5..5 + text.len()].copy_from_slice(text);
        shard.stage(&id[..5 + text.len()], 0.5);
        assert!(shard.commit().is_none());
        let now = [start.elapsed(), processor_time()];
        for clock in 0..2 {
            longest[clock] = longest[clock].max(now[clock] - last[clock]);
        }
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
    let [by_clock, by_processor] = longest.map(|time| time.as_nanos() as f64 / 1e3);
    println!(
        "{users:>12} {:>11.1} {:>13.0} {by_processor:>11.1} {by_clock:>13.1} {:>16}",
        used as f64 / users as f64,
        taken.as_nanos() as f64 / users as f64,
        left.saturating_sub(before) / 1024,
    );
}

/// Time this thread has had on a processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on Linux, and `time` is ours to be written.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The second figure of `statm` is the pages in memory.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4096
}
