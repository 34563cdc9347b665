use std::sync::atomic::AtomicU64;

use super::*;

const KEYS: [u64; 2] = [11, 12];

const SCALE: usize = if cfg!(miri) { 100 } else { 1 };

fn count(shard: &mut Shard, user_id: &str, value: f64) -> bool {
    shard.stage(user_id.as_bytes(), value);
    shard.commit().is_empty()
}

#[test]
fn what_is_staged_is_not_counted_before_it_is_committed() {
    let statistics = Statistics::new(1, KEYS, None);
    let mut shard = statistics.shard(0);
    shard.stage(b"a", 1.0);
    shard.stage(b"b", 2.0);
    assert_eq!(statistics.snapshot().events, 0);
    shard.discard();
    assert!(shard.commit().is_empty());
    assert_eq!(statistics.snapshot().events, 0);
    shard.stage(b"a", 1.0);
    shard.stage(b"a", 2.0);
    assert!(shard.commit().is_empty());
    let snapshot = statistics.snapshot();
    assert_eq!(
        (snapshot.events, snapshot.users, snapshot.sum, snapshot.average()),
        (2, 1, Some(3.0), Some(1.5))
    );
}

#[test]
fn nothing_counted_averages_to_zero_and_beyond_the_range_there_is_no_average() {
    let statistics = Statistics::new(1, KEYS, None);
    let mut shard = statistics.shard(0);
    assert_eq!(statistics.snapshot().average(), Some(0.0));
    count(&mut shard, "a", f64::MAX);
    count(&mut shard, "a", f64::MAX);
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.sum, snapshot.average()), (2, None, None));
}

#[test]
fn the_limit_of_users_refuses_newcomers_one_by_one() {
    let statistics = Statistics::new(2, KEYS, Some(2));
    let (mut first, mut second) = (statistics.shard(0), statistics.shard(1));
    assert!(count(&mut first, "a", 1.0));
    for id in [&b"b"[..], b"c", b"a", b"d", b"b"] {
        second.stage(id, 1.0);
    }
    let refused = second.commit();
    assert_eq!(
        (0..5).map(|i| refused.contains(i)).collect::<Vec<_>>(),
        [false, true, false, true, false]
    );
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.events, snapshot.users, snapshot.sum), (4, 2, Some(4.0)));
    statistics.reset();
    assert!(count(&mut first, "c", 1.0), "a reset makes room");
}

#[test]
#[should_panic(expected = "has its shard already")]
fn a_shard_is_given_out_once() {
    let statistics = Statistics::new(1, KEYS, None);
    let _first = statistics.shard(0);
    let _second = statistics.shard(0);
}

/// Workers count +1 and then -1 while readers look and now and then reset: every reading is a state
/// that can have been.
#[test]
fn every_snapshot_is_a_state_that_was() {
    const WORKERS: usize = 3;
    let rounds = 20_000 / SCALE;
    let statistics = Statistics::new(WORKERS, KEYS, None);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (mut shard, answered) = (statistics.shard(worker), &answered);
                scope.spawn(move || {
                    for round in 0..rounds {
                        // Two events of one user in one batch: seen together or not at all.
                        let id = format!("user_{}", round % 97 * WORKERS + worker);
                        shard.stage(id.as_bytes(), 1e300);
                        shard.stage(id.as_bytes(), -1e300);
                        shard.commit();
                        answered.fetch_add(2, Ordering::Release);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = 0;
            loop {
                let before = answered.load(Ordering::Acquire);
                let snapshot = statistics.snapshot();
                assert!(snapshot.events >= before.max(last), "an answered event is missing");
                assert!(
                    snapshot.events.is_multiple_of(2) && snapshot.sum == Some(0.0),
                    "half a batch"
                );
                assert!(snapshot.users * 2 <= snapshot.events, "a user without events");
                assert_eq!(snapshot.worker_events.iter().sum::<u64>(), snapshot.events);
                last = snapshot.events;
                if before == (2 * rounds * WORKERS) as u64 {
                    break;
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
    });
    assert_eq!(statistics.snapshot().users, (97.min(rounds) * WORKERS) as u64);
}

#[test]
fn a_reset_is_an_instant_too() {
    let rounds = 5_000 / SCALE;
    let statistics = Statistics::new(2, KEYS, None);
    thread::scope(|scope| {
        for worker in 0..2 {
            let mut shard = statistics.shard(worker);
            scope.spawn(move || {
                for round in 0..rounds {
                    shard.stage(format!("{worker}:{round}").as_bytes(), 1.0);
                    shard.stage(format!("{worker}:{round}").as_bytes(), 1.0);
                    shard.commit();
                }
            });
        }
        for _ in 0..rounds / 10 {
            statistics.reset();
            let snapshot = statistics.snapshot();
            assert_eq!(snapshot.sum, Some(snapshot.events as f64));
            assert_eq!(snapshot.events, 2 * snapshot.users);
        }
    });
}
