use std::collections::HashSet;
use std::thread;

use proptest::prelude::*;

use super::*;

/// Inserts into the set and into a plain one, with hashes as bad as `hash` makes them.
fn check(ids: &[Vec<u8>], hash: impl Fn(&[u8]) -> u64) {
    let users = Users::new(None);
    let mut oracle = HashSet::new();
    for id in ids {
        let expected = if oracle.insert(id) { Insertion::New } else { Insertion::Known };
        assert_eq!(users.insert(hash(id), id), expected, "{}", id.escape_ascii());
    }
    for id in ids {
        assert_eq!(users.insert(hash(id), id), Insertion::Known);
    }
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("user_{i}").into_bytes()).collect()
}

const SCALE: usize = if cfg!(miri) { 200 } else { 1 };

#[test]
fn many_users_with_a_good_hash() {
    let keys = Keys::new([3, 4]);
    check(&numbered(200_000 / SCALE), |id| keys.hash(id));
}

#[test]
fn colliding_hashes_cost_time_and_never_a_user() {
    // All in one segment, beyond what any split can help.
    check(&numbered(1_500 / SCALE), |_| 0);
    check(&numbered(1_500 / SCALE), |_| u64::MAX);
    // Equal fragments in several stripes, and equal stripes with few fragments.
    check(&numbered(2_000 / SCALE), |id| u64::from(id[id.len() - 1]) << 58);
    check(&numbered(2_000 / SCALE), |id| u64::from(id[id.len() - 1]) << 20);
    // Only the bits that choose slots differ, so that one segment is split to the end.
    check(&numbered(2_000 / SCALE), |id| Keys::new([1, 2]).hash(id) & 0xfff);
}

#[test]
fn prefixes_and_all_lengths() {
    let text: Vec<u8> = (0..=255).collect();
    let mut ids: Vec<Vec<u8>> = (1..=text.len()).map(|length| text[..length].to_vec()).collect();
    ids.extend((1..=256).map(|length| vec![0; length]));
    ids.extend(ids.clone());
    check(&ids, |id| Keys::new([5, 6]).hash(id));
    check(&ids, |_| 42);
}

#[test]
fn the_quota_is_exact_over_threads() {
    let users = Users::new(Some(1_000));
    let keys = Keys::new([7, 8]);
    let new = |offset: usize| {
        let ids = (0..1_500).map(|i| format!("{}", (i + offset) % 1_500).into_bytes());
        ids.filter(|id| users.insert(keys.hash(id), id) == Insertion::New).count()
    };
    let total: usize = thread::scope(|scope| {
        let threads: Vec<_> =
            [0, 300, 900].map(|offset| scope.spawn(move || new(offset))).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 1_000);
}

#[test]
fn threads_agree_on_who_was_first() {
    let users = Users::new(None);
    let keys = Keys::new([9, 10]);
    let count = 60_000 / SCALE;
    let new = |step: usize| {
        let ids = (0..count).map(|i| format!("user_{}", i * step % count).into_bytes());
        ids.filter(|id| users.insert(keys.hash(id), id) == Insertion::New).count()
    };
    let total: usize = thread::scope(|scope| {
        // Steps that are coprime to the count, so that each thread visits all ids.
        let threads: Vec<_> =
            [1, 7, 11, 13].map(|step| scope.spawn(move || new(step))).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, count);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 200 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn agrees_with_a_plain_set(
        ids in proptest::collection::vec(proptest::collection::vec(0u8..4, 1..5), 1..300),
        mask in proptest::sample::select(vec![u64::MAX, 0, 0x3ff, 0xffff_ffff, 0xfc00_0000_0000_0000]),
    ) {
        check(&ids, |id| Keys::new([1, 2]).hash(id) & mask);
    }
}
