//! The set against `HashSet<Vec<u8>>`, with real hashes and with hashes made to collide.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;

const CASES: u32 = if cfg!(miri) { 1 } else { 200 };
/// Ids a single fragment can have before its segment cannot be split any more.
const COLLISIONS_MAX: usize = PAGE_BYTES / 8 * 7 / 8;

type HashFunction = fn(&[u8]) -> u64;

/// Hash functions from good to hopeless.
fn hashers() -> Vec<(&'static str, HashFunction)> {
    vec![
        ("keyed", |id| Keyed::new([1, 2]).hash(id)),
        ("a single stripe", |id| Keyed::new([3, 4]).hash(id) >> 6),
        ("a single segment's worth of slots", |id| Keyed::new([5, 6]).hash(id) & !0xffff),
        ("few fragments", |id| (Keyed::new([7, 8]).hash(id) % 7) << 29),
        ("by length", |id| id.len() as u64),
        ("one for all", |_| u64::MAX),
    ]
}

/// Inserts all of `ids` and compares each outcome.
fn check<'a>(hash: HashFunction, ids: impl IntoIterator<Item = &'a [u8]> + Clone) {
    let users = Users::new(None);
    let mut oracle = HashSet::new();
    for id in ids.clone() {
        let expected = if oracle.insert(id.to_vec()) { Outcome::New } else { Outcome::Known };
        assert_eq!(users.insert(hash(id), id), expected, "{id:?}");
    }
    for id in ids {
        assert_eq!(users.insert(hash(id), id), Outcome::Known, "{id:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn equals_a_hash_set(
        // Few letters and all lengths: many equal ids, many prefixes of one another.
        ids in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(0_u8..2, 1..5),
                prop::collection::vec(any::<u8>(), 1..=256),
                (1_usize..=256).prop_map(|length| vec![b'a'; length]),
            ],
            0..if cfg!(miri) { 40 } else { 400 },
        ),
    ) {
        for (_, hash) in hashers() {
            check(hash, ids.iter().map(Vec::as_slice));
        }
    }
}

#[test]
fn every_length_and_every_prefix() {
    let longest: Vec<u8> = (0..256).map(|i| (i * 7) as u8).collect();
    for (name, hash) in hashers() {
        println!("{name}");
        let lengths = (1..=256).step_by(if cfg!(miri) { 17 } else { 1 });
        check(hash, lengths.map(|length| &longest[..length]));
    }
}

#[test]
fn grows_through_many_splits() {
    // Under Miri, which is slow, just past the first split of the one stripe.
    let (count, hashers) =
        if cfg!(miri) { (460, &hashers()[1..2]) } else { (300_000, &hashers()[..2]) };
    let ids: Vec<String> = (0..count).map(|i| format!("user_{i}")).collect();
    for (name, hash) in hashers {
        println!("{name}");
        check(*hash, ids.iter().map(String::as_bytes));
    }
}

#[test]
fn more_collisions_than_a_keyed_hash_can_have_are_refused() {
    if cfg!(miri) {
        return; // Twenty doublings of a directory take Miri minutes.
    }
    let users = Users::new(None);
    let id = |i: usize| i.to_le_bytes();
    for i in 0..COLLISIONS_MAX {
        assert_eq!(users.insert(9, &id(i)), Outcome::New);
    }
    assert_eq!(users.insert(9, &id(COLLISIONS_MAX)), Outcome::Refused(Lack::Memory));
    assert_eq!(users.insert(9, &id(COLLISIONS_MAX)), Outcome::Refused(Lack::Memory));
    assert_eq!(users.insert(u64::MAX, &id(COLLISIONS_MAX)), Outcome::New);
    for i in 0..COLLISIONS_MAX {
        assert_eq!(users.insert(9, &id(i)), Outcome::Known);
    }
}

#[test]
fn the_limit_refuses_new_users_only() {
    let users = Users::new(Some(2));
    let hash = |id: &[u8]| Keyed::new([1, 1]).hash(id);
    let outcomes: [(&[u8], _); 6] = [
        (b"a", Outcome::New),
        (b"b", Outcome::New),
        (b"c", Outcome::Refused(Lack::Place)),
        (b"a", Outcome::Known),
        (b"c", Outcome::Refused(Lack::Place)),
        (b"b", Outcome::Known),
    ];
    for (id, outcome) in outcomes {
        assert_eq!(users.insert(hash(id), id), outcome);
    }
}

/// Threads insert the same ids in different orders through all the splits: each id is new once,
/// and the limit is met exactly.
#[test]
fn threads_agree_who_is_new() {
    // Under Miri, which is slow, just past the first split of the one stripe.
    let (threads, count, hashers) =
        if cfg!(miri) { (2, 460, &hashers()[1..2]) } else { (4, 200_000, &hashers()[..2]) };
    for (name, hash) in hashers {
        for limit in [None, Some(count as u64 / 2)] {
            let users = Users::new(limit);
            let start = Barrier::new(threads);
            let new = thread::scope(|scope| {
                let insert_all = |thread: usize| {
                    let (users, start) = (&users, &start);
                    move || {
                        start.wait();
                        let insert = |i| {
                            let id = format!("user_{}", (i * 7 + thread * count / 5) % count);
                            users.insert(hash(id.as_bytes()), id.as_bytes())
                        };
                        (0..count).filter(|&i| insert(i) == Outcome::New).count()
                    }
                };
                let workers: Vec<_> =
                    (0..threads).map(|thread| scope.spawn(insert_all(thread))).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>()
            });
            assert_eq!(new as u64, limit.unwrap_or(count as u64), "{name}");
        }
    }
}

/// Section 3 of the contract: 40 bytes a user all told, at the challenge's own size.
#[test]
fn is_compact() {
    if cfg!(miri) {
        return; // Half a minute of nothing but counting.
    }
    let users = Users::new(None);
    let count = 75_000;
    for i in 0..count {
        let id = format!("user_{i}");
        users.insert(Keyed::new([1, 2]).hash(id.as_bytes()), id.as_bytes());
    }
    assert!(users.page_bytes() <= 40 * count, "{} bytes", users.page_bytes());
}
