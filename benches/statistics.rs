//! The statistics beside the obvious alternatives, on the same input in the same run.
//!
//! `cargo bench --bench statistics`. Single operations are measured by criterion; what needs
//! several threads or a distribution is measured by hand and printed as a table first.

#![allow(missing_docs)] // `criterion_group!` makes a public function without any.

use std::collections::HashSet;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dashmap::DashSet;
use millrace::limits::BATCH_EVENTS_MAX;
use millrace::stats::sum::Sum;
use millrace::stats::{Shard, Statistics};

/// Users of the challenge.
const USERS: usize = 75_000;
const KEYS: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

/// Ids in the order of no hash table.
/// The ids stand one behind another, and are never given back: each in a piece of memory of its own,
/// walking over them would cost two threads more of the cache they share than what is measured.
fn ids(count: usize) -> Vec<&'static str> {
    let mut text = String::new();
    let mut ends = Vec::with_capacity(count);
    for i in 0..count {
        write!(text, "user_{}", i * 7_919 % count).expect("a string takes all");
        ends.push(text.len());
    }
    let text = text.leak();
    let starts = [0].into_iter().chain(ends.clone());
    starts.zip(ends).map(|(start, end)| &text[start..end]).collect()
}

/// Of mixed signs and magnitudes, so that nothing about them can be predicted.
fn values() -> Vec<f64> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..1_000).map(|_| (next() % 2_000_000) as f64 / 1_000.0 - 1_000.0).collect()
}

fn fill(shard: &mut Shard, ids: &[&'static str]) {
    for batch in ids.chunks(BATCH_EVENTS_MAX) {
        batch.iter().for_each(|id| shard.stage(id.as_bytes(), 0.5));
        assert!(shard.commit().is_none());
    }
}

fn sums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sum, 1000 values");
    let mixed = values();
    let challenge: Vec<f64> = (0..1_000).map(|i| f64::from(i) + 0.5).collect();
    group.throughput(Throughput::Elements(1_000));
    for (name, values) in [("mixed", &mixed), ("challenge", &challenge)] {
        group.bench_function(format!("plain f64 (inexact), {name}"), |b| {
            let mut sum = 0.0;
            b.iter(|| {
                for &value in black_box(values) {
                    sum += value;
                }
                black_box(&mut sum);
            });
        });
        group.bench_function(format!("f64 by compare-and-swap (inexact), {name}"), |b| {
            let sum = AtomicU64::new(0);
            let add = |value: f64| {
                let added = |bits| Some((f64::from_bits(bits) + value).to_bits());
                sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).is_ok()
            };
            b.iter(|| black_box(values).iter().for_each(|&value| assert!(add(value))));
        });
        group.bench_function(format!("exact, {name}"), |b| {
            let mut sum = Sum::ZERO;
            b.iter(|| sum.add_all(black_box(values), |&value| value));
        });
        group.bench_function(format!("exact, one by one, {name}"), |b| {
            let mut sum = Sum::ZERO;
            b.iter(|| black_box(values).iter().for_each(|&value| sum.add(value)));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("sum");
    let mut sum = Sum::ZERO;
    sum.add_all(&mixed, |&value| value);
    group.bench_function("merge", |b| {
        let mut total = Sum::ZERO;
        b.iter(|| total.merge(black_box(&sum)));
    });
    group.bench_function("round", |b| b.iter(|| black_box(&sum).round()));
    group.finish();
}

fn users(criterion: &mut Criterion) {
    let ids = ids(USERS);
    let mut group = criterion.benchmark_group("75000 users, one thread");
    group.throughput(Throughput::Elements(USERS as u64));
    group.sample_size(20);

    group.bench_function("insert new, Shard", |b| {
        let fresh = || Statistics::new(1, KEYS, None).shard(0);
        b.iter_batched_ref(fresh, |shard| fill(shard, &ids), BatchSize::PerIteration);
    });
    group.bench_function("insert new, DashSet", |b| {
        let insert_all = |set: &mut DashSet<String>| ids.iter().for_each(|id| insert(set, id));
        b.iter_batched_ref(DashSet::new, insert_all, BatchSize::PerIteration);
    });
    group.bench_function("insert new, Mutex<HashSet>", |b| {
        let insert_all = |set: &mut Mutex<_>| ids.iter().for_each(|id| insert_locked(set, id));
        b.iter_batched_ref(Mutex::default, insert_all, BatchSize::PerIteration);
    });

    let mut shard = Statistics::new(1, KEYS, None).shard(0);
    fill(&mut shard, &ids);
    group.bench_function("insert known, Shard", |b| b.iter(|| fill(&mut shard, &ids)));
    let set = DashSet::new();
    ids.iter().for_each(|id| insert(&set, id));
    group.bench_function("insert known, DashSet", |b| {
        b.iter(|| ids.iter().for_each(|id| insert(&set, id)));
    });
    let set = Mutex::default();
    ids.iter().for_each(|id| insert_locked(&set, id));
    group.bench_function("insert known, Mutex<HashSet>", |b| {
        b.iter(|| ids.iter().for_each(|id| insert_locked(&set, id)));
    });
    group.finish();
}

/// As a handler would: a look first, so that a known id costs no allocation.
fn insert(set: &DashSet<String>, id: &str) {
    if !set.contains(id) {
        set.insert(id.to_owned());
    }
}

fn insert_locked(set: &Mutex<HashSet<String>>, id: &str) {
    let mut set = set.lock().unwrap();
    if !set.contains(id) {
        set.insert(id.to_owned());
    }
}

fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage and commit");
    let ids = ids(USERS);
    let statistics = Statistics::new(2, KEYS, None);
    let mut shard = statistics.shard(0);
    fill(&mut shard, &ids);
    group.bench_function("nothing", |b| b.iter(|| shard.commit().is_none()));
    for batch in [1, 2, 16, 64] {
        let mut ids = ids.iter().cycle();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("{batch} of known users"), |b| {
            b.iter(|| {
                ids.by_ref().take(batch as usize).for_each(|id| shard.stage(id.as_bytes(), 0.5));
                shard.commit().is_none()
            });
        });
        group.bench_function(format!("{batch} of one user"), |b| {
            b.iter(|| {
                (0..batch).for_each(|_| shard.stage(b"user_12345", 0.5));
                shard.commit().is_none()
            });
        });
    }
    group.finish();
    criterion.bench_function("snapshot of 2 workers", |b| b.iter(|| statistics.snapshot()));
    let statistics = Statistics::new(64, KEYS, None);
    criterion.bench_function("snapshot of 64 workers", |b| b.iter(|| statistics.snapshot()));
}

