//! Each bug that was found in a journal of another system, tried on this one.

use std::io::ErrorKind;
use std::sync::Arc;

use super::world::{BOOT, LATER_BOOT, World, recover};
use crate::journal::disk::{Disk, Fault, Image, Random};
use crate::journal::layout::{
    RING_AT, SECTOR_BYTES, SEGMENT_BYTES, STREAM_AT, segment_at, slot_at,
};
use crate::journal::{Fsync, Unusable, open};
use crate::limits::JOURNAL_RECORD_BYTES_MAX;

/// A world whose last commit was cut short by a power loss: its slot is there, a sector of its records is
/// not. Returns what was there before that commit.
fn torn(records: usize) -> (World, Image) {
    let mut world = World::new(1, Fsync::Always);
    world.commit(0, 3, 100);
    let end = world.lanes[0].mark().end() as usize;
    let before = world.disk.image();
    world.commit(0, records, JOURNAL_RECORD_BYTES_MAX);
    let mut image = world.disk.image();
    // The second sector of the commit still holds what it held.
    let lost = end.next_multiple_of(SECTOR_BYTES);
    let lost = lost..lost + SECTOR_BYTES;
    let old = before.file("lane-0000").unwrap()[lost.clone()].to_vec();
    image.file_mut("lane-0000").unwrap()[lost].copy_from_slice(&old);
    (World::on(Disk::of(before, BOOT), 1, Fsync::Always).unwrap(), image)
}

#[test]
fn a_torn_tail_does_not_make_the_start_fail_and_what_follows_it_survives_the_next_crash() {
    // Within one segment, and over the end of one.
    for records in [5, 250] {
        let (before, image) = torn(records);
        let mut world = World::on(Disk::of(image, LATER_BOOT), 1, Fsync::Always).unwrap();
        assert_eq!(world.kept, before.kept);
        for round in 1..4 {
            world.commit(0, round, 30);
            let (_, kept) = recover(&Disk::of(world.disk.image(), Some([9; 16]))).unwrap();
            assert_eq!(kept, world.kept);
        }
    }
}

#[test]
fn sectors_of_zeros_in_the_middle_of_the_last_write_are_a_torn_tail_after_a_power_loss_only() {
    let mut world = World::new(1, Fsync::Always);
    world.commit(0, 1, 100);
    let before = world.kept.clone();
    let first = (world.lanes[0].mark().end() as usize).next_multiple_of(SECTOR_BYTES);
    world.commit(0, 20, 300);
    for sector in (first..world.lanes[0].mark().end() as usize).step_by(SECTOR_BYTES) {
        let mut image = world.disk.image();
        image.file_mut("lane-0000").unwrap()[sector..sector + SECTOR_BYTES].fill(0);
        let (_, kept) = recover(&Disk::of(image.clone(), LATER_BOOT)).unwrap();
        assert_eq!(kept, before);
        // A kill alone takes nothing out of a file.
        let refusal = recover(&Disk::of(image, BOOT)).unwrap_err();
        assert!(matches!(refusal, Unusable::Damaged(_)), "{refusal}");
    }
}

#[test]
fn a_crash_during_recovery_changes_nothing() {
    let (before, image) = torn(5);
    let disk = Disk::of(image, LATER_BOOT);
    World::on(disk.clone(), 3, Fsync::EverySecond).unwrap();
    let mut random = Random(7);
    for calls in 0..=disk.calls() {
        let mut images = disk.power_lost(calls, 40, &mut random);
        images.extend(disk.killed(calls).iter().map(Disk::image));
        for image in images {
            for boot in [LATER_BOOT, Some([3; 16]), None] {
                let (_, kept) = recover(&Disk::of(image.clone(), boot)).unwrap();
                assert_eq!(kept, before.kept, "after {calls} calls");
            }
        }
    }
}

