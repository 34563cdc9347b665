//! A server that stands still, and clients that stop reading.
//!
//! A deadline that passes while the server does not run is no fault of the client. Each case is
//! a server that is stopped beyond its time-outs while whole requests arrive.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::cases::{BODY, EVENT, POST};
use super::support::{Client, Failure, Server, get, undisturbed};

const TIMEOUT: Duration = Duration::from_millis(1_000);
/// Clients of each kind.
const CLIENTS: usize = 100;

/// What clients have sent before the server stops, what they send while it stands still, and how many
/// answers they get.
#[rustfmt::skip] // One line for each case.
fn stopped() -> Vec<(&'static str, String, String, usize)> {
    let large = format!("{{\"userId\":\"a\",\"value\":1,\"x\":\"{}\"}}", "y".repeat(60_000));
    let head = format!("{POST}Content-Length: {}\r\n\r\n", large.len());
    vec![
        ("a fresh connection", String::new(), EVENT.into(), 1),
        ("half a head", POST.into(), format!("Content-Length: {}\r\n\r\n{BODY}", BODY.len()), 1),
        ("half a body", format!("{POST}Content-Length: {}\r\n\r\n{{", BODY.len()), BODY[1..].into(), 1),
        ("a body of several turns", head, large, 1),
        ("more requests than a turn takes", String::new(), EVENT.repeat(500), 500),
    ]
}

#[test]
fn what_has_arrived_is_read_before_a_time_out_is_judged() {
    let server = Server::start(&[
        "--workers",
        "1",
        "--idle-timeout",
        "1",
        "--header-timeout",
        "1",
        "--body-timeout",
        "1",
    ]);
    undisturbed(TIMEOUT / 2, |pulse| {
        let cases = stopped();
        let mut clients: Vec<(usize, Client)> = Vec::new();
        for (number, (_, before, ..)) in cases.iter().enumerate() {
            for _ in 0..if number == 0 { 10 * CLIENTS } else { CLIENTS } {
                let mut client = server.connect();
                client.send(before.as_bytes());
                clients.push((number, client));
            }
        }
        pulse.beat();
        server.halt();
        for (number, client) in &mut clients {
            client.send(cases[*number].2.as_bytes());
        }
        pulse.beat();
        thread::sleep(TIMEOUT + TIMEOUT / 2);
        server.resume();
        let mut failures = Vec::new();
        for (number, client) in &mut clients {
            let (name, .., answers) = cases[*number];
            for _ in 0..answers {
                let status = client.try_answer(true).map(|answer| answer.status);
                if status != Some(200) {
                    failures.push((name, status));
                    break;
                }
            }
        }
        // The pause of the server is not one of the test.
        if failures.is_empty() { Ok(()) } else { Err(Failure::Wrong(format!("{failures:?}"))) }
    });
}

/// Connects with so little room for answers that the kernel takes little of one for the client.
fn connect_with_little_room(server: &Server) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Before it connects, because a window that was announced once is not taken back.
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&server.address.into()).expect("the server accepts");
    socket.set_nonblocking(true).expect("non-blocking");
    socket
}

/// Sends `requests` and reads for `reading`, then reads nothing more. Returns how long after the last
/// read the server closes the connection.
fn closed_after(server: &Server, requests: &str, reading: Duration) -> Duration {
    const CLOSED: &str = r#"millrace_connections_closed_total{reason="write_timeout"}"#;
    let before = server.metric(CLOSED);
    let mut socket = connect_with_little_room(server);
    let (mut sent, mut room) = (0, [0; 8 * 1024]);
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < reading || sent == 0 {
        sent += socket.write(&requests.as_bytes()[sent..]).unwrap_or(0);
        if reading > Duration::ZERO && matches!(socket.read(&mut room), Ok(1..)) {
            last = Instant::now();
        }
        thread::sleep(Duration::from_millis(5));
    }
    server.wait_until("it is closed", |server| {
        thread::sleep(Duration::from_millis(5));
        server.metric(CLOSED) == before + 1.0
    });
    last.elapsed()
}

/// "closed between 30 and 38 s after it last took 4 KiB", with a time-out of 2 s instead of 30, so
/// between 2 and 2.5 s.
#[test]
fn a_client_that_stops_reading_is_closed_soon_after() {
    let server = Server::start(&["--write-timeout", "2", "--idle-timeout", "20"]);
    let many = get("/metrics").repeat(2_000);
    let one = get("/");
    for (name, requests, reading_ms) in [
        ("nothing of many answers", &many, 0),
        ("nothing of an answer that the kernel has taken whole", &one, 0),
        ("for less than the time-out", &many, 500),
        ("for longer than the time-out", &many, 2_300),
    ] {
        undisturbed(Duration::from_millis(100), |pulse| {
            pulse.beat();
            let after = closed_after(&server, requests, Duration::from_millis(reading_ms));
            pulse.beat();
            match after.as_millis() {
                2_000..2_800 => Ok(()),
                late @ 2_800.. => Err(Failure::Late(format!("reads {name}: {late} ms"))),
                early => Err(Failure::Wrong(format!("reads {name}: {early} ms"))),
            }
        });
    }
}
