//! Cases in which time passes: what is sent when, and what comes back when.
//!
//! The server runs with short time-outs, told apart by their lengths. A new case is one line.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::cases::{BODY, CHUNKED, EVENT, POST};
use super::support::{Client, Server};

const HEADER_MS: u64 = 400;
const BODY_MS: u64 = 800;
const IDLE_MS: u64 = 1_200;
/// How late an end may come: the timers' granularity, and a busy machine.
const LATE_MS: u64 = 1_500;

struct Case {
    name: &'static str,
    /// A pause in milliseconds, then bytes.
    sends: Vec<(u64, String)>,
    statuses: &'static [u16],
    /// When the connection ends, in milliseconds after the first byte; `None` where it stays open.
    ends_ms: Option<u64>,
    counted: u64,
}

#[rustfmt::skip] // A line a case.
fn cases() -> Vec<Case> {
    let case = |name, sends: &[(u64, &str)], statuses, ends_ms, counted| {
        let sends = sends.iter().map(|&(pause_ms, bytes)| (pause_ms, bytes.to_owned())).collect();
        Case { name, sends, statuses, ends_ms, counted }
    };
    let head = format!("{POST}Content-Length: 25\r\n\r\n");
    let trickled = |text: &str, pause_ms| -> Vec<(u64, String)> { text.chars().map(|c| (pause_ms, c.to_string())).collect() };
    vec![
        // "whole header section 10 s … from the first byte (408, then close)"
        case("silence within the request line", &[(0, "POST /ev")], &[408], Some(HEADER_MS), 0),
        case("silence within a field", &[(0, POST)], &[408], Some(HEADER_MS), 0),
        case("silence before the last LF", &[(0, &format!("{POST}\r"))], &[408], Some(HEADER_MS), 0),
        case("the second request", &[(0, EVENT), (100, "P")], &[200, 408], Some(100 + HEADER_MS), 1),
        case("behind others in a pipeline", &[(0, &format!("{EVENT}{EVENT}{POST}"))], &[200, 200, 408], Some(HEADER_MS), 2),
        Case { name: "a trickle starts no time anew", sends: trickled(POST, 30), statuses: &[408], ends_ms: Some(HEADER_MS), counted: 0 },
        case("a slow head in time", &[(0, POST), (300, "Content-Length: 25\r\n\r\n"), (100, BODY)], &[200], None, 1),
        // "whole body 30 s from the first byte"
        case("silence before the body", &[(0, &head)], &[408], Some(BODY_MS), 0),
        case("silence within the body", &[(0, &head), (100, "{")], &[408], Some(BODY_MS), 0),
        case("a slow head, then a slow body", &[(0, POST), (300, "Content-Length: 25\r\n\r\n"), (700, BODY)], &[200], None, 1),
        case("silence within a chunk's size", &[(0, CHUNKED), (0, "1")], &[408], Some(BODY_MS), 0),
        case("silence within a chunk", &[(0, CHUNKED), (0, "19\r\n{")], &[408], Some(BODY_MS), 0),
        case("silence within the trailer section", &[(0, CHUNKED), (0, &format!("19\r\n{BODY}\r\n0\r\nX"))], &[408], Some(BODY_MS), 0),
        Case { name: "a trickled body", sends: [vec![(0, head.clone())], trickled(BODY, 60)].concat(), statuses: &[408], ends_ms: Some(BODY_MS), counted: 0 },
        case("silence after 100 Continue", &[(0, &format!("{POST}Content-Length: 25\r\nExpect: 100-continue\r\n\r\n"))], &[100, 408], Some(BODY_MS), 0),
        // "idle keep-alive 75 s": closed in silence
        case("nothing at all", &[], &[], Some(IDLE_MS), 0),
        case("nothing more", &[(0, EVENT)], &[200], Some(IDLE_MS), 1),
        case("now and then", &[(0, EVENT), (900, EVENT), (900, EVENT)], &[200; 3], Some(1_800 + IDLE_MS), 3),
        case("empty lines are no request", &[(0, &format!("{EVENT}\r\n\n\r\n"))], &[200], Some(IDLE_MS), 1),
    ]
}

fn run(address: SocketAddr, case: &Case) {
    let mut client = Client::connect(address).expect("the server accepts");
    let start = Instant::now();
    for (pause_ms, bytes) in &case.sends {
        thread::sleep(Duration::from_millis(*pause_ms));
        client.send(bytes.as_bytes());
    }
    for &status in case.statuses {
        assert_eq!(client.answer().status, status, "{}", case.name);
    }
    check_end(case, &mut client, start);
}

fn check_end(case: &Case, client: &mut Client, start: Instant) {
    let Some(ends_ms) = case.ends_ms else {
        client.send(EVENT.as_bytes());
        assert_eq!(client.answer().status, 200, "{}", case.name);
        return;
    };
    assert!(client.is_closed(), "{}", case.name);
    let elapsed_ms = start.elapsed().as_millis() as u64;
    assert!((ends_ms..ends_ms + LATE_MS).contains(&elapsed_ms), "{}: {elapsed_ms} ms", case.name);
}

#[test]
fn every_timed_case() {
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let [header, body, idle] = [HEADER_MS, BODY_MS, IDLE_MS].map(seconds);
    let arguments = ["--header-timeout", &header, "--body-timeout", &body, "--idle-timeout", &idle];
    let server = Server::start(&arguments);
    let (address, cases) = (server.address, cases());
    thread::scope(|scope| {
        for case in &cases {
            scope.spawn(move || run(address, case));
        }
    });
    let open = cases.iter().filter(|case| case.ends_ms.is_none()).count() as u64;
    let counted: u64 = cases.iter().map(|case| case.counted).sum();
    assert_eq!(server.count(), counted + open);
}
