//! Batches that are kept: what is published is what is kept, also while workers race and resets come.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;
use crate::stats::{Lack, Shard, Statistics};

/// A ledger in memory, with room for some ids.
struct Memory {
    ids: Vec<Vec<u8>>,
    room: usize,
    kept: Arc<Mutex<Kept>>,
    fails: bool,
}

/// What a ledger holds after the last batch that was kept.
#[derive(Default)]
struct Kept {
    resets: u64,
    ids: HashSet<Vec<u8>>,
    /// Ids as often as they were kept.
    id_count: usize,
    events: u64,
    sum: Option<f64>,
    batches: u64,
}

impl Memory {
    fn new(room: usize) -> Memory {
        Memory { ids: Vec::new(), room, kept: Arc::default(), fails: false }
    }
}

impl Ledger for Memory {
    type Point = usize;

    fn open(&mut self, resets: u64) {
        self.ids.clear();
        let mut kept = self.kept.lock().unwrap();
        if kept.resets != resets {
            *kept = Kept { resets, batches: kept.batches, ..Kept::default() };
        }
    }

    fn point(&self) -> usize {
        self.ids.len()
    }

    fn back_to(&mut self, point: usize) {
        self.ids.truncate(point);
    }

    fn add(&mut self, id: &[u8]) -> bool {
        let has_room = self.kept.lock().unwrap().id_count + self.ids.len() < self.room;
        if has_room {
            self.ids.push(id.to_vec());
        }
        has_room
    }

    fn keep(&mut self, totals: &KeptTotals) -> io::Result<KeptMark> {
        if self.fails {
            return Err(io::Error::other("no disk"));
        }
        let mut kept = self.kept.lock().unwrap();
        kept.id_count += self.ids.len();
        kept.ids.extend(self.ids.drain(..));
        (kept.events, kept.sum) = (totals.events, totals.sum.round());
        kept.batches += 1;
        Ok([kept.batches, 0, 0])
    }
}

fn stage(shard: &mut Shard, group: &[&str]) {
    match group {
        [id] => shard.stage(id.as_bytes(), 1.0),
        ids => {
            let mut group = shard.open_group();
            ids.iter().for_each(|id| group.stage(id.as_bytes(), 1.0));
            group.close();
        }
    }
}

#[test]
fn what_is_published_is_what_is_kept() {
    let statistics = Statistics::new(1, [1, 2], None);
    let (mut shard, mut ledger) = (statistics.shard(0), Memory::new(usize::MAX));
    for round in 0..3 {
        for group in [&["a"][..], &["b", "a", "b"], &["a"], &["c"], &["c", "d"]] {
            stage(&mut shard, group);
        }
        assert!(shard.commit_kept(&mut ledger).unwrap().is_none());
        let kept = ledger.kept.lock().unwrap();
        let snapshot = statistics.snapshot();
        assert_eq!((snapshot.events, snapshot.users), (8 * (round + 1), 4));
        assert_eq!((kept.events, kept.sum), (snapshot.events, snapshot.sum));
        assert_eq!((kept.ids.len(), kept.id_count), (4, 4), "each id is kept once");
        assert_eq!(statistics.cut().seats()[0].mark, [kept.batches, 0, 0]);
    }
}

#[test]
fn what_lacks_room_or_a_place_is_refused_and_not_kept() {
    let rows: [(Option<u64>, usize, Lack); 2] =
        [(Some(2), usize::MAX, Lack::Place), (None, 2, Lack::Disk)];
    for (users_max, room, lack) in rows {
        let statistics = Statistics::new(1, [1, 2], users_max);
        let (mut shard, mut ledger) = (statistics.shard(0), Memory::new(room));
        // Single events: the third new user and all of its events are refused.
        for id in ["a", "b", "c", "a", "c", "d", "b"] {
            stage(&mut shard, &[id]);
        }
        let refused = shard.commit_kept(&mut ledger).unwrap();
        let named: Vec<(u32, Lack)> =
            refused.groups().iter().map(|it| (it.group, it.lack)).collect();
        assert_eq!(named, [(2, lack), (4, lack), (5, lack)]);
        let snapshot = statistics.snapshot();
        assert_eq!((snapshot.events, snapshot.users, snapshot.sum), (4, 2, Some(4.0)));
        // Groups: all or none, and what is refused takes nothing.
        stage(&mut shard, &["a", "e"]);
        stage(&mut shard, &["b", "a", "b"]);
        stage(&mut shard, &["f"]);
        let refused = shard.commit_kept(&mut ledger).unwrap();
        assert!(refused.groups().iter().map(|it| it.group).eq([0, 2]));
        let snapshot = statistics.snapshot();
        assert_eq!((snapshot.events, snapshot.users), (7, 2));
        let kept = ledger.kept.lock().unwrap();
        assert_eq!((kept.events, kept.id_count), (7, 2));
    }
}

