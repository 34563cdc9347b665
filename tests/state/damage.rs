//! Files that are cut off or have a flipped bit: a start is refused with the file and the place, or what
//! is recovered is a state that existed. With `--salvage` it starts, after the log has told what is lost.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::Scratch;
use super::support::{Server, Stats, command, event, post};

/// Users of the small state; each has one event of value 1. The last event is not in a batch.
const USERS: u64 = 40;
/// What is recovered may be the state before one of the last events; not before these.
const BATCH: u64 = 30;

fn small(path: &Path) {
    let server = Server::run(command(&["--workers", "1"]).arg("--state").arg(path));
    let line = |user: u64| format!("{{\"userId\":\"user_{user}\",\"value\":1}}\n");
    let batch: String = (0..BATCH).map(line).collect();
    assert_eq!(server.once(&post("/events", &batch)).status, 200);
    for user in BATCH..USERS {
        assert_eq!(server.once(&event(&format!("user_{user}"), 1.0)).status, 200);
    }
    // Killed, so that the slots are not known to be on disk: the next start has more to decide.
    drop(server);
}

pub fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn server_in(path: &Path) -> Command {
    let mut command = command(&["--workers", "1"]);
    command.arg("--state").arg(path);
    command
}

/// Starts a server in a damaged directory. Returns whether it is refused, which names the file and the
/// place; otherwise all is there.
fn is_refused(path: &Path, file: &str, what: &str) -> bool {
    match Server::try_run(&mut server_in(path)) {
        Err((status, lines)) => {
            let [line] = &lines[..] else { panic!("{what}: {lines:?}") };
            assert_eq!(status.code(), Some(1), "{what}: {line}");
            let place = format!("{}: damaged at byte ", path.join(file).display());
            let newer = line.contains("newer version") && line.contains(file);
            assert!(line.contains(&place) || newer, "{what}: {line}");
            true
        }
        Ok(server) => {
            let stats = Stats::parse(&server.stats());
            let whole =
                (stats.events, stats.users, stats.sum) == (USERS, USERS, Some(USERS as f64));
            assert!(whole, "{what}: {stats:?}");
            false
        }
    }
}

/// Returns places in a file: dense where something is, sampled where there is nothing.
fn places(bytes: &[u8], count: usize) -> Vec<usize> {
    let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
    let step = used.len().div_ceil(count).max(1);
    let empty = (0..bytes.len()).step_by(bytes.len().div_ceil(count / 4).max(1));
    used.into_iter().step_by(step).chain(empty).collect()
}

fn try_all(count: usize) {
    let scratch = Scratch::new();
    let (whole, damaged) = (scratch.path.join("whole"), scratch.path.join("damaged"));
    small(&whole);
    let (mut refused, mut recovered) = (0, 0);
    let mut note = |is_refused| if is_refused { refused += 1 } else { recovered += 1 };
    for name in ["control", "lane-0000", "cells-0000"] {
        let bytes = fs::read(whole.join(name)).unwrap();
        for at in places(&bytes, count) {
            copy(&whole, &damaged);
            let file = fs::File::options().write(true).open(damaged.join(name)).unwrap();
            let bit = at % 8;
            file.write_all_at(&[bytes[at] ^ 1 << bit], at as u64).unwrap();
            note(is_refused(&damaged, name, &format!("bit {bit} of byte {at} of {name} flipped")));
            copy(&whole, &damaged);
            let file = fs::File::options().write(true).open(damaged.join(name)).unwrap();
            file.set_len(at as u64).unwrap();
            note(is_refused(&damaged, name, &format!("{name} cut off at {at}")));
        }
    }
    println!("{refused} refused, {recovered} recovered");
    assert!(refused > 0 && recovered > 0);
}

#[test]
fn damage_is_refused_or_harmless() {
    try_all(40);
}

/// `make crash` runs it.
#[test]
#[ignore = "takes half a minute"]
fn damage_anywhere_is_refused_or_harmless() {
    try_all(1_000);
}

#[test]
fn salvage_goes_on_with_what_is_intact() {
    let scratch = Scratch::new();
    let path = scratch.state();
    small(&path);
    // Without damage it has nothing to do.
    let server = Server::run(server_in(&path).arg("--salvage"));
    assert_eq!(server.count(), USERS);
    drop(server);
    let file = fs::File::options().write(true).open(path.join("lane-0000")).unwrap();
    file.write_all_at(b"\xff", 65_536 + 5).unwrap();
    drop(file);
    let before = fs::read(path.join("lane-0000")).unwrap();
    assert!(is_refused(&path, "lane-0000", "an id is damaged"));

    let log = scratch.path.join("log");
    let mut command = server_in(&path);
    command.arg("--salvage").stderr(fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let text = || fs::read_to_string(&log).unwrap();
    super::support::eventually("it starts", || text().contains("listening on http://"));
    child.kill().unwrap();
    child.wait().unwrap();
    let text = text();
    let lost = text.find("lost from the state directory").expect("what is lost");
    let kept = text.find("lane-0000.damaged-1").expect("where the damaged file is");
    assert!(text[lost..].contains(&path.join("lane-0000").display().to_string()), "{text}");
    assert!(lost < kept && kept < text.find("listening").unwrap(), "{text}");
    assert!(fs::read(path.join("lane-0000.damaged-1")).unwrap() == before, "it is kept as it was");

    // From now on it is a directory as any other, also for new users.
    let server = Server::run(&mut server_in(&path));
    let stats = Stats::parse(&server.stats());
    assert_eq!((stats.events, stats.sum), (USERS, Some(USERS as f64)), "totals are of the slot");
    assert_eq!(server.once(&event("another", 1.0)).status, 200);
    drop(server);
    let server = Server::run(&mut server_in(&path));
    let after = Stats::parse(&server.stats());
    assert_eq!((after.events, after.users), (USERS + 1, stats.users + 1));
}