/// Known users in sets of several sizes, met in random order: here memory is what one waits for.
fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert known, 16 a batch");
    group.throughput(Throughput::Elements(16));
    for size in [USERS, 1_000_000, 10_000_000] {
        let ids = ids(size);
        let mut shard = Statistics::new(1, KEYS, None).shard(0);
        fill(&mut shard, &ids);
        // One id in sixteen, so that the ids themselves do not come from far away.
        let met: Vec<&[u8]> = ids.iter().step_by(16).map(|id| id.as_bytes()).collect();
        let mut batches = met.chunks_exact(16).cycle();
        group.bench_function(format!("{size} users"), |b| {
            b.iter(|| {
                batches.next().unwrap().iter().for_each(|id| shard.stage(id, 0.5));
                shard.commit().is_none()
            });
        });
    }
    group.finish();
}

/// Two threads against one, and snapshots while both write.
fn threads(_: &mut Criterion) {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Run as a test.
    }
    let ids = ids(USERS);
    println!("the challenge's traffic, 16 events a commit, million events a second:");
    for (name, run) in [
        ("Shard", run_shards as fn(usize, &[&'static str], bool) -> f64),
        ("DashSet", run_dash_set),
        ("Mutex<HashSet>", run_mutex),
    ] {
        for new in [false, true] {
            let [one, two] =
                [1, 2].map(|threads| (0..5).map(|_| run(threads, &ids, new)).fold(0.0, f64::max));
            let kind = if new { "new" } else { "known" };
            println!("  {name:15} {kind:6} one {one:6.1}  two {two:6.1}  ratio {:.2}", two / one);
        }
    }
    snapshots_under_load(&ids);
}

const RUN_EVENTS: usize = 4_000_000;

/// Million events a second of `threads` threads that do `work(thread, range of ids)`.
fn rate(threads: usize, events: usize, work: impl Fn(usize, usize) + Sync) -> f64 {
    let start = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    let began = Instant::now();
                    work(thread, events / threads);
                    (began, Instant::now())
                })
            })
            .collect();
        start.wait();
        let times: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        let began = times.iter().map(|time| time.0).min().unwrap();
        let ended = times.iter().map(|time| time.1).max().unwrap();
        events as f64 / (ended - began).as_secs_f64() / 1e6
    })
}