#[test]
fn records_of_before_a_reset_are_never_read_after_it() {
    let mut world = World::new(1, Fsync::EverySecond);
    // The same lengths, so that every record of the new epoch ends where one of the old epoch did.
    world.commit(0, 300, JOURNAL_RECORD_BYTES_MAX);
    world.reset();
    world.commit(0, 250, JOURNAL_RECORD_BYTES_MAX);
    world.checkpoint();
    let fresh = world.disk.image();
    let (_, kept) = recover(&Disk::of(fresh.clone(), BOOT)).unwrap();
    assert_eq!(kept, world.kept);
    assert!(kept.records.keys().all(|record| record.starts_with(b"1.")));
    // A segment of the old epoch in the place of the new one's: valid in itself, and refused.
    let mut old = World::new(1, Fsync::EverySecond);
    old.commit(0, 300, JOURNAL_RECORD_BYTES_MAX);
    let segment = STREAM_AT as usize..segment_at(1) as usize;
    let stale = old.disk.image().file("lane-0000").unwrap()[segment.clone()].to_vec();
    let mut image = fresh;
    image.file_mut("lane-0000").unwrap()[segment].copy_from_slice(&stale);
    let refusal = recover(&Disk::of(image, BOOT)).unwrap_err().to_string();
    assert!(refusal.starts_with("/disk/lane-0000: damaged at byte 65536"), "{refusal}");
}

#[test]
fn slots_beyond_the_recovered_one_never_win_later() {
    // A power loss in `everysec` that keeps all slots of one lane and none of the other.
    let mut world = World::new(2, Fsync::EverySecond);
    world.commit(0, 1, 20);
    world.commit(1, 1, 20);
    world.checkpoint();
    let kept = world.kept.clone();
    for _ in 0..20 {
        world.commit(0, 1, 20);
    }
    let mut world =
        World::on(Disk::of(world.disk.image(), LATER_BOOT), 2, Fsync::EverySecond).unwrap();
    assert_eq!(world.kept, kept);
    // The next commits go to the same places and numbers; at no time does an old slot show.
    for round in 0..70 {
        world.commit(0, round % 2, 20);
        let (_, kept) = recover(&Disk::of(world.disk.image(), LATER_BOOT)).unwrap();
        assert_eq!(kept, world.kept, "round {round}");
    }
}

#[test]
fn a_lane_of_another_directory_is_not_ours() {
    let mut other = World::new(2, Fsync::EverySecond);
    other.commit(1, 3, 20);
    let foreign = other.disk.image().file("lane-0001").unwrap().clone();
    let mut world = World::new(2, Fsync::EverySecond);
    world.commit(1, 3, 20);
    let mut image = world.disk.image();
    *image.file_mut("lane-0001").unwrap() = foreign.clone();
    let refusal = recover(&Disk::of(image, BOOT)).unwrap_err().to_string();
    assert!(refusal.contains("/disk/lane-0001") && refusal.contains("another"), "{refusal}");
    // Beyond the lanes that count it is what an interrupted start has left, and is written over.
    let mut image = world.disk.image();
    image.insert("lane-0002", foreign);
    let mut world = World::on(Disk::of(image, BOOT), 3, Fsync::EverySecond).unwrap();
    world.commit(2, 1, 20);
    assert_eq!(recover(&world.disk).unwrap().1, world.kept);
    // Without a control file nothing tells what counts.
    let mut image = world.disk.image();
    image.remove("control");
    let refusal = recover(&Disk::of(image, BOOT)).unwrap_err();
    assert!(matches!(&refusal, Unusable::Missing { path } if path == "/disk/control"), "{refusal}");
}

#[test]
fn damage_in_one_lane_of_several_stops_the_start() {
    let mut world = World::new(3, Fsync::EverySecond);
    for lane in 0..3 {
        world.commit(lane, 250, JOURNAL_RECORD_BYTES_MAX);
    }
    let healthy = world.disk.image();
    for (offset, what) in [
        (STREAM_AT + 5_000, "65536: this segment's checksum"),
        (segment_at(1) + 10, "131072: the last segment's checksum"),
        (slot_at(2) + 100, "5120: this slot's checksum"),
        (0, "0: this is not a file"),
    ] {
        let mut image = healthy.clone();
        image.file_mut("lane-0001").unwrap()[offset as usize] ^= 1;
        let disk = Disk::of(image, BOOT);
        let refusal = recover(&disk).unwrap_err().to_string();
        let expected = format!("/disk/lane-0001: damaged at byte {what}");
        assert!(refusal.starts_with(&expected), "{refusal}");
        assert_eq!(disk.calls(), 0, "nothing is changed");
    }
    let mut image = healthy;
    image.remove("lane-0001");
    let refusal = recover(&Disk::of(image, BOOT)).unwrap_err().to_string();
    assert!(refusal.starts_with("/disk/lane-0001: is missing"), "{refusal}");
}

