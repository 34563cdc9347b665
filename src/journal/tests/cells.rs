//! Cells on real files and beside the threads, damaged and salvaged. Their crashes are in `crashes`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::damage::Folder;
use super::running::{Run, luggage, start};
use super::world::{BOOT, LATER_BOOT, World, recover};
use crate::journal::cells::cell_at;
use crate::journal::disk::{Disk, Random};
use crate::journal::{Fsync, Unusable, receive, salvage};
use crate::limits::{JOURNAL_CELL_BYTES_MAX, JOURNAL_CELLS_MAX};

/// Commits a cell, with a state that has the same bytes. Tries again while the thread that makes space is
/// not fast enough, as on a busy machine.
fn commit(run: &mut Run, lane: usize, index: u32, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while run.lanes[lane].put_cell(index, text.as_bytes()).is_err() {
        assert!(Instant::now() < deadline, "no room for cell {index}");
    }
    run.published.commit(&mut run.lanes[lane], text.as_bytes(), text.as_bytes());
}

#[test]
fn what_a_power_loss_leaves_is_of_one_commit_also_beside_checkpoints() {
    let disk = Disk::new(BOOT);
    let (mut run, _) = start(Arc::new(disk.clone()), 1, Fsync::EverySecond);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let lane = &mut run.lanes[0];
            for number in 0..400_u32 {
                // One cell with every commit, others now and then.
                for index in [0, 1 + number % 2, 3 + number % 7] {
                    lane.put_cell(index, &number.to_le_bytes()).unwrap();
                }
                run.published.commit(lane, b"r", &number.to_le_bytes());
                // Neither is much faster than the other.
                while run.journal.figures().counted.checkpoints < u64::from(number / 40) {
                    std::thread::yield_now();
                }
            }
            ended.store(true, Relaxed);
        });
        while !ended.load(Relaxed) {
            run.journal.checkpoint().unwrap();
        }
        worker.join().unwrap();
    });
    let made = run.journal.figures().counted.checkpoints;
    drop(run);
    let mut random = Random(11);
    let mut found = 0;
    for _ in 0..60 {
        let calls = 30 + random.below(disk.calls() - 29);
        for image in disk.power_lost(calls, 4, &mut random) {
            let (_, kept) = recover(&Disk::of(image, LATER_BOOT)).unwrap();
            let Some(state) = kept.states.get(&0) else { continue };
            let number = u32::from_le_bytes(state.as_slice().try_into().unwrap());
            for (&(_, index), value) in &kept.cells {
                // The last commit that set it.
                let by = |at: &u32| [0, 1 + at % 2, 3 + at % 7].contains(&index);
                let expected = (0..=number).rev().find(by).unwrap();
                assert_eq!(*value, expected.to_le_bytes(), "cell {index} of commit {number}");
            }
            assert_eq!(kept.cells.len(), 3 + 7.min(number as usize + 1) - usize::from(number == 0));
            found += 1;
        }
    }
    assert!(found > 50 && made > 8, "{found} images, {made} checkpoints");
}

