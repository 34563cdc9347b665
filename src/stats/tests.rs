//! The statistics as a whole: what a worker counts and a reader sees.

use super::*;
use crate::limits::BATCH_EVENTS_MAX;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

fn count(shard: &mut Shard, user_id: &str, value: f64) {
    shard.stage(user_id.as_bytes(), value);
    assert!(shard.commit().is_none());
}

#[test]
fn nothing_counted() {
    let snapshot = Statistics::new(2, [1, 2], None).snapshot();
    let zero = Snapshot { events: 0, users: 0, sum: Some(0.0), worker_events: [0, 0].into() };
    assert_eq!(snapshot, zero);
    assert_eq!(snapshot.average(), Some(0.0));
}

#[test]
fn what_is_staged_is_seen_when_committed() {
    let statistics = Statistics::new(2, [1, 2], None);
    let (mut first, mut second) = (statistics.shard(0), statistics.shard(1));
    first.stage(b"a", 1e16);
    first.stage(b"b", 1.0);
    assert_eq!((first.staged(), statistics.snapshot().events), (2, 0));
    assert!(first.commit().is_none());
    assert_eq!(first.staged(), 0);
    count(&mut second, "a", -1e16);
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users, snapshot.sum), (3, 2, Some(1.0)));
    assert_eq!(*snapshot.worker_events, [2, 1]);
    assert_eq!(snapshot.average(), Some(1.0 / 3.0));
}

#[test]
fn what_is_discarded_is_never_counted() {
    let statistics = Statistics::new(1, [1, 2], None);
    let mut shard = statistics.shard(0);
    shard.stage(b"lost", 5.0);
    shard.truncate(0);
    assert_eq!(shard.staged(), 0);
    count(&mut shard, "kept", 2.0);
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users, snapshot.sum), (1, 1, Some(2.0)));
}

#[test]
fn a_batch_holds_as_many_as_it_says() {
    let statistics = Statistics::new(1, [1, 2], None);
    let mut shard = statistics.shard(0);
    for i in 0..BATCH_EVENTS_MAX {
        assert!(!shard.is_full());
        shard.stage(&i.to_le_bytes(), 0.25);
    }
    assert!(shard.is_full());
    assert!(shard.commit().is_none());
    assert!(!shard.is_full());
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users), (BATCH_EVENTS_MAX as u64, 64));
    assert_eq!(snapshot.sum, Some(16.0));
}

#[test]
fn refused_events_are_named_and_not_counted() {
    let statistics = Statistics::new(1, [1, 2], Some(2));
    let mut shard = statistics.shard(0);
    let ids = ["a", "b", "c", "a", "c", "b"];
    for (i, id) in ids.iter().enumerate() {
        shard.stage(id.as_bytes(), f64::from(1 << i));
    }
    let refused = shard.commit();
    let lack = Lack::Place;
    assert_eq!(refused.groups(), [2, 4].map(|group| RefusedGroup { group, lack }));
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users), (4, 2));
    assert_eq!(snapshot.sum, Some(f64::from(1 + 2 + 8 + 32)));
    statistics.reset();
    count(&mut shard, "c", 1.0);
    assert_eq!(statistics.snapshot().users, 1, "a reset makes room");
}

/// Stages one group of events, each of value 1.
fn stage_group(shard: &mut Shard, ids: &[&str]) {
    let mut group = shard.open_group();
    ids.iter().for_each(|id| group.stage(id.as_bytes(), 1.0));
    assert_eq!(group.close(), ids.len());
}

#[test]
fn a_group_is_counted_whole_or_not_at_all() {
    let statistics = Statistics::new(1, [1, 2], Some(3));
    let mut shard = statistics.shard(0);
    let groups: [(&[&str], bool); 7] = [
        (&["a"], true),
        (&["b", "b", "b", "b", "a"], true), // one new user, four times
        (&["c", "d"], false),               // one place too few
        (&["b", "c", "c"], true),
        (&["d"], false),
        (&["a", "e", "b"], false),
        (&["c", "b", "a"], true),
    ];
    for (ids, _) in groups {
        match ids {
            [id] => shard.stage(id.as_bytes(), 1.0),
            ids => stage_group(&mut shard, ids),
        }
    }
    assert_eq!(shard.staged(), groups.len());
    let refused = shard.commit();
    for (number, (ids, counted)) in groups.iter().enumerate() {
        let is_refused = refused.groups().iter().any(|it| it.group as usize == number);
        assert_eq!(is_refused, !counted, "{number}: {ids:?}");
    }
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users, snapshot.sum), (12, 3, Some(12.0)));
}

#[test]
fn a_group_that_is_dropped_leaves_the_others() {
    let statistics = Statistics::new(1, [1, 2], None);
    let mut shard = statistics.shard(0);
    stage_group(&mut shard, &["a", "b"]);
    stage_group(&mut shard, &[]);
    let mut group = shard.open_group();
    group.stage(b"c", 1.0);
    drop(group);
    shard.stage(b"d", 1.0);
    stage_group(&mut shard, &["e", "f"]);
    shard.truncate(2);
    assert_eq!(shard.staged(), 2);
    assert!(shard.commit().is_none());
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users), (3, 3));
}

