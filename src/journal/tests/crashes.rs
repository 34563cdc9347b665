//! Every state that a crash can leave of short histories: a start is never refused, and finds a state that
//! existed and holds all that had to be kept.

use super::world::World;
use crate::journal::Fsync::{self, Always, EverySecond};
use crate::limits::JOURNAL_RECORD_BYTES_MAX;

/// Images for each call where there are too many for all. `MILLRACE_CRASH_IMAGES=1000` looks longer.
fn images() -> usize {
    let asked = std::env::var("MILLRACE_CRASH_IMAGES").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(24)
}

#[test]
fn commits() {
    for fsync in [EverySecond, Always] {
        for lanes in [1, 2] {
            let mut world = World::new(lanes, fsync);
            for round in 0..6 {
                world.commit(round % lanes, round % 3, 20);
            }
            world.crash_everywhere(images());
        }
    }
}

#[test]
fn records_of_many_sectors() {
    for fsync in [EverySecond, Always] {
        let mut world = World::new(2, fsync);
        world.commit(0, 1, 300);
        world.commit(0, 6, 300);
        world.commit(1, 6, 300);
        world.checkpoint();
        world.commit(0, 3, 300);
        world.crash_everywhere(images());
    }
}

#[test]
fn segments_end_and_space_grows() {
    for fsync in [EverySecond, Always] {
        let mut world = World::new(1, fsync);
        for round in 0..4 {
            world.commit(0, 130, JOURNAL_RECORD_BYTES_MAX);
            world.grow();
            if round % 2 == 1 {
                world.checkpoint();
            }
        }
        world.crash_everywhere(images());
    }
}

#[test]
fn checkpoints() {
    let mut world = World::new(2, EverySecond);
    for round in 0..6 {
        world.commit(round % 2, round % 3, 20);
        if round % 2 == 1 {
            world.checkpoint();
        }
    }
    world.crash_everywhere(images());
}

#[test]
fn checkpoints_beside_commits() {
    let mut world = World::new(2, EverySecond);
    world.commit(0, 1, 20);
    for lane in 0..3 {
        world.checkpoint_with(|world, step| world.commit((lane + step) % 2, step, 20));
    }
    world.crash_everywhere(images());
}

#[test]
fn resets() {
    for fsync in [EverySecond, Always] {
        for lanes in [1, 2] {
            let mut world = World::new(lanes, fsync);
            for round in 0..3 {
                world.commit(0, 3 - round, 50);
                world.commit(lanes - 1, 1, 20);
                if round == 1 {
                    world.checkpoint();
                }
                world.reset();
            }
            world.commit(0, 1, 20);
            world.checkpoint();
            world.crash_everywhere(images());
        }
    }
}

#[test]
fn a_checkpoint_that_races_with_a_reset() {
    for at in 1..=3 {
        let mut world = World::new(2, EverySecond);
        world.commit(0, 2, 20);
        world.commit(1, 2, 20);
        world.checkpoint();
        world.commit(0, 2, 20);
        world.checkpoint_with(|world, step| {
            if step == at {
                world.reset();
                // The first records of the new epoch lie over those that the checkpoint needs.
                world.commit(0, 1, 20);
            }
        });
        world.commit(1, 1, 20);
        world.checkpoint();
        world.crash_everywhere(images());
    }
}

#[test]
fn starts_with_other_lanes_and_modes() {
    let runs: [(bool, usize, Fsync); 6] = [
        (false, 2, EverySecond),
        (true, 2, Always),
        (false, 1, EverySecond),
        (false, 3, Always),
        (true, 1, EverySecond),
        (false, 1, EverySecond),
    ];
    let mut world = World::new(1, EverySecond);
    for (round, (clean, lanes, fsync)) in runs.into_iter().enumerate() {
        for lane in 0..world.lanes.len() {
            world.commit(lane, 1 + lane, 30);
        }
        if round == 2 {
            world.reset();
        }
        world = world.restart(clean, lanes, fsync);
    }
    world.commit(0, 1, 20);
    world.crash_everywhere(images() / 2);
}

#[test]
fn a_ring_that_has_gone_round() {
    for fsync in [EverySecond, Always] {
        let mut world = World::new(1, fsync);
        for round in 0..70 {
            world.commit(0, usize::from(round % 9 == 0), 20);
        }
        world.checkpoint();
        world = world.restart(false, 1, fsync);
        for _ in 0..3 {
            world.commit(0, 0, 0);
        }
        world.crash_everywhere(images() / 6);
    }
}

#[test]
fn cells_beside_checkpoints() {
    for fsync in [EverySecond, Always] {
        for lanes in [1, 2] {
            let mut world = World::new(lanes, fsync);
            for round in 0..4 {
                world.commit_cells(round % lanes, &[0, 1]);
                world.commit_cells(0, &[1]);
                world.checkpoint_with(|world, _| world.commit_cells(0, &[1, 2]));
                world.commit_cells(lanes - 1, &[0]);
            }
            world.crash_everywhere(images());
        }
    }
}

#[test]
fn cells_through_resets_and_starts() {
    for fsync in [EverySecond, Always] {
        let mut world = World::new(2, fsync);
        for round in 0..3 {
            for lane in 0..world.lanes.len() {
                world.commit_cells(lane, &[0, 3]);
            }
            world.checkpoint();
            world.commit_cells(0, &[0]);
            if round == 1 {
                world.reset();
                world.commit_cells(0, &[0]);
            }
            world = world.restart(round == 2, 2 - round % 2, fsync);
            world.commit_cells(0, &[3]);
        }
        world.crash_everywhere(images() / 2);
    }
}
