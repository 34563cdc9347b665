//! The logs: no thread of the server waits for them, for any kind of standard error and standard
//! output, and lines leave whole or not at all.

// Pseudo-terminals, limits and inherited signals are set by libc.
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, process, ptr, thread};

use support::{Client, PATIENCE, Server, command, eventually, get};

/// A stop that waits neither for clients nor for a log takes less than this.
const SOON: Duration = Duration::from_secs(10);

const ACCESS_LINES_DROPPED: &str = r#"millrace_log_lines_dropped_total{log="access"}"#;

/// Sends requests on one connection, and waits for their answers.
fn requests(address: SocketAddr, count: usize) {
    const PIPELINED: usize = 100;
    let mut client = Client::connect(address).expect("it accepts");
    for _ in 0..count / PIPELINED {
        client.send(get("/health").repeat(PIPELINED).as_bytes());
        for _ in 0..PIPELINED {
            assert_eq!(client.answer().status, 200);
        }
    }
}

fn set_nonblocking(pipe: &impl AsRawFd) {
    // SAFETY: fcntl(2) takes numbers here.
    let status = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(status, 0);
}

/// Everything that comes until the last writer is gone.
fn read_all(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).expect("text");
    text
}

/// The lines of an access log, each checked to be whole.
fn access_lines(text: &str) -> usize {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut");
    for line in text.lines() {
        let whole = line.starts_with("127.0.0.1 - - [")
            && line.contains(" HTTP/1.1\" 200 ")
            && line.ends_with(r#" "-" "-""#)
            && line.matches("127.0.0.1").count() == 1;
        assert!(whole, "{line:?}");
    }
    text.lines().count()
}

#[test]
fn an_access_log_without_a_reader_stops_nothing() {
    for is_nonblocking in [false, true] {
        let (reader, writer) = io::pipe().expect("a pipe");
        if is_nonblocking {
            set_nonblocking(&writer);
        }
        let mut command = command(&["--access-log", "--workers", "2"]);
        let server = Server::run(command.stdout(writer));
        drop(command);
        let mut sent = 0;
        while server.metric(ACCESS_LINES_DROPPED) == 0.0 {
            requests(server.address, 10_000);
            sent += 10_000;
        }
        let start = Instant::now();
        server.signal(libc::SIGTERM);
        let (status, lines) = server.wait();
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        assert_eq!(status.code(), Some(0));
        let warnings: Vec<&String> =
            lines.iter().filter(|line| line.contains("log lines were dropped")).collect();
        assert!(warnings[0].contains("log=access") && warnings[0].contains("keep up"));
        // One when it begins, and the total at the end.
        assert_eq!(warnings.len(), 2, "{lines:?}");
        assert!(lines.last().is_some_and(|line| line.starts_with("final statistics")));
        let read = access_lines(&read_all(reader));
        assert!(0 < read && read < sent, "{read} of {sent}");
    }
}

#[test]
fn an_access_log_that_cannot_be_written_is_counted_and_warned_of_once() {
    let full = || OpenOptions::new().write(true).open("/dev/full").map(Stdio::from);
    let closed = || io::pipe().map(|(_, writer)| Stdio::from(writer));
    for (output, reason) in [(full(), "No space left"), (closed(), "Broken pipe")] {
        let mut command = command(&["--access-log", "--workers", "2"]);
        let server = Server::run(command.stdout(output.expect("it is there")));
        for sent in [100.0, 200.0] {
            requests(server.address, 100);
            server.wait_until("all lines are counted", |server| {
                server.metric(ACCESS_LINES_DROPPED) >= sent
            });
        }
        server.signal(libc::SIGTERM);
        let (status, lines) = server.wait();
        assert_eq!(status.code(), Some(0));
        let warnings = lines.iter().filter(|line| line.contains("log lines were dropped"));
        let with_reason = warnings.clone().filter(|line| line.contains(reason)).count();
        assert_eq!((with_reason, warnings.count()), (1, 2), "{lines:?}");
    }
}

#[test]
fn a_slow_reader_gets_every_line_whole_and_in_order() {
    const REQUESTS: usize = 20_000;
    for is_nonblocking in [false, true] {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        if is_nonblocking {
            set_nonblocking(&writer);
        }
        let mut command = command(&["--access-log", "--workers", "1"]);
        let server = Server::run(command.stdout(writer));
        drop(command);
        let mut client = server.connect();
        // More than the pipe holds, and less than the queue.
        for batch in 0..REQUESTS / 100 {
            let batch: String =
                (0..100).map(|i| get(&format!("/health?{}", batch * 100 + i))).collect();
            client.send(batch.as_bytes());
            (0..100).for_each(|_| assert_eq!(client.answer().status, 200));
        }
        server.signal(libc::SIGTERM);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        assert_eq!(access_lines(&text), REQUESTS);
        let number =
            |line: &str| line.split(['?', ' ']).find_map(|word| word.parse::<usize>().ok());
        let numbers = text.lines().filter_map(|line| number(line.split_once('?')?.1));
        assert!(numbers.eq(0..REQUESTS));
        assert_eq!(server.wait().0.code(), Some(0));
    }
}

#[test]
fn a_usual_stop_loses_no_line() {
    let path = temporary("stop");
    let file = File::create(&path).expect("a file");
    let server = Server::run(command(&["--access-log", "--workers", "2"]).stdout(file));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| requests(server.address, 5_000));
        }
    });
    assert_eq!(server.stop().events, 0);
    assert_eq!(access_lines(&fs::read_to_string(&path).expect("text")), 20_000);
    fs::remove_file(path).expect("removed");
}

