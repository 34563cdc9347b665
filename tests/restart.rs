//! Restarts under load: no connection refused, none lost, no event lost or counted twice.

#![allow(unsafe_code)] // Processes are signalled by their numbers.

mod support;

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use millrace::sys::passing;
use support::{Client, Server, Stats, event, get, post};

/// What the clients of a load have seen.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    /// Events answered `200`.
    answered: AtomicU64,
    connections: AtomicU64,
}

impl Load {
    /// One client: keep-alive, pipelining, chunked content, large lists, and short-lived connections in turn. Any refusal,
    /// any end of a connection and any other answer than `200` is a failure.
    fn client(&self, server: std::net::SocketAddr, number: usize) {
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            round += 1;
            let mut client = Client::connect(server).expect("no connection is refused");
            self.connections.fetch_add(1, Ordering::Relaxed);
            for i in 0..200 {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                let user = format!("user_{number}_{}", (round * 200 + i) % 1_000);
                let (request, count, events) = match number % 4 {
                    0 => (event(&user, 0.1), 1, 1),
                    1 => (event(&user, 0.1).repeat(16), 16, 16),
                    2 => (chunked(&user), 1, 1),
                    // Most restarts find such a list in the middle.
                    _ => (list(&user, 5_000), 1, 5_000),
                };
                client.send(request.as_bytes());
                for _ in 0..count {
                    assert_eq!(client.answer().status, 200);
                }
                self.answered.fetch_add(events, Ordering::Relaxed);
            }
        }
    }

    /// A reader: what was answered before the question is in every answer, and nothing goes back.
    fn reader(&self, server: std::net::SocketAddr) {
        let mut client = Client::connect(server).expect("no connection is refused");
        let mut last = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let answered = self.answered.load(Ordering::Acquire);
            client.send(get("/stats").as_bytes());
            let stats = Stats::parse(&client.answer().text());
            assert!(stats.events >= answered.max(last), "{stats:?} after {answered}, {last}");
            assert_eq!(stats.sum, Some(sum_of_tenths(stats.events)), "{stats:?}");
            last = stats.events;
        }
    }
}

/// Returns the sum of `count` times 0.1, rounded once. 0.1 is 0x1999999999999a times 2^-56.
fn sum_of_tenths(count: u64) -> f64 {
    let exact = u128::from(count) * 0x19_9999_9999_999a;
    // A conversion of an integer rounds once, and a power of two changes nothing.
    exact as f64 / (1u64 << 56) as f64
}

fn chunked(user: &str) -> String {
    let body = format!("{{\"userId\":\"{user}\",\"value\":0.1}}");
    let (start, end) = body.split_at(body.len() / 2);
    format!(
        "POST /event HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
        start.len(),
        end.len()
    )
}

/// A list of events, so large that it is read in slices.
fn list(user: &str, events: usize) -> String {
    post("/events", &format!("{{\"userId\":\"{user}\",\"value\":0.1}}\n").repeat(events))
}

#[test]
fn a_hundred_restarts_under_load_lose_nothing() {
    let mut server = Server::start(&["--workers", "2", "--max-batch-events", "5000"]);
    let address = server.address;
    let load = Load::default();
    let restarts = 100;
    thread::scope(|scope| {
        let _stop = StopOnDrop(&load.stop);
        for number in 0..9 {
            let load = &load;
            scope.spawn(move || load.client(address, number));
        }
        scope.spawn(|| load.reader(address));
        for restart in 0..restarts {
            let before = load.answered.load(Ordering::Relaxed);
            server.restart();
            server.wait_until("the load goes on", |_| {
                load.answered.load(Ordering::Relaxed) > before + 50
                    || load.stop.load(Ordering::Relaxed)
            });
            assert!(!load.stop.load(Ordering::Relaxed), "a client failed at restart {restart}");
        }
    });
    let answered = load.answered.into_inner();
    let stats = server.stop();
    assert_eq!((stats.events, stats.sum), (answered, Some(sum_of_tenths(answered))));
    assert!(stats.users <= 9_000);
    println!("{restarts} restarts, {answered} events, {:?} connections", load.connections);
}

