//! Going on with what is intact: what is lost is said first, all else is kept, and so are the damaged files.

use super::world::{BOOT, Kept, LATER_BOOT, World, recover};
use crate::journal::disk::{Disk, Image, Random};
use crate::journal::layout::{
    RING_AT, SECTOR_BYTES, STREAM_AT, checkpoint_at, segment_at, slot_at,
};
use crate::journal::{Fsync, salvage};
use crate::limits::JOURNAL_RECORD_BYTES_MAX;

/// Two lanes, the first with two segments and a bit; a checkpoint before the last commit.
fn world() -> World {
    let mut world = World::new(2, Fsync::EverySecond);
    world.commit(0, 300, JOURNAL_RECORD_BYTES_MAX);
    world.commit(1, 3, 100);
    world.commit(0, 150, JOURNAL_RECORD_BYTES_MAX);
    world.checkpoint();
    world.commit(0, 2, 50);
    world.commit(1, 2, 50);
    world
}

fn flip(image: &mut Image, name: &str, offset: u64) {
    image.file_mut(name).unwrap()[offset as usize] ^= 4;
}

/// Damages a directory, salvages it, and returns what was said and what is there then.
fn after(damage: impl Fn(&mut Image), boot: Option<[u8; 16]>) -> (String, Kept) {
    let mut image = world().disk.image();
    damage(&mut image);
    let disk = Disk::of(image.clone(), boot);
    assert!(recover(&disk).is_err(), "nothing is damaged");
    let mut said = Vec::new();
    let kept = salvage(&disk, |loss| {
        assert_eq!(disk.calls(), 0, "a loss is reported after something was written");
        said.push(loss.to_string());
    });
    let kept = kept.unwrap();
    for name in &kept {
        let original = name.split(".damaged").next().unwrap();
        assert_eq!(disk.image().file(name), image.file(original), "{name}");
    }
    crash_everywhere(&disk, boot);
    let mut world = World::on(Disk::of(disk.image(), boot), 2, Fsync::EverySecond).unwrap();
    let found = world.kept.clone();
    world.commit(0, 2, 30);
    world.commit(1, 2, 30);
    assert_eq!(recover(&world.disk).unwrap().1, world.kept);
    (said.join("\n"), found)
}

/// A crash during a salvage leaves a directory that is salvaged again with the same result.
fn crash_everywhere(disk: &Disk, boot: Option<[u8; 16]>) {
    let (_, expected) = recover(&Disk::of(disk.image(), boot)).unwrap();
    let mut random = Random(3);
    for calls in 0..disk.calls() {
        for image in disk.power_lost(calls, 6, &mut random) {
            let again = Disk::of(image, boot);
            if recover(&again).is_err() {
                salvage(&again, |_| {}).unwrap();
            }
            assert_eq!(recover(&again).unwrap().1, expected, "after {calls} calls");
        }
    }
}

/// The records of this commit.
fn records(kept: &Kept, count: usize) -> usize {
    let of = |record: &&Vec<u8>| {
        record.split(|byte| *byte == b'.').nth(2) == Some(count.to_string().as_bytes())
    };
    kept.records.keys().filter(of).count()
}

#[test]
fn a_damaged_segment_costs_its_ids_alone() {
    let whole = world().kept;
    let (said, kept) = after(|image| flip(image, "lane-0000", segment_at(1) + 99), BOOT);
    assert!(said.contains("lane-0000: this segment's checksum does not fit; ids in bytes 131072 to 196608 are lost"), "{said}");
    assert_eq!(kept.states, whole.states);
    let lost = whole.records.len() - kept.records.len();
    assert!((200..210).contains(&lost), "{lost} are lost");
    // Of the open segment, what an older commit vouches for is kept.
    let end = world().lanes[0].mark().end();
    let (said, kept) = after(|image| flip(image, "lane-0000", end - 1), BOOT);
    assert!(said.contains("the last segment's checksum"), "{said}");
    assert_eq!(kept.states, whole.states);
    assert_eq!((records(&kept, 4), records(&kept, 3)), (0, 150));
}

