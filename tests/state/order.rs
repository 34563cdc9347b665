//! The order of system calls, as strace(1) sees it, and calls that strace makes fail.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::Scratch;
use super::support::{Client, PATIENCE, Server, Stats, event, lines_of, post, skip};

/// Whether strace can trace a process here; notes it if not.
fn strace_works() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        skip("strace is not installed, or is not allowed to trace");
    }
    works
}

/// Returns a command that runs the server's command under strace with these arguments.
fn traced(server: &Command, arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq"]).args(arguments).arg("--").arg(server.get_program());
    command.args(server.get_args()).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A finished call, in the order in which calls end: the thread, then the call with its result.
fn calls(log: &str) -> Vec<(u32, String)> {
    let mut calls = Vec::new();
    let mut begun = std::collections::HashMap::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let (thread, call) = (thread.parse().expect("a thread"), call.trim_start());
        if let Some(begin) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, begin.to_owned());
        } else if let Some((_, end)) = call.split_once(" resumed>") {
            let begin: String = begun.remove(&thread).unwrap_or_default();
            calls.push((thread, begin + end));
        } else {
            calls.push((thread, call.to_owned()));
        }
    }
    calls
}

const CALLS: &str =
    "trace=pwrite64,fdatasync,fsync,sendto,recvfrom,openat,rename,renameat,renameat2,write";

/// Runs a server under strace for some events. Returns its calls until it is told to stop.
fn trace(fsync: &str) -> (Scratch, Vec<(u32, String)>) {
    let scratch = Scratch::new();
    let log = scratch.path.join("calls");
    let server = scratch.command(&["--workers", "2", "--fsync", fsync, "--allow-reset"]);
    let mut strace = traced(&server, &["-o", log.to_str().unwrap(), "-e", CALLS]);
    let mut child = strace.spawn().unwrap();
    let lines = lines_of(child.stderr.take().unwrap());
    let address = loop {
        let line = lines.recv_timeout(PATIENCE).expect("it starts");
        if let Some(rest) = line.strip_prefix("listening on http://") {
            break rest.split(' ').next().unwrap().parse().unwrap();
        }
    };
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(address).unwrap()).collect();
    for round in 0..30 {
        for (number, client) in clients.iter_mut().enumerate() {
            let request = match number {
                0 => event(&format!("user_{round}"), 1.0),
                1 => event("known", 1.0).repeat(5),
                2 => post("/events", &"{\"userId\":\"a\",\"value\":1}\n".repeat(round + 1)),
                _ if round % 10 == 9 => post("/reset", ""),
                _ => event("known", 1.0),
            };
            client.send(request.as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            for _ in 0..if number == 1 { 5 } else { 1 } {
                assert_eq!(client.answer().status, 200);
            }
        }
    }
    drop(clients);
    stop_traced(&mut child);
    let calls = calls(&fs::read_to_string(&log).unwrap());
    (scratch, calls)
}

/// Stops the server under strace, which then ends too.
fn stop_traced(strace: &mut Child) {
    let children = format!("/proc/{0}/task/{0}/children", strace.id());
    let children = fs::read_to_string(children).unwrap_or_default();
    for child in children.split_whitespace() {
        // SAFETY: kill(2) takes numbers; strace waits for the process, and has not done so yet.
        unsafe { libc::kill(child.parse().unwrap(), libc::SIGTERM) };
    }
    strace.wait().unwrap();
}

#[test]
fn no_answer_leaves_before_what_covers_it_is_written_or_synced() {
    if !strace_works() {
        return;
    }
    for fsync in ["everysec", "always"] {
        let (_scratch, calls) = trace(fsync);
        let mut answers = 0;
        // What each thread has done since it last received something.
        let mut since = std::collections::HashMap::<u32, Vec<&str>>::new();
        for (thread, call) in &calls {
            let since = since.entry(*thread).or_default();
            if call.starts_with("recvfrom(") && call.contains("POST ") {
                since.push("received");
            } else if call.starts_with("pwrite64(") && call.contains("\"slot") {
                assert!(call.ends_with("= 512"), "{call}");
                since.push("written");
            } else if call.starts_with("pwrite64(") && call.contains("\"millrace") {
                since.push("written");
            } else if call.starts_with("fdatasync(") {
                since.push("synced");
            } else if call.starts_with("sendto(") && call.contains("HTTP/1.1 200") {
                let after = since.iter().rposition(|&step| step == "received");
                // A round answers several clients: all of them after the one commit.
                if let Some(after) = after {
                    let steps = &since[after..];
                    let wanted: &[_] =
                        if fsync == "always" { &["written", "synced"] } else { &["written"] };
                    let covered = wanted.iter().all(|step| steps.contains(step));
                    assert!(covered, "{fsync}: {steps:?} before {call}");
                    answers += 1;
                }
            }
        }
        assert!(answers > 30, "{fsync}: {answers} answers in {} calls", calls.len());
    }
}

