//! Images taken in again, whole, damaged, and made up.

use super::*;
use crate::stats::Snapshot;
use proptest::prelude::*;
use std::sync::Arc;

const COUNT: u32 = if cfg!(miri) { 200 } else { 20_000 };

fn statistics(users_max: Option<u64>) -> Arc<Statistics> {
    Statistics::new(2, [1, 2], users_max)
}

fn fill(statistics: &Arc<Statistics>, worker: usize, ids: std::ops::Range<u32>) {
    let mut shard = statistics.shard(worker);
    for i in ids {
        if shard.is_full() {
            assert!(shard.commit().is_none());
        }
        shard.stage(format!("user_{i}").as_bytes(), f64::from(i) * 0.1);
    }
    assert!(shard.commit().is_none());
}

type Step<'s> = &'s dyn Fn(&Arc<Statistics>);

/// The blocks of an image of cuts, each taken after one of `steps`.
fn image(statistics: &Arc<Statistics>, steps: &[Step<'_>]) -> Vec<Vec<u8>> {
    let (mut writer, mut blocks) = (Writer::new(), Vec::new());
    let mut keep = |block: &[u8]| {
        blocks.push(block.to_vec());
        Ok::<(), ()>(())
    };
    for step in steps {
        step(statistics);
        writer.ids(statistics.cut(), &mut keep).unwrap();
    }
    writer.end(statistics.cut(), &mut keep).unwrap();
    blocks
}

fn take<'b>(
    statistics: &Statistics,
    blocks: impl IntoIterator<Item = &'b Vec<u8>>,
) -> Result<bool, Damaged> {
    let mut reader = Reader::new(statistics);
    blocks.into_iter().try_fold(false, |_, block| reader.take(block))
}

fn same_but_for_workers(a: &Snapshot, b: &Snapshot) {
    assert_eq!((a.events, a.users, a.sum), (b.events, b.users, b.sum));
}

#[test]
fn the_bytes_are_as_described() {
    let statistics = statistics(None);
    let mut shard = statistics.shard(0);
    shard.stage(b"ab", 1.5);
    shard.stage(b"ab", 1.0);
    assert!(shard.commit().is_none());
    let blocks = image(&statistics, &[]);
    assert_eq!(blocks.len(), 3);
    let begin = [&b"millrace"[..], &1_u32.to_le_bytes(), &(WORD_COUNT as u32).to_le_bytes()];
    let mut totals: Vec<u64> = vec![0, 2, 1];
    totals.extend(statistics.cut().total().sum.to_words().map(i64::cast_unsigned));
    let totals: Vec<u8> = totals.into_iter().flat_map(u64::to_le_bytes).collect();
    let contents = [(1, begin.concat()), (2, b"\x01ab".to_vec()), (4, totals)];
    for (number, (block, (kind, content))) in blocks.iter().zip(contents).enumerate() {
        let mut expected = vec![kind, 0, 0, 0];
        expected.extend_from_slice(&(content.len() as u32).to_le_bytes());
        expected.extend_from_slice(&(number as u64).to_le_bytes());
        expected.extend_from_slice(&content);
        expected.extend_from_slice(&Keyed::new([0, 0]).hash(&expected).to_le_bytes());
        assert_eq!(*block, expected, "block {number}");
    }
}

#[test]
fn an_image_is_what_was_counted_and_counting_goes_on() {
    let (old, new) = (statistics(None), statistics(None));
    // The second part is counted after the first was written, and half of it is known already.
    let blocks = image(
        &old,
        &[&|old| fill(old, 0, 0..COUNT), &|old| fill(old, 1, COUNT / 2..COUNT * 2), &|_| ()],
    );
    assert_eq!(take(&new, &blocks), Ok(true));
    same_but_for_workers(&new.snapshot(), &old.snapshot());
    assert_eq!(*new.snapshot().worker_events, [0, 0]);
    // A shard that was dropped can be taken again, as by a server that goes on after all.
    for statistics in [&old, &new] {
        fill(statistics, 0, COUNT..COUNT * 3);
    }
    same_but_for_workers(&new.snapshot(), &old.snapshot());
    assert_eq!(new.snapshot().users, u64::from(COUNT) * 3);
    // From there to a third: what came by an image goes on in the next one.
    let third = statistics(None);
    assert_eq!(take(&third, &image(&new, &[])), Ok(true));
    same_but_for_workers(&third.snapshot(), &old.snapshot());
}

#[test]
fn a_reset_makes_earlier_ids_void() {
    let (old, new) = (statistics(None), statistics(None));
    let blocks = image(
        &old,
        &[&|old| fill(old, 0, 0..COUNT), &|old| assert!(old.reset()), &|old| {
            fill(old, 0, 5..COUNT)
        }],
    );
    assert_eq!(take(&new, &blocks), Ok(true));
    same_but_for_workers(&new.snapshot(), &old.snapshot());
    assert_eq!(new.cut().resets(), 1);
    // The image of what was taken in has the number of resets as well.
    let third = statistics(None);
    assert_eq!(take(&third, &image(&new, &[])), Ok(true));
    assert_eq!(third.cut().resets(), 1);
}

#[test]
fn the_limit_of_users_binds_those_who_come_later() {
    let (old, new) = (statistics(None), statistics(Some(2)));
    fill(&old, 0, 0..3);
    assert_eq!(take(&new, &image(&old, &[])), Ok(true));
    let mut shard = new.shard(0);
    shard.stage(b"user_1", 1.0);
    shard.stage(b"user_9", 1.0);
    let refused = shard.commit();
    assert!(refused.groups().iter().map(|refusal| refusal.group).eq([1]));
    assert_eq!(new.snapshot().users, 3);
}