#[test]
fn cells_grow_and_a_full_disk_refuses_new_ones_alone() {
    let disk = Disk::new(BOOT);
    let (mut run, _) = start(Arc::new(disk.clone()), 1, Fsync::EverySecond);
    for index in [0, 1, 500, 20_000] {
        commit(&mut run, 0, index, &format!("cell {index}"));
    }
    disk.set_bytes_max(disk.bytes());
    let lane = &mut run.lanes[0];
    assert!(lane.put_cell(200_000, b"new").is_err());
    assert!(lane.put_cell(JOURNAL_CELLS_MAX, b"new").is_err());
    let point = lane.staged();
    lane.put_cell(500, b"undone").unwrap();
    lane.back_to(point);
    lane.put_cell(1, b"newer").unwrap();
    lane.commit(b"state").unwrap();
    disk.set_bytes_max(usize::MAX);
    let deadline = Instant::now() + Duration::from_secs(20);
    while lane.put_cell(200_000, &[7; JOURNAL_CELL_BYTES_MAX]).is_err() {
        assert!(Instant::now() < deadline, "there is space, and it is not used");
        std::thread::yield_now();
    }
    lane.commit(b"state").unwrap();
    drop(run);
    let cells = recover(&disk).unwrap().1.cells;
    let found: Vec<(u32, &[u8])> =
        cells.iter().map(|((_, index), value)| (*index, value.as_slice())).collect();
    let expected: [(u32, &[u8]); 5] = [
        (0, b"cell 0"),
        (1, b"newer"),
        (500, b"cell 500"),
        (20_000, b"cell 20000"),
        (200_000, &[7; JOURNAL_CELL_BYTES_MAX]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn cells_go_to_a_successor_and_end_with_a_reset() {
    let folder = Folder::new("cells");
    let (mut run, _) = start(folder.storage(), 2, Fsync::EverySecond);
    commit(&mut run, 0, 3, "a");
    commit(&mut run, 1, 3, "b");
    commit(&mut run, 1, 3, "c");
    let packed = run.journal.pack(run.lanes).unwrap();
    let (bytes, descriptors) = luggage(&packed);
    let recovered = receive(folder.storage(), &bytes, descriptors).unwrap();
    let mut cells = Vec::new();
    recovered.visit_cells(|lane, index, value| cells.push((lane, index, value.to_vec()))).unwrap();
    assert_eq!(cells, [(0, 3, b"a".to_vec()), (1, 3, b"c".to_vec())]);
    let (journal, mut lanes) = recovered.start(2, Fsync::Always, run.published.clone()).unwrap();
    drop(packed);
    lanes[1].put_cell(3, b"d").unwrap();
    lanes[1].put_cell(4, b"e").unwrap();
    lanes[1].commit(b"").unwrap();
    lanes[0].restart(journal.reset().unwrap());
    lanes[0].put_cell(9, b"new").unwrap();
    lanes[0].commit(b"").unwrap();
    journal.close(lanes).unwrap();
    let recovery = crate::journal::open(folder.storage()).unwrap();
    let mut cells = Vec::new();
    recovery.visit_cells(|lane, index, value| cells.push((lane, index, value.to_vec()))).unwrap();
    assert_eq!(cells, [(0, 9, b"new".to_vec())]);
}

#[test]
fn no_flipped_bit_of_a_cell_passes_and_salvage_keeps_the_others() {
    let mut world = World::new(2, Fsync::EverySecond);
    for _ in 0..3 {
        world.commit_cells(1, &[0, 1, 2]);
    }
    let healthy = world.disk.image();
    let first = cell_at(1) as usize;
    let versions: Vec<usize> = (0..4)
        .map(|place| first + place * 128)
        .filter(|at| healthy.file("cells-0001").unwrap()[*at..at + 128].iter().any(|b| *b != 0))
        .collect();
    assert!(versions.len() > 1);
    for byte in versions.iter().flat_map(|at| *at..at + 112) {
        let mut image = healthy.clone();
        image.file_mut("cells-0001").unwrap()[byte] ^= 1 << (byte % 8);
        // Cells are checked by visiting them, and by a start.
        let disk = Disk::of(image, BOOT);
        let refusal = recover(&disk).err().map(|refusal| refusal.to_string()).unwrap();
        let place = byte / 128 * 128;
        assert!(
            refusal.starts_with(&format!("/disk/cells-0001: damaged at byte {place}")),
            "{refusal}"
        );
        if byte % 16 == 0 {
            let mut said = String::new();
            let kept = salvage(&disk, |loss| said.push_str(&loss.to_string())).unwrap();
            assert!(
                said.contains("1 cells are damaged") && kept == ["cells-0001.damaged-1"],
                "{said}"
            );
            let (_, kept) = recover(&disk).unwrap();
            let (old, new) = (&world.kept.cells, &kept.cells);
            assert!([0, 2].iter().all(|index| old[&(1, *index)] == new[&(1, *index)]));
        }
    }
}

#[test]
fn a_file_of_cells_that_is_not_there_stops_the_start() {
    let mut world = World::new(2, Fsync::EverySecond);
    world.commit_cells(0, &[5]);
    let mut other = World::new(2, Fsync::EverySecond);
    other.commit_cells(0, &[5]);
    let foreign = other.disk.image().file("cells-0000").unwrap().clone();
    let mut missing = world.disk.image();
    missing.remove("cells-0000");
    let refusal = recover(&Disk::of(missing.clone(), BOOT)).unwrap_err();
    assert!(
        matches!(&refusal, Unusable::Missing { path } if path == "/disk/cells-0000"),
        "{refusal}"
    );
    let mut replaced = world.disk.image();
    *replaced.file_mut("cells-0000").unwrap() = foreign;
    let refusal = recover(&Disk::of(replaced.clone(), BOOT)).unwrap_err().to_string();
    assert!(refusal.contains("another lane or another state directory"), "{refusal}");
    for image in [missing, replaced] {
        let disk = Disk::of(image, BOOT);
        let mut said = String::new();
        salvage(&disk, |loss| said.push_str(&loss.to_string())).unwrap();
        assert!(said.contains("cells-0000"), "{said}");
        let (_, kept) = recover(&disk).unwrap();
        assert!(kept.cells.is_empty() && kept.states == world.kept.states);
    }
}

#[test]
fn a_directory_from_before_there_were_cells_gets_them() {
    let mut world = World::new(1, Fsync::EverySecond);
    world.commit(0, 2, 20);
    let mut image = world.disk.image();
    image.remove("cells-0000");
    for place in [0, 4_096] {
        let copy = &mut image.file_mut("control").unwrap()[place..place + 512];
        copy[88..92].fill(0);
        crate::journal::control::ControlFile::seal(copy.first_chunk_mut().unwrap());
    }
    let mut world = World::on(Disk::of(image, BOOT), 1, Fsync::EverySecond).unwrap();
    world.commit_cells(0, &[0, 1]);
    assert_eq!(recover(&world.disk).unwrap().1, world.kept);
}

#[test]
fn a_file_of_cells_that_was_cut_stops_the_start() {
    let mut world = World::new(1, Fsync::EverySecond);
    world.commit_cells(0, &[0, 1, 100]);
    let healthy = world.disk.image();
    let length = healthy.file("cells-0000").unwrap().len();
    for cut in (0..length).filter(|cut| cut % 97 == 0 || cut % 512 < 2) {
        let mut image = healthy.clone();
        image.file_mut("cells-0000").unwrap().truncate(cut);
        let disk = Disk::of(image, BOOT);
        match recover(&disk) {
            Ok((_, kept)) => {
                assert!(cut >= cell_at(101) as usize && kept == world.kept, "cut at {cut}");
                let mut again = World::on(disk, 1, Fsync::EverySecond).unwrap();
                again.commit_cells(0, &[1, 119]);
                assert_eq!(recover(&again.disk).unwrap().1, again.kept);
            }
            Err(Unusable::Damaged(damage)) => {
                assert!(
                    cut < cell_at(101) as usize && damage.path == "/disk/cells-0000",
                    "{damage}"
                );
                assert!(damage.offset <= cut as u64, "{damage}");
                salvage(&disk, |_| {}).unwrap();
                assert!(recover(&disk).is_ok());
            }
            Err(refusal) => panic!("cut at {cut}: {refusal}"),
        }
    }
}
