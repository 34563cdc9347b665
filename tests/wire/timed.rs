//! Cases in which time passes: when bytes are sent, and when answers must come back.
//!
//! The server runs with short time-outs, which differ in length. A new case is one line. A case is
//! tried again if the machine was too busy for it (`support::undisturbed`).

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::cases::{BODY, CHUNKED, EVENT, POST};
use super::support::{Client, Failure, PATIENCE, Server, undisturbed};

const HEADER_MS: u64 = 400;
const BODY_MS: u64 = 800;
const IDLE_MS: u64 = 1_200;
/// How late an end may come. Less than what lies between two of the time-outs, so that an end at the
/// wrong one of them is late.
const LATE_MS: u64 = 350;
/// How late a client may send. Less than what lies between the pauses of a case and its time-outs.
const STALL_MS: u64 = 80;

/// The pause between two bytes of a trickle.
const TRICKLE_MS: u64 = 30;

struct Case {
    name: &'static str,
    /// A pause in milliseconds, then bytes.
    sends: Vec<(u64, String)>,
    /// Sent again and again after that, every [`TRICKLE_MS`], until an answer comes.
    trickle: &'static str,
    statuses: &'static [u16],
    /// When the connection ends, in milliseconds after the first byte; `None` where it stays open.
    ends_ms: Option<u64>,
}

#[rustfmt::skip] // One line for each case.
fn cases() -> Vec<Case> {
    let case = |name, sends: &[(u64, &str)], statuses, ends_ms| {
        let sends = sends.iter().map(|&(pause_ms, bytes)| (pause_ms, bytes.to_owned())).collect();
        Case { name, sends, trickle: "", statuses, ends_ms }
    };
    let head = format!("{POST}Content-Length: 25\r\n\r\n");
    let trickled = |name, start: &str, trickle, ends_ms| Case { trickle, ..case(name, &[(0, start)], &[408], Some(ends_ms)) };
    vec![
        // "whole header section 10 s … from the first byte (408, then close)"
        case("silence within the request line", &[(0, "POST /ev")], &[408], Some(HEADER_MS)),
        case("silence within a field", &[(0, POST)], &[408], Some(HEADER_MS)),
        case("silence before the last LF", &[(0, &format!("{POST}\r"))], &[408], Some(HEADER_MS)),
        case("the second request", &[(0, EVENT), (100, "P")], &[200, 408], Some(100 + HEADER_MS)),
        case("behind others in a pipeline", &[(0, &format!("{EVENT}{EVENT}{POST}"))], &[200, 200, 408], Some(HEADER_MS)),
        trickled("a trickled request line", "POST /", "x", HEADER_MS),
        trickled("a trickled field", &format!("{POST}X: "), "x", HEADER_MS),
        case("a slow head in time", &[(0, POST), (300, "Content-Length: 25\r\n\r\n"), (100, BODY)], &[200], None),
        // "whole body 30 s from the first byte"
        case("silence before the body", &[(0, &head)], &[408], Some(BODY_MS)),
        case("silence within the body", &[(0, &head), (100, "{")], &[408], Some(BODY_MS)),
        case("a slow head, then a slow body", &[(0, POST), (300, "Content-Length: 25\r\n\r\n"), (700, BODY)], &[200], None),
        case("silence within a chunk's size", &[(0, CHUNKED), (0, "1")], &[408], Some(BODY_MS)),
        case("silence within a chunk", &[(0, CHUNKED), (0, "19\r\n{")], &[408], Some(BODY_MS)),
        case("silence within the trailer section", &[(0, CHUNKED), (0, &format!("19\r\n{BODY}\r\n0\r\nX"))], &[408], Some(BODY_MS)),
        trickled("a trickled body", &format!("{POST}Content-Length: 2500\r\n\r\n"), " ", BODY_MS),
        trickled("a trickled chunk", &format!("{CHUNKED}1000\r\n"), " ", BODY_MS),
        trickled("trickled chunks", CHUNKED, "1\r\n \r\n", BODY_MS),
        case("silence after 100 Continue", &[(0, &format!("{POST}Content-Length: 25\r\nExpect: 100-continue\r\n\r\n"))], &[100, 408], Some(BODY_MS)),
        // "idle keep-alive 75 s": closed in silence
        case("nothing at all", &[], &[], Some(IDLE_MS)),
        case("nothing more", &[(0, EVENT)], &[200], Some(IDLE_MS)),
        case("now and then", &[(0, EVENT), (900, EVENT), (900, EVENT)], &[200; 3], Some(1_800 + IDLE_MS)),
        case("empty lines are no request", &[(0, &format!("{EVENT}\r\n\n\r\n"))], &[200], Some(IDLE_MS)),
    ]
}

/// Plays a case once, and adds the events that were counted.
fn attempt(address: SocketAddr, case: &Case, counted: &AtomicU64) -> Result<(), Failure> {
    let start = Instant::now();
    let mut client = Client::connect(address).expect("the server accepts");
    let (mut due_ms, mut in_time) = (0, true);
    for (pause_ms, bytes) in &case.sends {
        thread::sleep(Duration::from_millis(*pause_ms));
        client.send(bytes.as_bytes());
        due_ms += pause_ms;
        in_time &= start.elapsed() <= Duration::from_millis(due_ms + STALL_MS);
    }
    let failure = |what: String| {
        let what = format!("{}: {what}", case.name);
        Err(if in_time { Failure::Wrong(what) } else { Failure::Late(what) })
    };
    let expect = |client: &mut Client, expected: u16| {
        let status = client.try_answer(true).map(|answer| answer.status);
        counted.fetch_add(u64::from(status == Some(200)), Ordering::Relaxed);
        if status == Some(expected) {
            return Ok(());
        }
        failure(format!("{status:?} instead of {expected}"))
    };
    if !case.trickle.is_empty() {
        trickle(&mut client, case.trickle);
    }
    for &status in case.statuses {
        expect(&mut client, status)?;
    }
    let Some(ends_ms) = case.ends_ms else {
        client.send(EVENT.as_bytes());
        return expect(&mut client, 200);
    };
    if !client.is_closed() {
        return failure("more bytes instead of the end".to_owned());
    }
    let elapsed_ms = start.elapsed().as_millis() as u64;
    if elapsed_ms < ends_ms {
        return failure(format!("ends after {elapsed_ms} ms instead of {ends_ms}"));
    }
    if elapsed_ms > ends_ms + LATE_MS {
        return Err(Failure::Late(format!("{}: {elapsed_ms} ms", case.name)));
    }
    Ok(())
}

/// Sends `text` again and again until the server sends something or ends the connection.
fn trickle(client: &mut Client, text: &str) {
    let start = Instant::now();
    client.stream.set_read_timeout(Some(Duration::from_millis(TRICKLE_MS))).expect("set");
    while client.stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
        assert!(start.elapsed() < PATIENCE, "each piece starts the time anew");
        client.send(text.as_bytes());
    }
    client.stream.set_read_timeout(Some(PATIENCE)).expect("set");
}

#[test]
fn every_timed_case() {
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let [header, body, idle] = [HEADER_MS, BODY_MS, IDLE_MS].map(seconds);
    let arguments = ["--header-timeout", &header, "--body-timeout", &body, "--idle-timeout", &idle];
    let server = Server::start(&arguments);
    let (address, cases, counted) = (server.address, cases(), AtomicU64::new(0));
    thread::scope(|scope| {
        for case in &cases {
            let counted = &counted;
            scope.spawn(move || undisturbed(Duration::MAX, |_| attempt(address, case, counted)));
        }
    });
    assert_eq!(server.count(), counted.into_inner());
}