#[test]
fn a_damaged_commit_costs_what_came_with_it() {
    let newest = world().lanes[0].mark().number;
    let (said, kept) = after(|image| flip(image, "lane-0000", slot_at(newest) + 70), BOOT);
    assert!(
        said.contains("this slot's checksum does not fit")
            && said.contains("the newest intact one")
    );
    assert_eq!(kept.states[&0], b"state 3 of lane 0");
    assert_eq!((records(&kept, 4), records(&kept, 5)), (0, 2));
    // Without any slot, the checkpoint serves.
    let ring = RING_AT as usize..RING_AT as usize + 64 * SECTOR_BYTES;
    let erase = |image: &mut Image| image.file_mut("lane-0000").unwrap()[ring.clone()].fill(7);
    let (said, kept) = after(erase, BOOT);
    assert!(said.contains("the ring holds no slot"), "{said}");
    assert_eq!((kept.states[&0].as_slice(), records(&kept, 3)), (&b"state 3 of lane 0"[..], 150));
}

#[test]
fn a_lost_lane_costs_what_was_in_it() {
    let foreign = World::new(2, Fsync::EverySecond).disk.image().file("lane-0001").unwrap().clone();
    let lost: [&dyn Fn(&mut Image); 3] = [
        &|image| image.remove("lane-0001"),
        &|image| *image.file_mut("lane-0001").unwrap() = foreign.clone(),
        &|image| image.file_mut("lane-0001").unwrap().clear(),
    ];
    for damage in lost {
        let (said, kept) = after(damage, BOOT);
        assert!(said.contains("lane-0001") && said.contains("all of it is lost"), "{said}");
        assert_eq!(kept.states.keys().collect::<Vec<_>>(), [&0]);
        assert_eq!(kept.records.len(), 452);
    }
    // The header has nothing that is not known.
    let (said, kept) = after(|image| flip(image, "lane-0001", 40), BOOT);
    assert!(said.contains("nothing is lost") && kept == world().kept, "{said}");
}

#[test]
fn a_damaged_control_file_is_made_again() {
    let whole = world().kept;
    for damage in [
        (|image: &mut Image| flip(image, "control", 60)) as fn(&mut Image),
        |image| flip(image, "control", 4_096 + 60),
        |image| {
            flip(image, "control", 60);
            flip(image, "control", 4_096 + 60);
        },
        |image| image.remove("control"),
        |image| image.file_mut("control").unwrap().truncate(100),
    ] {
        let (said, kept) = after(damage, BOOT);
        assert!(said.starts_with("/disk/control: ") && said.contains("reset"), "{said}");
        assert_eq!(kept, whole);
    }
}

#[test]
fn a_damaged_checkpoint_costs_what_came_after_the_one_before() {
    let both = |image: &mut Image| {
        flip(image, "lane-0000", checkpoint_at(0) + 70);
        flip(image, "lane-0000", checkpoint_at(1) + 70);
    };
    // Without a power loss, the slots are there.
    let (said, kept) = after(both, BOOT);
    assert!(said.contains("nothing is lost") && kept == world().kept, "{said}");
    let (said, kept) = after(both, LATER_BOOT);
    assert!(said.contains("checkpoint"), "{said}");
    assert_eq!(kept.states[&1], b"state 2 of lane 1");
    assert!(kept.states.contains_key(&0));
}

#[test]
fn what_is_not_damaged_is_not_touched() {
    let disk = world().disk;
    let calls = disk.calls();
    let kept = salvage(&disk, |loss| panic!("{loss}")).unwrap();
    assert!(kept.is_empty() && disk.calls() == calls);
    let disk = Disk::new(BOOT);
    assert!(salvage(&disk, |loss| panic!("{loss}")).unwrap().is_empty() && disk.calls() == 0);
    // A directory in use, or of another program, is refused as ever.
    let mut image = world().disk.image();
    flip(&mut image, "lane-0000", STREAM_AT);
    let disk = Disk::of(image, BOOT);
    disk.set_locked_elsewhere();
    assert!(salvage(&disk, |loss| panic!("{loss}")).is_err() && disk.calls() == 0);
}