#[test]
fn blocks_that_are_missing_repeated_or_in_another_order_are_refused() {
    let old = statistics(None);
    let blocks = image(&old, &[&|old| fill(old, 0, 0..COUNT)]);
    assert!(cfg!(miri) || blocks.len() >= 5);
    let count = blocks.len();
    for i in 0..count {
        let without: Vec<_> = (0..count).filter(|&j| j != i).collect();
        let twice: Vec<_> = (0..count).flat_map(|j| vec![j; 1 + usize::from(j == i)]).collect();
        let swapped: Vec<_> = (0..count)
            .map(|j| {
                if j == i {
                    (i + 1) % count
                } else if j == (i + 1) % count {
                    i
                } else {
                    j
                }
            })
            .collect();
        for order in [without, twice, swapped] {
            let taken = take(&statistics(None), order.iter().map(|&j| &blocks[j]));
            assert_ne!(taken, Ok(true), "{order:?}");
        }
    }
}

/// Any block whose checksum is right and whose content is wrong.
#[test]
fn wrong_contents_are_refused() {
    let totals = |resets: u64, events: u64, users: u64, top: i64| {
        let mut content: Vec<u8> =
            [resets, events, users].into_iter().flat_map(u64::to_le_bytes).collect();
        content.resize(8 * (3 + WORD_COUNT - 1), 0);
        content.extend_from_slice(&top.to_le_bytes());
        content
    };
    let one_more = |mut content: Vec<u8>| {
        content.push(0);
        content
    };
    for (kind, content, right) in [
        (IDS, b"\x01ab".to_vec(), true),
        (IDS, b"\x00a\x01a".to_vec(), false),
        (IDS, b"\x00a\x00a".to_vec(), false),
        (FORGET, Vec::new(), true),
        (FORGET, vec![0], false),
        (TOTALS, totals(3, 7, 0, -1), true),
        (TOTALS, totals(3, u64::MAX / 2 + 1, 0, 0), false),
        (TOTALS, totals(3, 7, 1, 0), false),
        (TOTALS, totals(3, 7, 0, i64::MAX), false),
        (TOTALS, one_more(totals(0, 0, 0, 0)), false),
        (TOTALS, totals(0, 0, 0, 0)[8..].to_vec(), false),
        (BEGIN, Vec::new(), false),
        (0, Vec::new(), false),
        (5, Vec::new(), false),
    ] {
        let (target, mut number) = (statistics(None), 0);
        let mut reader = Reader::new(&target);
        let mut block = Vec::new();
        open_block(&mut block);
        write_begin(&mut block);
        close_block(BEGIN, &mut block, &mut number);
        assert_eq!(reader.take(&block), Ok(false));
        open_block(&mut block);
        block.extend_from_slice(&content);
        close_block(kind, &mut block, &mut number);
        assert_eq!(reader.take(&block).is_ok(), right, "{kind} {content:?}");
    }
}

#[test]
fn another_version_is_told_from_something_else() {
    let begin = |content: &[u8]| {
        let (mut block, mut number) = (Vec::new(), 0);
        open_block(&mut block);
        block.extend_from_slice(content);
        close_block(BEGIN, &mut block, &mut number);
        take(&statistics(None), &[block]).unwrap_err().to_string()
    };
    let words = (WORD_COUNT as u32).to_le_bytes();
    let newer = [&MAGIC[..], &(VERSION + 1).to_le_bytes(), &words].concat();
    assert_eq!(begin(&newer), "the image has another version");
    assert_eq!(begin(b"GET / HTTP/1.1\r\n"), "this is no image");
}

#[test]
fn a_length_is_bounded_before_anything_is_allocated() {
    let header = |length: u32| {
        let mut header = [0; HEADER_BYTES];
        header[4..8].copy_from_slice(&length.to_le_bytes());
        block_bytes(&header)
    };
    assert_eq!(header(0), Ok(HEADER_BYTES + CHECKSUM_BYTES));
    assert!(header(CONTENT_BYTES_MAX as u32).is_ok());
    assert!(header(CONTENT_BYTES_MAX as u32 + 1).is_err() && header(u32::MAX).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 300 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_damage_is_refused(
        place in any::<prop::sample::Index>(),
        damage in prop_oneof![
            (1..=255_u8).prop_map(|bits| (bits, 0)),
            (0..40_usize).prop_map(|cut| (0, cut + 1)),
        ],
    ) {
        let old = statistics(None);
        let mut blocks = image(&old, &[&|old| fill(old, 0, 0..300), &|old| fill(old, 1, 200..400)]);
        let length: usize = blocks.iter().map(Vec::len).sum();
        let mut place = place.index(length);
        let block = blocks.iter_mut().find(|block| {
            let is_here = place < block.len();
            place -= if is_here { 0 } else { block.len() };
            is_here
        });
        let block = block.expect("the place is in one of them");
        match damage {
            (0, cut) => block.truncate(block.len().saturating_sub(cut)),
            (bits, _) => block[place] ^= bits,
        }
        prop_assert!(take(&statistics(None), &blocks).is_err());
    }

    #[test]
    fn no_input_makes_it_panic(input in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = fuzz(&input);
    }
}

/// The seeds of the fuzz target are taken in whole, so that it starts where it matters.
#[test]
fn seeds_of_the_fuzz_target_are_complete_images() {
    for seed in [
        &include_bytes!("../../../tools/fuzz/seeds/image/whole")[..],
        include_bytes!("../../../tools/fuzz/seeds/image/reset"),
    ] {
        assert!(fuzz(seed), "a seed is not complete");
    }
}