#[test]
fn a_file_at_its_limit_ends_in_at_most_one_cut_line_and_the_server_goes_on() {
    const LIMIT: u64 = 100_000;
    let path = temporary("limit");
    let file = OpenOptions::new().create(true).append(true).open(&path).expect("a file");
    let mut command = command(&["--access-log", "--workers", "1"]);
    // SAFETY: setrlimit(2) may be called between fork and exec, and reads one structure.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: LIMIT, rlim_max: LIMIT };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    let server = Server::run(command.stdout(file));
    while server.metric(ACCESS_LINES_DROPPED) == 0.0 {
        requests(server.address, 1_000);
    }
    assert!(server.line_with("log lines were dropped").contains("File too large"));
    // The file gets room again, as a disk does: the cut line goes on where it was cut.
    assert_eq!(fs::metadata(&path).expect("a file").len(), LIMIT);
    let beginning = fs::read_to_string(&path).expect("text");
    File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("emptied");
    requests(server.address, 100);
    server.stop();
    let text = beginning + &fs::read_to_string(&path).expect("text");
    assert!(access_lines(&text) >= 100);
    fs::remove_file(path).expect("removed");
}

#[test]
fn a_log_without_a_reader_stops_nothing() {
    let (mut reader, mut writer) = io::pipe().expect("a pipe");
    let address = free_address();
    // Full before the server starts, so that not even its first line finds room.
    set_nonblocking(&writer);
    while writer.write(b"x\n").is_ok() {}
    let mut child = blocking(&mut command(&["--listen", &address.to_string()]), writer);
    eventually("it serves", || Client::connect(address).is_ok());
    requests(address, 1_000);
    for signal in [libc::SIGHUP; 1_000] {
        kill(&child, signal);
    }
    requests(address, 1_000);
    let start = Instant::now();
    kill(&child, libc::SIGTERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let mut text = Vec::new();
    set_nonblocking(&reader);
    let _ = reader.read_to_end(&mut text);
    assert!(text.chunks(2).all(|line| line == b"x\n"), "no half line has come behind");
}

#[test]
fn a_reader_that_comes_late_gets_the_last_lines_of_the_log() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let address = free_address();
    set_nonblocking(&writer);
    while writer.write(b"x\n").is_ok() {}
    let mut child = blocking(&mut command(&["--listen", &address.to_string()]), writer);
    eventually("it serves", || Client::connect(address).is_ok());
    kill(&child, libc::SIGTERM);
    let text = read_all(reader);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let lines: Vec<&str> = text.lines().skip_while(|line| *line == "x").collect();
    assert!(lines[0].starts_with("listening on http://"), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.starts_with("final statistics")), "{lines:?}");
}

#[test]
fn clients_without_a_place_are_refused_with_a_line_in_the_log() {
    let server = Server::start(&["--max-connections", "2", "--workers", "1"]);
    let mut clients: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/health").as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    for _ in 0..100 {
        assert_eq!(server.connect().answer().status, 503);
    }
    drop(clients);
    server.signal(libc::SIGTERM);
    let (_, lines) = server.wait();
    let refusals = lines.iter().filter(|line| line.contains("a client was refused")).count();
    // Ten in ten seconds, which may fall into two windows.
    assert!((1..=20).contains(&refusals), "{lines:?}");
    let first = lines.iter().find(|line| line.contains("a client was refused"));
    assert!(first.is_some_and(|line| line.ends_with("connections_max=2")), "{lines:?}");
}