/// The ids that `thread` sends: each thread its own part when they are new, all when known.
fn traffic(
    ids: &[&'static str],
    thread: usize,
    count: usize,
    new: bool,
) -> impl Iterator<Item = &'static str> {
    let first = if new { thread * count } else { thread * ids.len() / 2 };
    ids.iter().cycle().skip(first).take(count).copied()
}

fn events(new: bool) -> usize {
    if new { USERS } else { RUN_EVENTS }
}

fn run_shards(threads: usize, ids: &[&'static str], new: bool) -> f64 {
    let statistics = Statistics::new(3, KEYS, None);
    if !new {
        fill(&mut statistics.shard(2), ids);
    }
    let shards: Vec<_> = (0..threads).map(|i| Mutex::new(statistics.shard(i))).collect();
    rate(threads, events(new), |thread, count| {
        let mut shard = shards[thread].lock().unwrap();
        for (i, id) in traffic(ids, thread, count, new).enumerate() {
            shard.stage(id.as_bytes(), 0.5);
            if i % 16 == 15 {
                assert!(shard.commit().is_none());
            }
        }
        assert!(shard.commit().is_none());
    })
}

fn run_dash_set(threads: usize, ids: &[&'static str], new: bool) -> f64 {
    let set = DashSet::new();
    if !new {
        ids.iter().for_each(|id| insert(&set, id));
    }
    rate(threads, events(new), |thread, count| {
        traffic(ids, thread, count, new).for_each(|id| insert(&set, id));
    })
}

fn run_mutex(threads: usize, ids: &[&'static str], new: bool) -> f64 {
    let set = Mutex::default();
    if !new {
        ids.iter().for_each(|id| insert_locked(&set, id));
    }
    rate(threads, events(new), |thread, count| {
        traffic(ids, thread, count, new).for_each(|id| insert_locked(&set, id));
    })
}

/// How long a snapshot takes while two workers write without a pause, and what it costs them.
fn snapshots_under_load(ids: &[&'static str]) {
    println!("snapshots while two workers write, 16 events a commit:");
    for readers in [0, 1, 4] {
        let statistics = Statistics::new(2, KEYS, None);
        let stop = AtomicBool::new(false);
        let (events, mut times) = thread::scope(|scope| {
            for worker in 0..2 {
                let mut shard = statistics.shard(worker);
                let stop = &stop;
                scope.spawn(move || {
                    for batch in ids.chunks_exact(16).cycle() {
                        batch.iter().for_each(|id| shard.stage(id.as_bytes(), 0.5));
                        assert!(shard.commit().is_none());
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            let readers: Vec<_> = (0..readers)
                .map(|_| {
                    scope.spawn(|| {
                        let mut times = Vec::new();
                        while !stop.load(Ordering::Relaxed) {
                            let start = Instant::now();
                            black_box(statistics.snapshot());
                            times.push(start.elapsed());
                            // A reader waits for its client at the least.
                            thread::sleep(Duration::from_micros(50));
                        }
                        times
                    })
                })
                .collect();
            thread::sleep(Duration::from_secs(2));
            let events = statistics.snapshot().events;
            stop.store(true, Ordering::Relaxed);
            let times = readers.into_iter().flat_map(|reader| reader.join().unwrap());
            (events, times.collect::<Vec<Duration>>())
        });
        times.sort();
        let at = |part: f64| times.get((times.len() as f64 * part) as usize);
        println!(
            "  {readers} readers: {:.1} million events/s, {} snapshots, p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
            events as f64 / 2e6,
            times.len(),
            at(0.5).unwrap_or(&Duration::ZERO),
            at(0.99).unwrap_or(&Duration::ZERO),
            at(0.999).unwrap_or(&Duration::ZERO),
            times.last().unwrap_or(&Duration::ZERO),
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = threads, sums, users, commits, sizes
}
criterion_main!(benches);
