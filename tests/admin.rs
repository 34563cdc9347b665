//! `--admin-listen`: what is served where, and that clients and operators do not get into each
//! other's way.

#![allow(unsafe_code)] // A thread of the server is stopped by ptrace(2).

mod support;

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::ptr::null_mut;

use support::{Answer, Client, Server, Stats, TempDir, event, eventually, get};

/// A server with an address for operators.
struct Doors {
    server: Server,
    operators: SocketAddr,
}

impl Doors {
    fn start(arguments: &[&str]) -> Doors {
        let port = free_port();
        let operators = format!("127.0.0.1:{port}");
        let arguments = [&["--admin-listen", &operators], arguments].concat();
        Doors { server: Server::start(&arguments), operators: operators.parse().expect("one") }
    }

    fn operator(&self) -> Client {
        Client::connect(self.operators).expect("operators get in")
    }

    fn ask(&self, request: &str) -> Answer {
        let mut operator = self.operator();
        operator.send(request.as_bytes());
        operator.answer()
    }

    fn metric(&self, sample: &str) -> f64 {
        let page = self.ask(&get("/metrics")).text();
        let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{sample}:\n{page}")).parse().expect("a number")
    }
}

/// Returns a port on which no process listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.local_addr().expect("an address").port()
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn each_address_has_its_routes() {
    let doors = Doors::start(&["--allow-reset", "--workers", "2"]);
    assert_eq!(doors.server.once(&event("a", 2.5)).status, 200);
    for (request, clients, operators) in [
        (get("/stats"), 200, 200),
        (get("/health"), 200, 200),
        (get("/metrics"), 404, 200),
        (get("/"), 404, 200),
        (get("/openapi.json"), 404, 200),
        (event("b", 1.0), 200, 404),
        (post("/events"), 200, 404),
        (post("/stats"), 405, 405),
        (post("/metrics"), 404, 405),
        (get("/event"), 405, 404),
        (get("/nothing"), 404, 404),
        (post("/live"), 404, 405),
        ("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(), 204, 204),
    ] {
        assert_eq!(doors.server.once(&request).status, clients, "{request}");
        assert_eq!(doors.ask(&request).status, operators, "{request}");
    }
    let nothing = doors.ask(&get("/event")).text();
    assert!(nothing.contains("try /stats, /health, /metrics or /."), "{nothing}");
    assert_eq!(doors.ask(&get("/stats")).text(), doors.server.stats());
    assert_eq!(doors.server.count(), 2);
    assert_eq!(doors.server.once(&post("/reset")).status, 404);
    assert_eq!(doors.ask(&post("/reset")).status, 200);
    assert_eq!(doors.server.count(), 0);
    assert_eq!(doors.server.stop().events, 0);
}

#[test]
fn operators_get_in_when_clients_have_taken_every_place() {
    let doors = Doors::start(&["--max-connections", "4", "--workers", "2"]);
    let mut clients: Vec<Client> = (0..4).map(|_| doors.server.connect()).collect();
    for client in &mut clients {
        client.send(event("a", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(doors.server.once(&get("/stats")).status, 503);
    assert_eq!(doors.metric("millrace_events_total"), 4.0);
    assert_eq!(doors.metric("millrace_connections_closed_total{reason=\"overload\"}"), 1.0);
    assert_eq!(doors.metric("millrace_admin_connections"), 1.0);
    assert!(doors.metric("millrace_admin_connections_accepted_total") >= 3.0);
    let route = |label, code| {
        doors.metric(&format!("millrace_http_requests_total{{route=\"{label}\",code=\"{code}\"}}"))
    };
    assert!(route("metrics", 200) >= 4.0);
    assert_eq!(route("event", 200), 4.0);
    assert_eq!(doors.server.stop().events, 4);
}

#[test]
fn operators_are_answered_while_a_worker_is_stopped() {
    let doors = Doors::start(&["--workers", "1"]);
    assert_eq!(doors.server.once(&event("a", 1.0)).status, 200);
    let Some(worker) = StoppedThread::stop(&doors.server, "worker-0") else {
        return support::skip("ptrace(2) is not allowed here");
    };
    // The worker accepts nothing and answers nothing now.
    let mut client = doors.server.connect();
    client.send(event("a", 1.0).as_bytes());
    assert_eq!(doors.metric("millrace_events_total"), 1.0);
    assert_eq!(doors.ask(&get("/health")).status, 200);
    assert_eq!(doors.ask(&get("/")).status, 200);
    worker.resume();
    assert_eq!(client.answer().status, 200);
    assert_eq!(doors.server.stop().events, 2);
}

/// A thread of the server that a debugger has stopped.
struct StoppedThread(i32);

impl StoppedThread {
    /// Stops the thread with this name. Returns `None` where that is not allowed.
    fn stop(server: &Server, name: &str) -> Option<StoppedThread> {
        let tasks = format!("/proc/{}/task", server.process_id());
        let is_named = |id: &i32| {
            let name_of = fs::read_to_string(format!("{tasks}/{id}/comm"));
            name_of.is_ok_and(|it| it.trim() == name)
        };
        let ids = fs::read_dir(&tasks).expect("the threads").flatten();
        let mut ids = ids.filter_map(|task| task.file_name().to_str()?.parse().ok());
        let id: i32 = ids.find(is_named).expect("a thread of this name");
        let nothing = null_mut::<libc::c_void>();
        for request in [libc::PTRACE_SEIZE, libc::PTRACE_INTERRUPT] {
            // SAFETY: these requests of ptrace(2) read and write no memory of this process.
            if unsafe { libc::ptrace(request, id, nothing, nothing) } != 0 {
                return None;
            }
        }
        let mut status = 0;
        // SAFETY: waitpid(2) writes one number, to where one lives.
        assert_eq!(unsafe { libc::waitpid(id, &mut status, libc::__WALL) }, id);
        assert!(libc::WIFSTOPPED(status));
        Some(StoppedThread(id))
    }

    /// Lets it go on.
    fn resume(self) {
        let nothing = null_mut::<libc::c_void>();
        // SAFETY: as above; the thread is stopped, and this thread has stopped it.
        let status = unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, nothing, nothing) };
        assert_eq!(status, 0);
    }
}

#[test]
fn a_restart_hands_over_both_addresses_with_their_connections() {
    let mut doors = Doors::start(&["--workers", "2", "--allow-reset"]);
    assert_eq!(doors.server.once(&event("a", 1.0)).status, 200);
    let mut idle = doors.operator();
    idle.send(get("/health").as_bytes());
    assert_eq!(idle.answer().status, 200);
    // One connection is in the middle of a request.
    let mut halfway = doors.operator();
    let request = get("/stats");
    let (begin, end) = request.split_at(9);
    halfway.send(begin.as_bytes());
    doors.metric("millrace_events_total");
    let lines = doors.server.restart();
    let address = format!(", for operators on http://{}", doors.operators);
    assert!(lines.iter().any(|line| line.ends_with(&address)), "{lines:?}");
    halfway.send(end.as_bytes());
    assert_eq!(halfway.answer().text(), doors.server.stats());
    idle.send(post("/reset").as_bytes());
    assert_eq!(idle.answer().status, 200);
    assert_eq!(doors.metric("millrace_events_total"), 0.0);
    doors.server.restart();
    assert_eq!(doors.ask(&get("/health")).status, 200);
    doors.server.stop();
    assert!(Client::connect(doors.operators).is_err(), "no process listens any more");
}

#[test]
fn operators_are_served_while_requests_of_clients_are_in_flight_at_a_stop() {
    let doors = Doors::start(&["--workers", "1"]);
    let mut client = doors.server.connect();
    let request = event("a", 1.0);
    client.send(&request.as_bytes()[..20]);
    eventually("the request is in flight", || {
        doors.metric("millrace_connections{state=\"reading\"}") == 1.0
    });
    doors.server.signal(libc::SIGTERM);
    eventually("operators see the stop", || doors.ask(&get("/health")).status == 503);
    assert_eq!(doors.metric("millrace_events_total"), 0.0);
    client.send(&request.as_bytes()[20..]);
    assert_eq!(client.answer().status, 200);
    let (status, lines) = doors.server.wait();
    assert_eq!(status.code(), Some(0), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.contains("\"totalRequests\":1")), "{lines:?}");
}

#[test]
fn an_address_in_use_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    let output = support::command(&["--admin-listen", &address]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("listens there already") && said.contains("--admin-listen"), "{said}");
}