/// Ends the load also when a test fails, whose scope would wait for it otherwise.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_request_in_pieces_goes_on_with_the_successor() {
    let mut server = Server::start(&["--workers", "1"]);
    let request = chunked("split");
    let mut client = server.connect();
    let pieces: Vec<&str> = request.split_inclusive(['\n', '{', 'v']).collect();
    for piece in &pieces {
        client.send(piece.as_bytes());
        server.restart();
    }
    assert_eq!(client.answer().status, 200);
    let mut deaf = server.connect();
    // More answers than the socket takes: what is left of them moves too.
    let requests = 40_000;
    let sender = {
        let mut stream = deaf.stream.try_clone().expect("a second handle");
        thread::spawn(move || {
            use std::io::Write;
            stream.write_all(get("/stats").repeat(requests).as_bytes()).expect("sent");
        })
    };
    server.wait_until("answers are stuck", |server| {
        server.metric(r#"millrace_connections{state="writing"}"#) == 1.0
    });
    server.restart();
    for _ in 0..requests {
        assert_eq!(Stats::parse(&deaf.answer().text()).events, 1);
    }
    sender.join().expect("no panic");
    assert_eq!(server.stop().events, 1);
}

#[test]
fn a_connection_that_waits_in_the_queue_is_served_by_the_successor() {
    let mut server = Server::start(&["--workers", "2"]);
    let mut clients: Vec<Client> = (0..300).map(|_| server.connect()).collect();
    server.restart();
    for client in &mut clients {
        client.send(event("a", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    drop(clients);
    server.wait_until("what the clients held is closed", |server| {
        server.metric("process_open_fds") < 50.0
    });
    assert_eq!(server.stop().events, 300);
}

#[test]
fn many_users_and_many_connections_move() {
    let mut server = Server::start(&["--workers", "2", "--max-users", "30000"]);
    let mut client = server.connect();
    for chunk in 0..30 {
        let requests: String = (0..1_000).map(|i| event(&format!("{chunk}-{i}"), 1.0)).collect();
        client.send(requests.as_bytes());
        (0..1_000).for_each(|_| assert_eq!(client.answer().status, 200));
    }
    let mut clients: Vec<Client> = (0..700).map(|_| server.connect()).collect();
    for _ in 0..2 {
        server.restart();
        for client in &mut clients {
            client.send(event("29-7", 1.0).as_bytes());
            assert_eq!(client.answer().status, 200);
        }
    }
    client.send(event("one more", 1.0).as_bytes());
    assert_eq!(client.answer().status, 507, "the limit of users moves with them");
    let stats = server.stop();
    assert_eq!((stats.events, stats.users), (31_400, 30_000));
}

/// A program that stands in the server's place, and that a test replaces by another.
struct Program {
    folder: PathBuf,
}

impl Program {
    fn new(name: &str) -> Program {
        let folder = std::env::temp_dir().join(format!("millrace-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::copy(env!("CARGO_BIN_EXE_millrace"), folder.join("millrace")).expect("a copy");
        Program { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("millrace")
    }

    /// As a package manager does: the new file takes the old one's name.
    fn replace(&self, script: &str) {
        let new = self.folder.join("new");
        fs::write(&new, script).expect("a script");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("executable");
        fs::rename(new, self.path()).expect("replaced");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_successor_that_cannot_go_on_changes_nothing() {
    let program = Program::new("fails");
    let mut command = Command::new(program.path());
    command.args(["--listen", "127.0.0.1:0", "--workers", "2"]).env_clear();
    command.stderr(std::process::Stdio::piped());
    let server = Server::run(&mut command);
    let mut client = server.connect();
    let _many: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    let mut half = server.connect();
    half.send(&event("half", 1.0).as_bytes()[..50]);
    let mut expected = 0;
    let original = env!("CARGO_BIN_EXE_millrace");
    for (script, why) in [
        ("#!/bin/sh\nexit 3\n".to_owned(), "does not start"),
        // Is ready, and never says anything else: its end is noticed at once, at one step or another.
        ("#!/bin/sh\nprintf '\\001\\000\\000\\000\\000' >&0\n".to_owned(), "no restart"),
        ("#!/bin/sh\nprintf 'garbage' >&0; sleep 1\n".to_owned(), "does not start"),
        // A limit of files that its options do not fit.
        (format!("#!/bin/sh\nulimit -n 40; exec {original} \"$@\"\n"), "does not start"),
        // One that has no room for the connections, when the workers have stopped already.
        (format!("#!/bin/sh\nulimit -n 110; exec {original} \"$@\"\n"), "cannot go on"),
    ] {
        program.replace(&script);
        server.signal(libc::SIGUSR2);
        let line = server.line_with("no restart");
        assert!(line.contains(why), "{script}: {line}");
        client.send(event("a", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
        expected += 1;
        assert_eq!(server.count(), expected);
    }
    half.send(&event("half", 1.0).as_bytes()[50..]);
    assert_eq!(half.answer().status, 200);
    assert_eq!(server.once(&post("/event", "{}")).status, 400);
    assert_eq!(server.stop().events, expected + 1);
}

#[test]
fn a_hang_up_is_noted_where_no_terminal_hangs_up() {
    let server = Server::start(&[]);
    server.signal(libc::SIGHUP);
    assert!(server.line_with("SIGHUP").contains("no file to be opened again"));
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
    assert_eq!(server.stop().events, 1);
}

/// Environment and descriptors of a process, as the kernel shows them.
fn traces(process: u32) -> (Vec<u8>, Vec<String>) {
    let environment = fs::read(format!("/proc/{process}/environ")).expect("readable");
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("readable");
    let kind = |entry: std::io::Result<fs::DirEntry>| {
        let target = fs::read_link(entry.expect("an entry").path()).unwrap_or_default();
        let target = target.to_string_lossy().replace(&process.to_string(), "self");
        // Sockets and pipes have numbers of their own.
        target.split('[').next().unwrap_or_default().to_owned()
    };
    let mut descriptors: Vec<String> = descriptors.map(kind).collect();
    descriptors.sort();
    (environment, descriptors)
}

#[test]
fn restarts_leave_no_trace() {
    let mut command = support::command(&["--workers", "2"]);
    command.env("MILLRACE_MAX_USERS", "1000").env("OTHER", "kept");
    let mut server = Server::run(&mut command);
    let before = traces(server.process_id());
    for _ in 0..10 {
        server.restart();
    }
    // The channel to the predecessor is closed when that has ended.
    server.wait_until("descriptors are as before", |server| {
        traces(server.process_id()).1 == before.1
    });
    let after = traces(server.process_id());
    assert_eq!(String::from_utf8_lossy(&after.0), String::from_utf8_lossy(&before.0));
    assert!(String::from_utf8_lossy(&after.0).contains("OTHER=kept"));
    assert_eq!(server.stop().events, 0);
}

/// The server, started by a shell after `preparation`.
fn after(preparation: &str, program: &Path) -> Server {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{preparation}; exec \"$0\" --listen 127.0.0.1:0 --workers 2")]);
    command.arg(program).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Server::run(&mut command)
}

#[test]
fn what_a_parent_leaves_behind_changes_no_restart() {
    for preparation in ["trap '' CHLD", "trap '' PIPE TERM USR1 USR2 XFSZ", "ulimit -f 0"] {
        let program = Program::new("inherits");
        let mut server = after(preparation, &program.path());
        assert_eq!(server.once(&event("a", 1.0)).status, 200);
        program.replace("#!/bin/sh\nexit 3\n");
        server.signal(libc::SIGUSR2);
        assert!(server.line_with("no restart").contains("has ended"), "{preparation}");
        program.replace(&format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_millrace")));
        for _ in 0..2 {
            server.restart();
            assert_eq!(server.count(), 1, "{preparation}");
        }
        assert_eq!(server.stop().events, 1, "{preparation}");
    }
}

#[test]
fn a_successor_is_the_first_to_end_when_memory_runs_out_until_it_serves() {
    let score = |process: u32| {
        let text = fs::read_to_string(format!("/proc/{process}/oom_score_adj")).expect("readable");
        text.trim().parse::<i32>().expect("a number")
    };
    let program = Program::new("memory");
    let mut server = after("echo 321 >/proc/self/oom_score_adj", &program.path());
    // The shell has become the server, and its score is inherited by what it starts.
    assert_eq!(score(server.process_id()), 321);
    server.restart();
    assert_eq!(score(server.process_id()), 321, "it is as worthy as its predecessor");
    // A predecessor that says no more than its greeting.
    let (mut ours, theirs) = UnixStream::pair().expect("a channel");
    let token = millrace::sys::token::Token::new().expect("a token");
    let hello = [&b"\x00\x10\x00\x00\x00millrace"[..], &[2, 0, 0, 0, 1, 0, 0, 0]].concat();
    let sent = passing::send(ours.as_fd(), &hello, &[token.as_fd()]).expect("sent");
    assert_eq!(sent, hello.len());
    let mut successor = Command::new("sh")
        .args(["-c", "exec \"$0\" --listen 127.0.0.1:0 --workers 1 3<&0 </dev/null"])
        .arg(env!("CARGO_BIN_EXE_millrace"))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    ours.read_exact(&mut [0; 5]).expect("it is ready");
    assert_eq!(score(successor.id()), 1000);
    drop(ours);
    assert_eq!(successor.wait().expect("it ends").code(), Some(1), "it never got the state");
    assert!(token.take().expect("a token"), "it has not taken the token");
    assert_eq!(server.stop().events, 0);
}

#[test]
fn a_restart_is_refused_where_the_service_would_end_with_the_process() {
    let program = env!("CARGO_BIN_EXE_millrace");
    for (script, place) in [
        ("exec \"$0\" --listen 127.0.0.1:0", "the first process"),
        ("\"$0\" --listen 127.0.0.1:0 & wait", "a child of the first process"),
    ] {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]);
        command.arg(program).env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output() {
            Ok(output) if output.status.success() => {}
            _ => return support::skip("this user cannot make a PID namespace"),
        }
        let server = Server::run(&mut command);
        let inside = descendant(server.process_id());
        assert_eq!(server.once(&event("a", 1.0)).status, 200);
        // SAFETY: kill(2) takes numbers.
        assert_eq!(unsafe { libc::kill(inside as i32, libc::SIGUSR2) }, 0);
        let line = server.line_with("no restart");
        assert!(line.contains("container ends with it"), "{place}: {line}");
        assert_eq!(server.count(), 1, "{place}");
    }
}

/// The process of the server below `process`, by its name.
fn descendant(process: u32) -> u32 {
    let children =
        fs::read_to_string(format!("/proc/{process}/task/{process}/children")).expect("readable");
    let name = fs::read_to_string(format!("/proc/{process}/comm")).expect("readable");
    if name.trim() == "millrace" {
        return process;
    }
    let child = children.split_whitespace().next().expect("a child");
    descendant(child.parse().expect("a number"))
}

#[test]
fn a_stop_while_the_successor_hangs_happens_at_once() {
    let program = Program::new("hangs");
    let server = after("true", &program.path());
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
    program.replace("#!/bin/sh\necho $$ >\"${0%/*}/id\"; exec sleep 1000\n");
    server.signal(libc::SIGUSR2);
    let id = program.folder.join("id");
    support::eventually("the successor hangs", || {
        fs::read_to_string(&id).is_ok_and(|text| text.ends_with('\n'))
    });
    let successor: i32 = fs::read_to_string(id).expect("an id").trim().parse().expect("a number");
    server.signal(libc::SIGUSR2);
    assert!(server.line_with("restart").contains("restarting"));
    assert!(server.line_with("restart").contains("under way already"));
    // Long before its patience with the successor ends.
    server.signal(libc::SIGTERM);
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(lines.iter().any(|line| line.contains("the hand-over is given up")), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.contains("\"totalRequests\":1,")), "{lines:?}");
    // SAFETY: kill(2) takes numbers, and signal 0 is none.
    assert_eq!(unsafe { libc::kill(successor, 0) }, -1, "the successor was ended");
}

#[test]
fn connections_that_hold_many_bytes_move_after_the_service() {
    let mut server = Server::start(&["--workers", "2", "--max-body", "8M"]);
    // A string that is no member of the contract, of this length.
    let body = |bytes: usize| {
        format!("{{\"userId\":\"a\",\"value\":1,\"more\":\"{}\"}}", "x".repeat(bytes))
    };
    let chunked = |body: &str| {
        let head = "POST /event HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let sizes = [1_000, 5_000, 60_000, 1_100_000, 5_000_000];
    let requests = sizes.iter().flat_map(|&bytes| {
        [post("/event", &body(bytes)), chunked(&body(bytes))].map(|request| request.into_bytes())
    });
    let mut clients: Vec<(Client, Vec<u8>)> = requests
        .map(|request| {
            let mut client = server.connect();
            client.send(&request[..request.len() - 500]);
            (client, request)
        })
        .collect();
    server.wait_until("all requests are under way", |server| {
        server.metric(r#"millrace_connections{state="reading"}"#) == 10.0
            && server.metric("millrace_received_bytes_total") > 12_000_000.0
    });
    let lines = server.restart();
    let line = lines.iter().find(|line| line.contains("handed over")).expect("a line");
    assert!(line.contains(" of_them_late=8 "), "{line}");
    // Another restart waits until all of them are there.
    server.restart();
    for (client, request) in &mut clients {
        client.send(&request[request.len() - 500..]);
        assert_eq!(client.answer().status, 200, "{} bytes", request.len());
    }
    // A stop waits for those that are under way too.
    for (client, request) in &mut clients {
        client.send(&request[..request.len() - 500]);
    }
    server.wait_until("all requests are under way", |server| {
        server.metric(r#"millrace_connections{state="reading"}"#) == 10.0
            && server.metric("millrace_received_bytes_total") > 12_000_000.0
    });
    server.restart();
    server.signal(libc::SIGTERM);
    for (client, request) in &mut clients {
        client.send(&request[request.len() - 500..]);
        assert_eq!(client.answer().status, 200, "{} bytes", request.len());
    }
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(lines.last().is_some_and(|line| line.contains("\"totalRequests\":20,")), "{lines:?}");
}