#[test]
fn damage_is_not_taken_for_the_end() {
    // Each bit of the newest slot, and of the last record: without a power loss it cannot be the end.
    let mut world = World::new(1, Fsync::EverySecond);
    for _ in 0..3 {
        world.commit(0, 1, 20);
    }
    let mark = world.lanes[0].mark();
    let healthy = world.disk.image();
    let last_record = mark.end() - 20..mark.end();
    let slot = slot_at(mark.number);
    for byte in last_record.chain(slot..slot + SECTOR_BYTES as u64) {
        for bit in 0..8 {
            let mut image = healthy.clone();
            image.file_mut("lane-0000").unwrap()[byte as usize] ^= 1 << bit;
            let refusal = recover(&Disk::of(image, BOOT)).unwrap_err();
            assert!(matches!(refusal, Unusable::Damaged(_)), "byte {byte}, bit {bit}: {refusal}");
        }
    }
    // Nor is a slot of zeros in the middle of the ring.
    let mut image = healthy;
    let at = slot_at(mark.number - 1) as usize;
    image.file_mut("lane-0000").unwrap()[at..at + SECTOR_BYTES].fill(0);
    assert!(matches!(recover(&Disk::of(image, BOOT)), Err(Unusable::Damaged(_))));
}

#[test]
fn growth_that_was_interrupted_is_done_again() {
    let mut world = World::new(1, Fsync::EverySecond);
    world.commit(0, 100, JOURNAL_RECORD_BYTES_MAX);
    let end = world.lanes[0].mark().end() as usize;
    let length = world.disk.image().file("lane-0000").unwrap().len();
    for cut in (end..=length).step_by(4_096).chain([end + 1, length + 1, length + 70_000]) {
        let mut image = world.disk.image();
        image.file_mut("lane-0000").unwrap().resize(cut, 0);
        let mut again = World::on(Disk::of(image, BOOT), 1, Fsync::EverySecond).unwrap();
        assert_eq!(again.kept, world.kept);
        again.commit(0, 250, JOURNAL_RECORD_BYTES_MAX);
        assert_eq!(recover(&again.disk).unwrap().1, again.kept, "cut at {cut}");
    }
}

#[test]
fn a_failed_write_or_sync_is_not_tried_again() {
    for (fsync, calls_of_a_commit) in [(Fsync::EverySecond, 2), (Fsync::Always, 3)] {
        for failing in 0..calls_of_a_commit {
            for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
                let mut world = World::new(2, fsync);
                world.commit(0, 1, 20);
                let call = world.disk.calls() + failing;
                world.disk.set_fault(Fault { call, kind, forever: false });
                world.lanes[0].append(b"lost").unwrap();
                assert_eq!(world.lanes[0].commit(b"lost").unwrap_err().kind(), kind);
                // The disk would take the next calls; nothing is tried, in no lane.
                let calls = world.disk.calls();
                for lane in &mut world.lanes {
                    assert!(lane.commit(b"later").is_err());
                }
                assert_eq!(world.disk.calls(), calls);
                let (_, kept) = recover(&world.disk).unwrap();
                // A slot that was written by half, or not synced, may count; it was not acknowledged.
                assert!(kept == world.kept || failing > 0 && kept.states[&0] == b"lost");
            }
        }
    }
}