#[test]
fn every_line_of_a_json_log_is_json() {
    let json = ["--log-format", "json"];
    let output = |command: &mut Command| {
        let output = command.args(json).output().expect("it runs");
        String::from_utf8(output.stderr).expect("text")
    };
    let wrong_usage = output(command(&[]).arg("--port"));
    let cannot_start = output(command(&[]).args(["--listen", "192.0.2.1:1"]));
    let no_health = output(command(&[]).args(["--health", "http://127.0.0.1:1"]));
    let mut served = command(&json);
    let mut child = served.env("MILLRACE_MAX_USER", "5").spawn().expect("it starts");
    let mut stderr = io::BufReader::new(child.stderr.take().expect("a pipe"));
    let mut lines = String::new();
    while !lines.contains("listening") {
        let read = io::BufRead::read_line(&mut stderr, &mut lines).expect("a line");
        assert!(read > 0, "{lines}");
    }
    kill(&child, libc::SIGHUP);
    kill(&child, libc::SIGTERM);
    lines.push_str(&read_all(stderr));
    assert!(child.wait().expect("it ends").success());
    let all = [wrong_usage, cannot_start, no_health, lines].concat();
    let mut messages = Vec::new();
    for line in all.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["ts"].is_string() && line["level"].is_string(), "{line}");
        messages.push(line["message"].as_str().expect("a message").to_owned());
        if line["message"] == "listening" {
            assert!(line["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
            assert!(line["workers"].as_u64().is_some());
        }
        if line["message"] == "final statistics" {
            assert_eq!(line["statistics"]["totalRequests"], 0);
        }
    }
    for expected in [
        "unknown option '--port'",
        "cannot listen on",
        "unknown variable",
        "listening",
        "final statistics",
        "no answer",
    ] {
        assert!(messages.iter().any(|it| it.contains(expected)), "{expected}: {messages:?}");
    }
}

#[test]
fn a_server_on_a_terminal_ends_with_it_and_does_not_wait_while_it_is_stopped() {
    let Some((master, slave)) = terminal() else { return };
    let address = free_address();
    let listen = address.to_string();
    let mut child = on_terminal(&mut command(&["--access-log", "--listen", &listen]), slave);
    eventually("it serves", || Client::connect(address).is_ok());
    let mut master = File::from(master);
    // ^S
    master.write_all(b"\x13").expect("typed");
    while {
        let page = metrics(address);
        let dropped = page.lines().find_map(|line| line.strip_prefix(ACCESS_LINES_DROPPED));
        dropped.expect("the metric").trim() == "0"
    } {
        requests(address, 10_000);
    }
    requests(address, 100);
    drop(master);
    let start = Instant::now();
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn nohup_keeps_a_server_alive_when_its_terminal_goes() {
    let Some((master, slave)) = terminal() else { return };
    let address = free_address();
    let mut command = command(&["--listen", &address.to_string()]);
    // SAFETY: signal(2) may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        });
    }
    let mut child = on_terminal(&mut command, slave);
    eventually("it serves", || Client::connect(address).is_ok());
    drop(master);
    kill(&child, libc::SIGHUP);
    requests(address, 1_000);
    kill(&child, libc::SIGTERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

fn metrics(address: SocketAddr) -> String {
    let mut client = Client::connect(address).expect("it accepts");
    client.send(get("/metrics").as_bytes());
    client.answer().text()
}

/// Runs the command with this standard error, which blocks as usual.
fn blocking(command: &mut Command, writer: io::PipeWriter) -> Child {
    // SAFETY: fcntl(2) takes numbers here.
    let status = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, 0) };
    assert_eq!(status, 0);
    let child = command.stderr(writer).spawn().expect("it starts");
    // The command holds the end that is written to.
    command.stderr(Stdio::null());
    child
}

/// A pseudo-terminal: the side of the screen, and the side of the programs.
fn terminal() -> Option<(OwnedFd, OwnedFd)> {
    let (mut master, mut slave) = (0, 0);
    // SAFETY: openpty(3) writes two numbers; the other arguments may be null.
    let status = unsafe {
        libc::openpty(&mut master, &mut slave, ptr::null_mut(), ptr::null_mut(), ptr::null_mut())
    };
    if status != 0 {
        support::skip("there are no pseudo-terminals here");
        return None;
    }
    // A copy in the server would keep the terminal alive.
    // SAFETY: fcntl(2) takes numbers here.
    unsafe { libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: openpty(3) has just opened both for us.
    Some(unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) })
}

/// Runs the command as a shell on the terminal would.
fn on_terminal(command: &mut Command, slave: OwnedFd) -> Child {
    let copy = || Stdio::from(slave.try_clone().expect("a copy"));
    command.stdin(copy()).stdout(copy()).stderr(copy());
    // SAFETY: setsid(2) and ioctl(2) may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    let child = command.spawn().expect("it starts");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    child
}

fn kill(child: &Child, signal: i32) {
    // SAFETY: kill(2) takes two numbers; the process has not been waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// An address that is free, for servers whose lines cannot be read. Each is given away once.
fn free_address() -> SocketAddr {
    static GIVEN: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
    let start = Instant::now();
    loop {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("one");
        let mut given = GIVEN.lock().expect("no panic");
        if !given.contains(&address) {
            given.push(address);
            return address;
        }
        assert!(start.elapsed() < PATIENCE);
    }
}

fn temporary(name: &str) -> PathBuf {
    env::temp_dir().join(format!("millrace-{}-{name}.log", process::id()))
}