#[test]
fn a_directory_is_synced_after_each_creation() {
    if !strace_works() {
        return;
    }
    let (scratch, calls) = trace("everysec");
    let state = format!("\"{}\"", scratch.state().display());
    let parent = format!("\"{}\"", scratch.path.display());
    let is_listening = |(_, call): &(u32, String)| call.contains("\"listening on");
    let end = calls.iter().position(is_listening).expect("it is ready");
    let mut creations = 0;
    for (at, (thread, call)) in calls.iter().enumerate() {
        let creates =
            call.contains("O_CREAT") && call.contains("/state/") || call.starts_with("rename");
        if !creates {
            continue;
        }
        assert!(at < end, "a file is made while clients are served: {call}");
        let later: Vec<_> = calls[at..end].iter().filter(|(it, _)| it == thread).collect();
        for directory in [&state, &parent] {
            let synced = later.windows(2).any(|pair| {
                pair[0].1.contains(directory)
                    && pair[1].1.starts_with("fsync(")
                    && pair[1].1.ends_with("= 0")
            });
            assert!(synced, "{directory} is not synced after {call}");
        }
        creations += 1;
    }
    assert_eq!(creations, 6, "control.new, its name, two lanes and their cells");
}

/// Makes the n-th call of each thread of a running server fail, sends events until it ends, and starts
/// it again.
fn fail_while_serving(fsync: &str, inject: &str, number: u32) {
    let what = format!("{inject}:when={number}+ with {fsync}");
    let scratch = Scratch::new();
    let server = Server::run(&mut scratch.command(&["--workers", "2", "--fsync", fsync]));
    let process = server.process_id().to_string();
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-p",
        &process,
        "-o",
        "/dev/null",
        "-e",
        &format!("inject={inject}:when={number}+"),
    ]);
    let mut strace = strace.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let strace_lines = lines_of(strace.stderr.take().unwrap());
    let attached = strace_lines.recv_timeout(PATIENCE).is_ok_and(|line| line.contains("attached"));
    if !attached {
        strace.wait().unwrap();
        return skip("strace may not attach to a running process: failing calls while serving");
    }
    let begin = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    let mut client = server.connect();
    loop {
        sent += 1;
        client.send(event(&format!("user_{sent}"), 1.0).as_bytes());
        match client.try_answer(true) {
            Some(answer) => {
                assert_eq!(answer.status, 200, "{what}");
                answered += 1;
            }
            None => break,
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: it goes on");
    }
    let (status, lines) = server.wait();
    strace.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{what}: {lines:?}");
    let about: Vec<_> = lines.iter().filter(|line| line.contains("state directory")).collect();
    let cause = if inject.contains("EIO") { "Input/output error" } else { "No space left" };
    assert!(about.len() == 1 && about[0].contains(cause), "{what}: {lines:?}");

    let server = Server::run(&mut scratch.command(&[]));
    let stats = Stats::parse(&server.stats());
    assert_eq!((stats.users, stats.sum), (stats.events, Some(stats.events as f64)), "{what}");
    assert!((answered..=sent).contains(&stats.events), "{what}: {answered}, {stats:?}, {sent}");
}

#[test]
fn a_failed_write_or_sync_ends_the_server_and_nothing_answered_is_lost() {
    if !strace_works() {
        return;
    }
    for number in [1, 2, 3, 4, 7, 20] {
        fail_while_serving("everysec", "pwrite64:error=EIO", number);
        fail_while_serving("always", "fdatasync:error=EIO", number);
    }
    // A disk that is full although the space was made ahead: as good as broken.
    fail_while_serving("everysec", "pwrite64:error=ENOSPC", 3);
    // The thread that makes checkpoints fails, and no worker.
    fail_while_serving("everysec", "fdatasync:error=EIO", 1);
}

#[test]
fn a_start_that_fails_at_any_call_changes_nothing_that_counts() {
    if !strace_works() {
        return;
    }
    let scratch = Scratch::new();
    let server = Server::run(&mut scratch.command(&["--workers", "1"]));
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
    drop(server);
    let mut failed = 0;
    for (call, error, numbers) in [
        ("pwrite64", "EIO", 1..=8),
        ("pwrite64", "ENOSPC", 1..=8),
        ("fdatasync", "EIO", 1..=5),
        ("fsync", "EIO", 1..=2),
    ] {
        for number in numbers {
            let inject = format!("inject={call}:error={error}:when={number}");
            let server = scratch.command(&["--workers", "2"]);
            let command = &mut traced(&server, &["-o", "/dev/null", "-e", &inject]);
            let mut child = command.spawn().unwrap();
            let lines = lines_of(child.stderr.take().unwrap());
            let all: Vec<String> = loop_until_ready_or_end(&lines);
            let is_ready = all.iter().any(|line| line.starts_with("listening on "));
            if is_ready {
                stop_traced(&mut child);
            } else {
                let last = all.last().cloned().unwrap_or_default();
                assert!(last.contains(&scratch.state().display().to_string()), "{inject}: {all:?}");
                assert_eq!(child.wait().unwrap().code(), Some(1), "{inject}: {all:?}");
                failed += 1;
            }
            let server = Server::run(&mut scratch.command(&["--workers", "1"]));
            assert_eq!(server.count(), 1, "{inject}");
        }
    }
    assert!(failed > 10, "{failed} starts failed");
}

fn loop_until_ready_or_end(lines: &std::sync::mpsc::Receiver<String>) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        let is_ready = line.starts_with("listening on ");
        all.push(line);
        if is_ready {
            break;
        }
    }
    all
}