#[test]
fn a_failed_write_ahead_of_the_commit_is_the_commits_error() {
    let mut world =
        World::with_room(Disk::new(BOOT), 1, Fsync::EverySecond, 16 * SEGMENT_BYTES as u64)
            .unwrap();
    world.commit(0, 1, 20);
    let call = world.disk.calls();
    world.disk.set_fault(Fault { call, kind: ErrorKind::Other, forever: false });
    let mut appended = 0;
    while world.disk.calls() == call {
        world.lanes[0].append(&[7; JOURNAL_RECORD_BYTES_MAX]).unwrap();
        appended += 1;
        assert!(appended < 2_000, "nothing is written ahead");
    }
    assert!(world.lanes[0].commit(b"lost").is_err());
    assert_eq!(recover(&world.disk).unwrap().1, world.kept);
}

#[test]
fn a_slot_with_impossible_lengths_allocates_nothing() {
    let mut world = World::new(1, Fsync::EverySecond);
    world.commit(0, 1, 20);
    let slot = slot_at(world.lanes[0].mark().number) as usize;
    for at in [slot + 40, slot + 44, slot + 52] {
        let mut image = world.disk.image();
        image.file_mut("lane-0000").unwrap()[at..at + 4].fill(0xff);
        assert!(matches!(recover(&Disk::of(image, BOOT)), Err(Unusable::Damaged(_))));
    }
}

#[test]
fn what_is_not_a_state_directory_is_left_alone() {
    let refused = |image: Image, prepare: fn(&Disk)| {
        let disk = Disk::of(image, BOOT);
        prepare(&disk);
        let refusal = open(Arc::new(disk.clone())).unwrap_err();
        assert_eq!(disk.calls(), 0, "nothing is changed");
        refusal.to_string()
    };
    let ours = || World::new(1, Fsync::EverySecond).disk.image();
    let mut notes = Image::default();
    notes.insert("notes.txt", b"mine".to_vec());
    assert!(refused(notes, |_| {}).contains("holds other files (\"notes.txt\")"));
    let mut newer = ours();
    newer.file_mut("control").unwrap()[8] = 2;
    assert!(refused(newer, |_| {}).contains("newer version of millrace, in format 2"));
    let mut newer = ours();
    newer.file_mut("lane-0000").unwrap()[8] = 2;
    assert!(refused(newer, |_| {}).contains("lane-0000: written by a newer version"));
    assert!(refused(ours(), Disk::set_locked_elsewhere).contains("another process uses"));
    assert!(refused(ours(), |disk| disk.set_owner(1)).contains("belongs to user 1"));
    assert!(
        refused(Image::default(), |disk| {
            disk.set_fault(Fault { call: 0, kind: ErrorKind::PermissionDenied, forever: true });
        })
        .contains("no right to use it")
    );
    // What other programs leave in a directory is none of our business.
    let mut volume = Image::default();
    volume.insert("lost+found", Vec::new());
    volume.insert(".keep", Vec::new());
    assert!(World::on(Disk::of(volume, BOOT), 1, Fsync::Always).is_ok());
}

#[test]
fn without_a_number_of_the_boot_a_kill_is_taken_for_a_power_loss() {
    for (then, now) in [(None, None), (BOOT, None), (None, BOOT)] {
        let mut world = World::on(Disk::new(then), 1, Fsync::EverySecond).unwrap();
        world.commit(0, 1, 20);
        world.checkpoint();
        let kept = world.kept.clone();
        world.commit(0, 1, 20);
        assert_eq!(recover(&Disk::of(world.disk.image(), now)).unwrap().1, kept);
        // With a sync for each commit it makes no difference.
        let mut world = World::on(Disk::new(then), 1, Fsync::Always).unwrap();
        world.commit(0, 1, 20);
        assert_eq!(recover(&Disk::of(world.disk.image(), now)).unwrap().1, world.kept);
    }
}

#[test]
fn the_ring_is_where_the_layout_says() {
    let world = World::new(1, Fsync::EverySecond);
    let image = world.disk.image();
    let lane = image.file("lane-0000").unwrap();
    assert_eq!(lane.len(), STREAM_AT as usize + SEGMENT_BYTES);
    assert_eq!(&lane[RING_AT as usize + SECTOR_BYTES..][..4], b"slot");
}
