//! Accepting connections when there are too many clients, too few descriptors, or errors.

mod support;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use support::{Client, Server, event, eventually, get};

#[test]
fn above_the_limit_clients_are_told_to_come_back() {
    let server = Server::start(&["--max-connections", "3", "--workers", "2"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/health").as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    for _ in 0..50 {
        let mut refused = server.connect();
        let answer = refused.answer();
        assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
        assert!(answer.field("retry-after").is_some());
        assert!(refused.is_closed());
    }
    // Clients that do not wait for the answer are refused in the same way.
    for _ in 0..50 {
        let refused = server.connect();
        SockRef::from(&refused.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }
    clients.pop();
    let start = Instant::now();
    loop {
        let mut next = server.connect();
        next.send(event("a", 1.0).as_bytes());
        match next.try_answer(true).map(|answer| answer.status) {
            Some(200) => break,
            status => assert!(start.elapsed() < support::PATIENCE, "{status:?}"),
        }
    }
    clients[0].send(get("/health").as_bytes());
    assert_eq!(clients[0].answer().status, 200);
    server.wait_until("two are left, and the one that asks", |server| {
        let mut per_worker = Client::connect(server.address).expect("a connection");
        per_worker.send(get("/metrics").as_bytes());
        let Some(page) = per_worker.try_answer(true).filter(|answer| answer.status == 200) else {
            return false;
        };
        let page = page.text();
        let count = |worker| {
            page.contains(&format!("millrace_worker_connections{{worker=\"{worker}\"}} 1\n"))
        };
        page.lines().filter(|line| line.starts_with("millrace_worker_connections{")).count() == 2
            && (count(0) || count(1))
    });
}

#[test]
fn running_out_of_descriptors_neither_spins_nor_kills() {
    let server = Server::start(&["--workers", "1"]);
    // The server does not notice, so its own limit of connections is too high.
    server.limit_descriptors(40);
    let mut clients: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    wait_until_it_rests(&server, "without descriptors");
    // A client that was accepted is served.
    clients[0].send(event("a", 1.0).as_bytes());
    assert_eq!(clients[0].answer().status, 200);
    drop(clients);
    server.wait_until("it accepts again", |server| {
        let Ok(mut client) = Client::connect(server.address) else { return false };
        client.send(get("/health").as_bytes());
        client.try_answer(true).is_some_and(|answer| answer.status == 200)
    });
    assert_eq!(server.count(), 1);
}

/// Returns the processor time that the server has used, in ticks of 10 ms.
fn processor_ticks(server: &Server) -> u64 {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", server.process_id())).expect("proc(5)");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum()
}

/// Waits for half a second in which the server uses less than a fifth of a processor. A server that
/// spins never does.
fn wait_until_it_rests(server: &Server, what: &str) {
    eventually(&format!("{what} it does not spin"), || {
        let before = processor_ticks(server);
        thread::sleep(Duration::from_millis(500));
        processor_ticks(server) - before < 10
    });
}

/// Starts the server under strace(1), which makes calls of accept4(2) fail. Returns `None` if strace
/// is not installed.
fn start_with_failing_accept(error: &str, which: &str) -> Option<Server> {
    let is_there = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !is_there.is_ok_and(|status| status.success()) {
        support::skip("strace is not installed, or is not allowed to trace");
        return None;
    }
    // The tracer is detached, so the child is the server itself and gets the signals.
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=accept4", "-e"]);
    command.arg(format!("inject=accept4:error={error}{which}"));
    command.arg(env!("CARGO_BIN_EXE_millrace")).args(["--listen", "127.0.0.1:0", "--workers", "1"]);
    command.env("MILLRACE_LOG_LEVEL", "error").stderr(std::process::Stdio::piped());
    Some(Server::run(&mut command))
}

#[test]
fn errors_of_accept_are_survived_and_counted() {
    for error in ["ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPERM", "EPROTO"] {
        let Some(server) = start_with_failing_accept(error, ":when=1..3") else { return };
        // A server without descriptors may answer 503.
        server.wait_until(error, |server| server.once(&event("a", 1.0)).status == 200);
        assert!(server.metric("millrace_accept_errors_total") >= 1.0, "{error}");
        assert_eq!(server.stop().events, 1, "{error}");
    }
}

#[test]
fn an_error_that_stays_neither_spins_nor_keeps_the_server_from_stopping() {
    for error in ["EPERM", "EMFILE"] {
        let Some(server) = start_with_failing_accept(error, "") else { return };
        let client = server.connect();
        wait_until_it_rests(&server, error);
        assert_eq!(server.stop().events, 0, "{error}");
        drop(client);
    }
}