#[test]
fn what_is_refused_leaves_its_place_to_others() {
    let statistics = Statistics::new(1, [1, 2], Some(3));
    let (mut shard, mut ledger) = (statistics.shard(0), Memory::new(usize::MAX));
    stage(&mut shard, &["a", "b"]);
    stage(&mut shard, &["c", "d"]); // one place too few: takes none
    stage(&mut shard, &["c", "a"]);
    let refused = shard.commit_kept(&mut ledger).unwrap();
    assert!(refused.groups().iter().map(|it| it.group).eq([1]));
    assert_eq!(statistics.snapshot().users, 3);
    assert_eq!(ledger.kept.lock().unwrap().id_count, 3);
}

#[test]
fn what_cannot_be_kept_is_not_published() {
    let statistics = Statistics::new(1, [1, 2], None);
    let (mut shard, mut ledger) = (statistics.shard(0), Memory::new(usize::MAX));
    ledger.fails = true;
    stage(&mut shard, &["a"]);
    assert!(shard.commit_kept(&mut ledger).is_err());
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users), (0, 0));
}

/// Resets the statistics while a batch is being kept.
struct ResetsOnce<'s> {
    inner: Memory,
    statistics: &'s Statistics,
    left: Cell<u32>,
}

impl Ledger for ResetsOnce<'_> {
    type Point = usize;

    fn open(&mut self, resets: u64) {
        self.inner.open(resets);
    }

    fn point(&self) -> usize {
        self.inner.point()
    }

    fn back_to(&mut self, point: usize) {
        self.inner.back_to(point);
    }

    fn add(&mut self, id: &[u8]) -> bool {
        self.inner.add(id)
    }

    fn keep(&mut self, totals: &KeptTotals) -> io::Result<KeptMark> {
        let mark = self.inner.keep(totals)?;
        if self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            assert!(self.statistics.reset());
        }
        Ok(mark)
    }
}

#[test]
fn a_reset_between_the_steps_makes_the_batch_begin_anew() {
    let statistics = Statistics::new(1, [1, 2], None);
    let mut shard = statistics.shard(0);
    let inner = Memory::new(usize::MAX);
    let mut ledger = ResetsOnce { inner, statistics: &statistics, left: Cell::new(0) };
    stage(&mut shard, &["a"]);
    assert!(shard.commit_kept(&mut ledger).unwrap().is_none());
    ledger.left.set(2);
    stage(&mut shard, &["a", "b"]);
    assert!(shard.commit_kept(&mut ledger).unwrap().is_none());
    let (snapshot, kept) = (statistics.snapshot(), ledger.inner.kept.lock().unwrap());
    assert_eq!((snapshot.events, snapshot.users), (2, 2));
    assert_eq!((kept.events, kept.id_count, kept.resets), (2, 2, 2));
}

/// At every instant, what readers see is kept: the events of each worker, and the users of all.
#[test]
fn readers_see_only_what_is_kept() {
    const ROUNDS: u64 = if cfg!(miri) { 20 } else { 3_000 };
    let statistics = Statistics::new(2, [1, 2], None);
    let kept: [Arc<Mutex<Kept>>; 2] = Default::default();
    let (done, resets) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (mut shard, kept) = (statistics.shard(worker), Arc::clone(&kept[worker]));
                scope.spawn(move || {
                    let mut ledger = Memory { kept, ..Memory::new(usize::MAX) };
                    for round in 0..ROUNDS {
                        let id = format!("user {}", round * 7 % 501);
                        let other = format!("user {}", round * 11 % 499);
                        stage(&mut shard, &[&id]);
                        stage(&mut shard, &[&other, &id, &other]);
                        assert!(shard.commit_kept(&mut ledger).unwrap().is_none());
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let cut = statistics.cut();
                let mut of_users = HashMap::new();
                for (worker, kept) in kept.iter().enumerate() {
                    let kept = kept.lock().unwrap();
                    if kept.resets == cut.resets() {
                        assert!(kept.events >= cut.seats()[worker].events);
                    }
                    of_users.insert(worker, (kept.resets, kept.ids.clone()));
                }
                // What was kept after the cut may be of a later time.
                if of_users.values().all(|(resets, _)| *resets == cut.resets()) {
                    let ids: HashSet<_> = of_users.values().flat_map(|(_, ids)| ids).collect();
                    assert!(ids.len() as u64 >= cut.total().users);
                }
                if resets.fetch_add(1, Ordering::Relaxed).is_multiple_of(50) {
                    assert!(statistics.reset());
                }
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    // At rest the union of what is kept is what is counted.
    let cut = statistics.cut();
    let current =
        kept.iter().map(|kept| kept.lock().unwrap()).filter(|it| it.resets == cut.resets());
    let (mut ids, mut events) = (HashSet::new(), 0);
    for kept in current {
        ids.extend(kept.ids.iter().cloned());
        events += kept.events;
    }
    assert_eq!((events, ids.len() as u64), (cut.total().events, cut.total().users));
}