/// No reader sees a part of a group, however large it is.
#[test]
fn a_large_group_is_visible_at_one_instant() {
    const SIZE: u64 = if cfg!(miri) { 100 } else { 2_000 };
    let statistics = Statistics::new(1, [1, 2], None);
    let mut shard = statistics.shard(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..if cfg!(miri) { 2 } else { 50_u64 } {
                let mut group = shard.open_group();
                (0..SIZE).for_each(|i| group.stage(format!("{round}-{i}").as_bytes(), 1.0));
                assert_eq!(group.close() as u64, SIZE);
                assert!(shard.commit().is_none());
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let snapshot = statistics.snapshot();
            assert!(snapshot.events.is_multiple_of(SIZE), "{snapshot:?}");
            assert_eq!(snapshot.users, snapshot.events);
        }
    });
}

#[test]
fn a_reset_forgets_users_and_values() {
    let statistics = Statistics::new(1, [1, 2], None);
    let mut shard = statistics.shard(0);
    let users = if cfg!(miri) { 100 } else { 400_000 };
    for _ in 0..2 {
        for i in 0..users {
            count(&mut shard, &format!("user_{i}"), f64::MAX);
        }
        let snapshot = statistics.snapshot();
        assert_eq!((snapshot.events, snapshot.users), (users, users));
        assert_eq!((snapshot.sum, snapshot.average()), (None, None));
        statistics.reset();
        assert_eq!(statistics.snapshot(), Statistics::new(1, [0, 0], None).snapshot());
    }
}

#[test]
#[should_panic(expected = "is taken")]
fn a_shard_has_one_owner() {
    let statistics = Statistics::new(1, [1, 2], None);
    let _first = statistics.shard(0);
    statistics.shard(0);
}

/// Two writers pass a token to each other. The first one adds 1 through a worker while it has the
/// token; the second one takes it away again through another worker. A reader that
/// ever sees anything but 0 or 1 saw an effect without its cause. Batches of two cancelling values must never show at all.
#[test]
fn no_reader_sees_an_effect_without_its_cause() {
    let rounds: u64 = if cfg!(miri) { 20 } else { 20_000 };
    let statistics = Statistics::new(3, [1, 2], None);
    // Events of the chain that were answered.
    let chain = AtomicU64::new(0);
    let (to_first, from_second) = mpsc::sync_channel(1);
    let (to_second, from_first) = mpsc::sync_channel(1);
    to_first.send(()).unwrap();
    let start = Barrier::new(5);
    thread::scope(|scope| {
        let writers = [(1.0, from_second, to_second), (-1.0, from_first, to_first)];
        for (worker, (value, token, next)) in writers.into_iter().enumerate() {
            let mut shard = statistics.shard(worker);
            let (chain, start) = (&chain, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..rounds {
                    token.recv().unwrap();
                    count(&mut shard, &format!("user_{}-{worker}", round % 500), value);
                    chain.fetch_add(1, Ordering::Release);
                    // At the very end the other writer may be gone.
                    let _ = next.send(());
                }
            });
        }
        let mut shard = statistics.shard(2);
        let (chain, start) = (&chain, &start);
        scope.spawn(move || {
            start.wait();
            let mut i = 0_u64;
            while chain.load(Ordering::Relaxed) < 2 * rounds {
                shard.stage(format!("a{i}").as_bytes(), 1e300);
                shard.stage(format!("b{i}").as_bytes(), -1e300);
                assert!(shard.commit().is_none());
                i += 1;
                thread::yield_now();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                let mut last = statistics.snapshot();
                while chain.load(Ordering::Acquire) < 2 * rounds {
                    let answered = chain.load(Ordering::Acquire);
                    let now = statistics.snapshot();
                    let [plus, minus, pairs] = now.worker_events[..] else { unreachable!() };
                    assert!(plus == minus || plus == minus + 1);
                    assert_eq!(now.sum, Some((plus - minus) as f64));
                    assert!(plus + minus >= answered, "what was answered is in it");
                    assert_eq!(pairs % 2, 0, "a batch is seen whole");
                    assert_eq!(now.users, (plus + minus).min(1_000) + pairs);
                    assert!(now.events >= last.events && now.users >= last.users);
                    last = now;
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!(statistics.snapshot().sum, Some(0.0));
}

/// Resets in mid-stream: an event and its user stay together on one side of each reset.
#[test]
fn a_reset_cuts_between_batches() {
    let rounds = if cfg!(miri) { 10 } else { 20_000 };
    let statistics = Statistics::new(2, [1, 2], None);
    let done = AtomicBool::new(false);
    let check = || {
        let now = statistics.snapshot();
        assert_eq!((now.events, now.events % 2), (now.users, 0));
        assert_eq!(now.sum, Some(now.events as f64));
    };
    thread::scope(|scope| {
        let writers = [0, 1].map(|worker| {
            let mut shard = statistics.shard(worker);
            scope.spawn(move || {
                for i in 0..rounds {
                    // Each user once, with one value a user: the three counts stay equal.
                    shard.stage(format!("{worker}-{i}-a").as_bytes(), 1.0);
                    shard.stage(format!("{worker}-{i}-b").as_bytes(), 1.0);
                    assert!(shard.commit().is_none());
                }
            })
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                check();
                thread::yield_now();
            }
        });
        for _ in 0..if cfg!(miri) { 3 } else { 200 } {
            statistics.reset();
            check();
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        check();
    });
}
