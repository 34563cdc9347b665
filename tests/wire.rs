//! What happens on the wire: a line a case, each tried whole, byte by byte, and behind another
//! request in one pipeline.
//!
//! A case is the bytes that are sent, the statuses that come back, whether the connection is closed
//! then, and how many events were counted. `EVENT` stands for a whole, valid request.

mod support;

use support::{Client, Server};

const EVENT: &str =
    "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 25\r\n\r\n{\"userId\":\"u\",\"value\":1}\n";

/// What the connection is after the case.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    Open,
    Closed,
}
use After::{Closed, Open};

struct Case {
    bytes: String,
    statuses: &'static [u16],
    after: After,
    counted: u64,
}

/// A valid event's request with other field lines than its framing in front of the content.
fn framed(fields: &str, content: &str) -> String {
    format!("POST /event HTTP/1.1\r\nHost: t\r\n{fields}\r\n{content}")
}

const BODY: &str = "{\"userId\":\"u\",\"value\":1}\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

fn cases() -> Vec<Case> {
    let case = |bytes: String, statuses, after, counted| Case { bytes, statuses, after, counted };
    // Refused, closed, and nothing behind it is processed.
    let refused = |bytes: String, statuses| case(format!("{bytes}{EVENT}"), statuses, Closed, 0);
    let line = |line: &str, fields: &str| format!("{line}\r\n{fields}\r\n");
    let chunked = |coding: &str| framed(CHUNKED, coding);
    let large_field = format!("X: {}\r\n", "a".repeat(16 * 1024));
    let many_fields = "a: b\r\n".repeat(100);
    let long_target = format!("GET /{} HTTP/1.1", "a".repeat(8 * 1024));
    vec![
        // Framing, RFC 9112, 6.
        case(EVENT.into(), &[200], Open, 1),
        case(EVENT.repeat(3), &[200; 3], Open, 3),
        case(chunked(&format!("19\r\n{BODY}\r\n0\r\n\r\n")), &[200], Open, 1),
        case(
            chunked("5\r\n{\"use\r\n14\r\nrId\":\"u\",\"value\":1}\n\r\n0\r\n\r\n"),
            &[200],
            Open,
            1,
        ),
        case(
            chunked(&format!("19;a=\"b\";c\r\n{BODY}\r\n0\r\nX: y\r\nZ:\r\n\r\n")),
            &[200],
            Open,
            1,
        ),
        case(chunked(&format!("19\r\n{BODY}\r\n0\r\n\r\n")) + EVENT, &[200, 200], Open, 2),
        case(framed("Content-Length: 0\r\n", ""), &[400], Open, 0),
        case(framed("", ""), &[400], Open, 0),
        refused(framed("Content-Length: 25\r\nContent-Length: 26\r\n", BODY), &[400]),
        refused(framed("Content-Length: +25\r\n", BODY), &[400]),
        refused(framed("Content-Length: 0x19\r\n", BODY), &[400]),
        refused(framed("Content-Length: \r\n", BODY), &[400]),
        refused(framed("Content-Length: 25, 25\r\n", BODY), &[400]),
        refused(framed("Content-Length: 99999999999999999999\r\n", BODY), &[400]),
        refused(
            framed("Content-Length: 25\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            &[400],
        ),
        refused(
            framed("Transfer-Encoding: chunked\r\nContent-Length: 25\r\n", "0\r\n\r\n"),
            &[400],
        ),
        refused(framed("Transfer-Encoding: gzip\r\n", ""), &[400]),
        refused(framed("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), &[400]),
        refused(
            framed("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            &[400],
        ),
        refused(framed("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"), &[400]),
        refused(framed("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), &[400]),
        refused(framed("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), &[501]),
        refused(framed("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), &[501]),
        refused(format!("POST /event HTTP/1.0\r\n{CHUNKED}\r\n0\r\n\r\n"), &[400]),
        refused(chunked("x\r\n"), &[400]),
        refused(chunked("-1\r\n"), &[400]),
        refused(chunked("0x19\r\n"), &[400]),
        refused(chunked("19 \r\n"), &[400]),
        refused(chunked("19\n"), &[400]),
        refused(chunked(&format!("19\r\n{BODY}X\r\n0\r\n\r\n")), &[400]),
        refused(chunked(&format!("19\r\n{BODY}\n0\r\n\r\n")), &[400]),
        refused(chunked("19;a\nb\r\n"), &[400]),
        refused(chunked("10000000000000019\r\n"), &[400]),
        refused(chunked(&format!("19\r\n{BODY}\r\n0\r\nX : y\r\n\r\n")), &[400]),
        // Limits.
        refused(framed("Content-Length: 65537\r\n", ""), &[413]),
        refused(chunked("10001\r\n"), &[413]),
        refused(line(&long_target, "Host: t\r\n"), &[414]),
        refused(line("GET / HTTP/1.1", &format!("Host: t\r\n{large_field}")), &[431]),
        refused(line("GET / HTTP/1.1", &format!("Host: t\r\n{many_fields}")), &[431]),
        // The request line, RFC 9112, 3.
        case(format!("\r\n{EVENT}"), &[200], Open, 1),
        refused("\r\n\r\n".into(), &[400]),
        refused(line("GET  /stats HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line(" GET /stats HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET /stats  HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET /stats HTTP/1.1 ", "Host: t\r\n"), &[400]),
        refused(line("GET /sta\tts HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET /sta\0ts HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET /stats#x HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET stats HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET * HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET /stats", ""), &[400]),
        refused(line("GET /stats HTTP/1.10", "Host: t\r\n"), &[400]),
        refused(line("GET /stats http/1.1", "Host: t\r\n"), &[400]),
        refused(line("G\u{e4}T /stats HTTP/1.1", "Host: t\r\n"), &[400]),
        refused(line("GET /stats HTTP/2.0", "Host: t\r\n"), &[505]),
        refused(line("GET /stats HTTP/0.9", "Host: t\r\n"), &[505]),
        refused("GET /stats HTTP/1.1\nHost: t\n\n".into(), &[400]),
        // Field lines, RFC 9112, 5.
        case(
            format!(
                "GET /health HTTP/1.1\r\nHOST:t\r\nX:\r\nY: \t \r\nZ: a\tb\u{ff} \r\n\r\n{EVENT}"
            ),
            &[200, 200],
            Open,
            1,
        ),
        refused(line("GET / HTTP/1.1", "Host : t\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: t\r\nX: a\r\n b\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", " Host: t\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: t\r\nX\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: t\r\n: x\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: t\r\nX(: x\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: t\r\nX: a\0b\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: t\r\nX: a\rb\r\n"), &[400]),
        refused("GET / HTTP/1.1\r\nHost: t\r\nX: a\n\r\n".into(), &[400]),
        refused("GET / HTTP/1.1\r\nHost: t\r\n\n".into(), &[400]),
        // Host, RFC 9112, 3.2.
        refused(line("GET / HTTP/1.1", ""), &[400]),
        refused(line("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n"), &[400]),
        refused(line("GET / HTTP/1.0", "Host: a\r\nHost: b\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: a b\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: u@a\r\n"), &[400]),
        refused(line("GET / HTTP/1.1", "Host: a:b\r\n"), &[400]),
        // Persistence, RFC 9112, 9.3.
        case(
            line("GET /health HTTP/1.1", "Host: t\r\nConnection: close\r\n") + EVENT,
            &[200],
            Closed,
            0,
        ),
        case(
            line("GET /health HTTP/1.1", "Host: t\r\nConnection: x, Close\r\n") + EVENT,
            &[200],
            Closed,
            0,
        ),
        case(line("GET /health HTTP/1.0", "") + EVENT, &[200], Closed, 0),
        case(
            line("GET /health HTTP/1.0", "Connection: keep-alive\r\n") + EVENT,
            &[200, 200],
            Open,
            1,
        ),
        case(line("GET /health HTTP/1.7", "Host: t\r\n") + EVENT, &[200, 200], Open, 1),
        // Expectations, RFC 9110, 10.1.1.
        refused(framed("Content-Length: 25\r\nExpect: 200-maybe\r\n", BODY), &[417]),
        // Unknown methods and paths keep the connection, and their content is read past.
        case(
            format!("BREW /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc{EVENT}"),
            &[501, 200],
            Open,
            1,
        ),
        case(
            format!("POST /x HTTP/1.1\r\nHost: t\r\n{CHUNKED}\r\n3\r\nabc\r\n0\r\n\r\n{EVENT}"),
            &[404, 200],
            Open,
            1,
        ),
        case(
            format!("GET /health HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc{EVENT}"),
            &[200, 200],
            Open,
            1,
        ),
        case(framed("Content-Length: 2\r\n", "{}") + EVENT, &[400, 200], Open, 1),
    ]
}

/// Sends the case in some way, and checks all of its outcome; `before` events were sent first.
fn check(server: &Server, case: &Case, how: &str, before: u64, send: impl FnOnce(&mut Client)) {
    let label = format!(
        "{how}: {}",
        case.bytes.escape_debug().to_string().chars().take(200).collect::<String>()
    );
    let counted = server.count();
    let mut client = server.connect();
    send(&mut client);
    let mut last = None;
    for &status in [200].iter().cycle().take(before as usize).chain(case.statuses) {
        let answer = client.try_answer(true).unwrap_or_else(|| panic!("no answer: {label}"));
        assert_eq!(answer.status, status, "{label}");
        last = Some(answer);
    }
    let announced = last.as_ref().and_then(|answer| answer.field("connection"));
    if case.after == Closed {
        assert_eq!(announced, Some("close"), "{label}");
        assert!(client.is_closed(), "still open: {label}");
    } else {
        assert_ne!(announced, Some("close"), "{label}");
        client.send(EVENT.as_bytes());
        assert_eq!(client.answer().status, 200, "no longer usable: {label}");
    }
    let expected = counted + before + case.counted + u64::from(case.after == Open);
    assert_eq!(server.count(), expected, "counted: {label}");
}

#[test]
fn every_case_whole_in_pieces_and_in_a_pipeline() {
    let server = Server::start(&[]);
    for case in cases() {
        let bytes = case.bytes.as_bytes();
        check(&server, &case, "whole", 0, |client| client.send(bytes));
        let pipeline = format!("{EVENT}{EVENT}{}", case.bytes);
        check(&server, &case, "in a pipeline", 2, |client| client.send(pipeline.as_bytes()));
        if bytes.len() < 1024 {
            check(&server, &case, "byte by byte", 0, |client| client.send_byte_by_byte(bytes));
        }
    }
}

#[test]
fn a_request_may_be_cut_anywhere() {
    let server = Server::start(&[]);
    let requests = [
        EVENT.to_owned(),
        framed(
            CHUNKED,
            &format!("5\r\n{}\r\n14\r\n{}\r\n0\r\nX: y\r\n\r\n", &BODY[..5], &BODY[5..]),
        ),
    ];
    let mut client = server.connect();
    let mut sent = 0;
    for request in &requests {
        for cut in 1..request.len() {
            client.send(&request.as_bytes()[..cut]);
            client.send(&request.as_bytes()[cut..]);
            assert_eq!(client.answer().status, 200, "cut at {cut}");
            sent += 1;
        }
    }
    assert_eq!(server.count(), sent);
}

#[test]
fn the_go_ahead_comes_before_the_content_and_only_if_it_is_needed() {
    let server = Server::start(&[]);
    let head =
        "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 25\r\nExpect: 100-continue\r\n\r\n";
    let mut client = server.connect();
    client.send(head.as_bytes());
    assert_eq!(client.answer().status, 100);
    client.send(BODY.as_bytes());
    assert_eq!(client.answer().status, 200);
    client.send(format!("{head}{BODY}").as_bytes());
    assert_eq!(client.answer().status, 200);
    // An answer that needs no content comes at once.
    client.send(head.replace("25", "70000").as_bytes());
    assert_eq!(client.answer().status, 413);
}

#[test]
fn http_1_0_is_told_that_the_connection_goes_on() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for _ in 0..2 {
        client
            .send(b"POST /event HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 25\r\n\r\n");
        client.send(BODY.as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (200, Some("keep-alive")));
    }
    assert_eq!(server.count(), 2);
}

#[test]
fn a_large_body_is_taken_up_to_the_limit() {
    let server = Server::start(&["--max-body", "1000"]);
    let mut client = server.connect();
    for (content_bytes, status) in [(1000, 200), (1001, 413)] {
        let body = format!("{BODY}{}", " ".repeat(content_bytes - BODY.len()));
        client.send(support::post("/event", &body).as_bytes());
        assert_eq!(client.answer().status, status);
    }
    assert!(client.is_closed());
}

#[test]
fn the_answer_to_a_body_that_is_too_large_can_be_read_while_it_is_sent() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(b"POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\n");
    client.send(&[b' '; 500_000]);
    assert_eq!(client.answer().status, 413);
    assert!(client.is_closed());
}

#[test]
fn a_half_closed_client_gets_its_answers() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(EVENT.repeat(300).as_bytes());
    client.stream.shutdown(std::net::Shutdown::Write).expect("shut down");
    for _ in 0..300 {
        assert_eq!(client.answer().status, 200);
    }
    assert!(client.is_closed());
    assert_eq!(server.count(), 300);
}

#[test]
fn half_a_request_counts_nothing_and_is_forgotten() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(&EVENT.as_bytes()[..EVENT.len() - 1]);
    client.stream.shutdown(std::net::Shutdown::Write).expect("shut down");
    assert!(client.is_closed());
    server.wait_until("nobody but this test is connected", |server| {
        server.metric(r#"millrace_connections{state="reading"}"#) == 0.0
    });
    assert_eq!(server.count(), 0);
}

#[test]
fn a_client_that_pipelines_without_reading_is_held_back_and_loses_nothing() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let batch = EVENT.repeat(1000);
    client.stream.set_nonblocking(true).expect("non-blocking");
    // Send until the server stops reading: both socket buffers are full then.
    let mut sent = Vec::new();
    let mut idle_since = std::time::Instant::now();
    while idle_since.elapsed() < std::time::Duration::from_millis(300) {
        use std::io::Write;
        let rest = &batch.as_bytes()[sent.len() % batch.len()..];
        match client.stream.write(rest) {
            Ok(count) => {
                sent.extend_from_slice(&rest[..count]);
                idle_since = std::time::Instant::now();
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        assert!(sent.len() < 1 << 30, "the server reads for ever");
    }
    assert_eq!(server.metric(r#"millrace_connections{state="writing"}"#), 1.0);
    client.stream.set_nonblocking(false).expect("blocking");
    let whole = sent.len() / EVENT.len();
    for _ in 0..whole {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(server.count(), whole as u64);
}