#[test]
fn a_check_names_both_addresses() {
    let arguments = ["--check", "--admin-listen", "127.0.0.1:19"];
    let output = support::command(&arguments).stdout(Stdio::piped()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(" on 127.0.0.1:0, for operators on 127.0.0.1:19\n"), "{said}");
}

/// The server with two listening sockets passed as a service manager does, with these names.
fn activated(sockets: [&TcpListener; 2], names: &str, arguments: &[&str]) -> Command {
    let [first, second] = sockets.map(|it| OwnedFd::from(it.try_clone().expect("a handle")));
    let mut command = Command::new("sh");
    // Only the process itself knows the id that LISTEN_PID must name.
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 4<&1 </dev/null >/dev/null"]);
    command.arg(env!("CARGO_BIN_EXE_millrace")).args(arguments);
    command.env_clear().env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names);
    assert!(first.as_raw_fd() > 2);
    command.stdin(Stdio::from(first)).stdout(Stdio::from(second)).stderr(Stdio::piped());
    command
}

#[test]
fn a_service_manager_passes_both_sockets_by_their_names() {
    let [first, second] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("bound"));
    let [clients, operators] = [&first, &second].map(|it| it.local_addr().expect("an address"));
    for (sockets, names) in
        [([&first, &second], "millrace.socket:admin"), ([&second, &first], "admin:http")]
    {
        let mut command = activated(sockets, names, &["--admin-listen", "127.0.0.1:1"]);
        let server = Server::run(&mut command);
        assert_eq!(server.address, clients);
        let doors = Doors { server, operators };
        assert_eq!(doors.metric("millrace_events_total"), 0.0);
        assert_eq!(doors.server.once(&get("/metrics")).status, 404);
        doors.server.stop();
    }
    for (names, arguments, words) in [
        ("a:b", &["--admin-listen", "127.0.0.1:1"][..], "FileDescriptorName=admin"),
        ("admin:admin", &["--admin-listen", "127.0.0.1:1"], "FileDescriptorName=admin"),
        ("a:admin", &[], "give --admin-listen as well"),
    ] {
        let output = activated([&first, &second], names, arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_reset_by_an_operator_is_kept_in_the_state_directory() {
    let directory = TempDir::new("admin");
    let state = directory.path().join("state");
    let state = state.to_str().expect("a path");
    for fsync in ["everysec", "always"] {
        let arguments = ["--workers", "2", "--allow-reset", "--state", state, "--fsync", fsync];
        let mut doors = Doors::start(&arguments);
        assert_eq!(doors.ask(&post("/reset")).status, 200);
        assert_eq!(doors.server.once(&event("a", 1.0)).status, 200);
        assert_eq!(doors.ask(&post("/reset")).status, 200);
        assert_eq!(doors.server.once(&event("b", 2.0)).status, 200);
        doors.server.restart();
        assert_eq!(doors.metric("millrace_events_total"), 1.0);
        doors.server.signal(libc::SIGKILL);
        doors.server.wait();
        let doors = Doors::start(&arguments);
        assert_eq!(Stats::parse(&doors.ask(&get("/stats")).text()).sum, Some(2.0));
        assert_eq!(doors.server.stop().events, 1);
    }
}

#[test]
fn a_restart_that_fails_leaves_operators_where_they_were() {
    let directory = TempDir::new("admin-restart");
    let program = directory.path().join("millrace");
    let original = env!("CARGO_BIN_EXE_millrace");
    let replace = |script: &str| {
        let new = directory.path().join("new");
        fs::write(&new, script).expect("a script");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("executable");
        fs::rename(new, &program).expect("replaced");
    };
    replace(&format!("#!/bin/sh\nexec -a \"$0\" {original} \"$@\"\n").replace("/sh", "/bash"));
    let operators: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().expect("an address");
    let mut command = Command::new(&program);
    command.args(["--listen", "127.0.0.1:0", "--workers", "2"]).env_clear();
    command.args(["--admin-listen", &operators.to_string()]).stderr(Stdio::piped());
    let doors = Doors { server: Server::run(&mut command), operators };
    let _many: Vec<Client> = (0..400).map(|_| doors.server.connect()).collect();
    let mut operator = doors.operator();
    operator.send(&get("/health").as_bytes()[..7]);
    doors.metric("millrace_events_total");
    // The successor has no room for the connections, when all threads have stopped already.
    replace(&format!("#!/bin/sh\nulimit -n 320; exec {original} \"$@\"\n"));
    doors.server.signal(libc::SIGUSR2);
    let line = doors.server.line_with("no restart");
    assert!(line.contains("cannot go on"), "{line}");
    operator.send(&get("/health").as_bytes()[7..]);
    assert_eq!(operator.answer().status, 200);
    assert_eq!(doors.metric("millrace_admin_connections"), 2.0);
    assert_eq!(doors.server.stop().events, 0);
}

#[test]
fn dashboards_are_fed_there_and_take_no_place_of_clients() {
    let doors = Doors::start(&["--max-connections", "1", "--workers", "1"]);
    let mut watcher = doors.operator();
    watcher.send(get("/live").as_bytes());
    let (mut received, mut room) = (String::new(), [0; 4096]);
    while !received.contains("data: {") {
        let count = watcher.stream.read(&mut room).expect("the stream goes on");
        assert!(count > 0, "{received}");
        received += str::from_utf8(&room[..count]).expect("text");
    }
    assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
    eventually("it watches", || doors.metric("millrace_connections{state=\"watching\"}") == 1.0);
    assert_eq!(doors.server.once(&event("a", 1.0)).status, 200);
    // Operators cannot take more places than they have, nor any of clients.
    let mut operators: Vec<Client> = Vec::new();
    eventually("their places are taken", || {
        let mut operator = doors.operator();
        operator.send(get("/health").as_bytes());
        let is_refused = operator.answer().status == 503;
        operators.push(operator);
        is_refused
    });
    assert!(operators.len() >= 100, "{}", operators.len());
    assert_eq!(doors.server.once(&get("/stats")).status, 200);
    drop(operators);
    assert_eq!(doors.server.stop().events, 1);
}
