//! From one process to the next with a state directory: a relative path, and successors whose options
//! differ. The old process goes on where a successor cannot.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::Scratch;
use super::support::{Server, Stats, command, event};

const BINARY: &str = env!("CARGO_BIN_EXE_millrace");

fn count_one(server: &Server, user: &str) {
    assert_eq!(server.once(&event(user, 1.0)).status, 200);
}

#[test]
fn a_relative_path_stays_the_same_directory_over_restarts() {
    let scratch = Scratch::new();
    let start = || {
        let mut command = command(&["--state", "state", "--workers", "2"]);
        Server::run(command.current_dir(&scratch.path))
    };
    let mut server = start();
    for restart in 0..5 {
        count_one(&server, &format!("user_{restart}"));
        server.restart();
        assert_eq!(server.count(), restart + 1);
    }
    count_one(&server, "user_0");
    drop(server);
    let server = start();
    let stats = Stats::parse(&server.stats());
    assert_eq!((stats.events, stats.users), (6, 5));
    assert_eq!(server.stop().events, 6);
    assert_eq!(start().stop().users, 5);
}

/// A successor has the options of the first process. It takes over what that process has salvaged, and
/// has nothing to salvage itself.
#[test]
fn a_restart_after_a_salvage_takes_over_and_salvages_nothing() {
    let scratch = Scratch::new();
    let server = Server::run(&mut scratch.command(&["--workers", "1"]));
    count_one(&server, "a");
    count_one(&server, "b");
    server.stop();
    let lane = fs::File::options().write(true).open(scratch.state().join("lane-0000")).unwrap();
    lane.write_all_at(b"\xff", 65_536).unwrap();
    let mut server = Server::run(&mut scratch.command(&["--workers", "1", "--salvage"]));
    let salvaged = Stats::parse(&server.stats());
    assert_eq!(salvaged.events, 2);
    count_one(&server, "c");
    for _ in 0..2 {
        let lines = server.restart();
        assert!(!lines.iter().any(|line| line.contains("lost from the state")), "{lines:?}");
        let stats = Stats::parse(&server.stats());
        assert_eq!((stats.events, stats.users), (3, salvaged.users + 1));
    }
    let damaged = |number| scratch.state().join(format!("lane-0000.damaged-{number}"));
    assert!(damaged(1).exists() && !damaged(2).exists());
}

/// Writes a program that runs millrace with other options than it is given.
fn write_program(path: &Path, rest: &str) {
    let script = format!("#!/bin/sh\nexec {BINARY} --listen 127.0.0.1:0 --workers 1 {rest}\n");
    fs::write(path, script).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_successor_with_another_directory_or_none_leaves_the_service_where_it_was() {
    let scratch = Scratch::new();
    let (state, other) = (scratch.path.join("state"), scratch.path.join("other"));
    let (state_text, other_text) = (state.display(), other.display());
    // Another server has used the other directory.
    let server = Server::run(command(&[]).arg("--state").arg(&other));
    count_one(&server, "theirs");
    server.stop();
    let cases = [
        (true, String::new(), "give --state as well"),
        (true, format!("--state {other_text}"), "not the directory of the other process"),
        (true, format!("--state {other_text}-new"), "cannot"),
        (false, format!("--state {state_text}"), "the running server has no state directory"),
    ];
    for (number, (kept, rest, message)) in cases.iter().enumerate() {
        let program = scratch.path.join(format!("program-{number}"));
        write_program(&program, rest);
        let mut command = command(&["--workers", "1"]);
        if *kept {
            command.arg("--state").arg(&state);
        }
        let server = Server::run(command.arg0(&program));
        let before = server.count();
        count_one(&server, "ours");
        for _ in 0..2 {
            server.signal(libc::SIGUSR2);
            let line = server.line_with("no restart");
            assert!(line.contains(message), "{rest}: {line}");
            count_one(&server, "ours");
        }
        assert_eq!(server.count(), before + 3, "{rest}");
        drop(server);
        if *kept {
            let server = Server::run(self::command(&[]).arg("--state").arg(&state));
            assert_eq!(server.count(), before + 3, "{rest}");
        }
    }
    let server = Server::run(command(&[]).arg("--state").arg(&other));
    assert_eq!(server.count(), 1, "the other directory is as it was");
}

/// Lanes of earlier workers stay open, and are counted: the connections that a server allows are those
/// that it has descriptors for.
#[test]
fn files_of_many_lanes_leave_descriptors_for_what_the_server_promises() {
    let scratch = Scratch::new();
    let server = Server::run(&mut scratch.command(&["--workers", "48"]));
    count_one(&server, "a");
    assert_eq!(server.stop().events, 1);
    let mut command = scratch.command(&["--workers", "1"]);
    let limit = libc::rlimit { rlim_cur: 192, rlim_max: 192 };
    // SAFETY: setrlimit(2) reads one structure, which is there.
    let lower = move || match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: setrlimit(2) may be called between fork and exec.
    unsafe { command.pre_exec(lower) };
    let mut server = Server::run(&mut command);
    let line = server.line_with("connections_max=");
    let max: usize = line.split("connections_max=").nth(1).unwrap().parse().unwrap();
    let mut clients: Vec<_> = (0..max).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(event("b", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(server.once(&event("b", 1.0)).status, 503, "one more is refused, and told so");
    server.restart();
    for client in &mut clients {
        client.send(event("b", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    drop(clients);
    assert_eq!(server.stop().events, 1 + 2 * max as u64);
}
