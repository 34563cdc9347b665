//! What happens on the wire. [`cases`] has one line for each case; each is sent whole, byte by byte,
//! and behind other requests in one pipeline. [`timed`] has the cases in which time passes,
//! [`late`] those in which the server or the reader stands still. Tests that need more than a line are
//! here.

mod cases;
mod late;
#[path = "../support/mod.rs"]
mod support;
mod timed;

use std::io::Write;

use cases::After::{Closed, Open};
use cases::{BODY, CHUNKED, Case, EVENT, POST, cases};
use support::{Client, Server};

/// Sends a case with `send`, and checks its whole outcome. `before` events are sent before the case.
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
        format!("{CHUNKED}5\r\n{}\r\n14\r\n{}\r\n0\r\nX: y\r\n\r\n", &BODY[..5], &BODY[5..]),
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

/// RFC 9110, 9.3.2: no answer to `HEAD` has content, for any status and any place that makes it.
#[test]
fn every_answer_to_head_ends_with_its_head() {
    let server = Server::start(&["--header-timeout", "0.3", "--body-timeout", "0.3"]);
    let line = "HEAD /stats HTTP/1.1\r\n";
    let host = "Host: t\r\n";
    let long = "a".repeat(20_000);
    for (status, request) in [
        (200, format!("{line}{host}Connection: close\r\n\r\n")),
        (404, format!("HEAD /x HTTP/1.1\r\n{host}Connection: close\r\n\r\n")),
        (405, format!("HEAD /event HTTP/1.1\r\n{host}Connection: close\r\n\r\n")),
        (400, "HEAD  /stats HTTP/1.1\r\n".to_owned()),
        (400, "\r\nHEAD stats HTTP/1.1\r\n".to_owned()),
        (400, "HEAD * HTTP/1.1\r\n".to_owned()),
        (400, "HEAD /stats HTTP/1.10\r\n".to_owned()),
        (400, "HEAD /stats HTTP/1.1\rX".to_owned()),
        (400, format!("{line}\r\n")),
        (400, format!("{line}{host} x\r\n")),
        (400, format!("{line}{host}{host}\r\n")),
        (400, format!("{line}{host}Content-Length: x\r\n\r\n")),
        (400, format!("{line}{host}Transfer-Encoding: chunked\r\n\r\nx\r\n")),
        (413, format!("{line}{host}Content-Length: 99999999\r\n\r\n")),
        (414, format!("HEAD /{long}")),
        (417, format!("{line}{host}Expect: x\r\n\r\n")),
        (431, format!("{line}{host}X: {long}")),
        (501, format!("{line}{host}Transfer-Encoding: x, chunked\r\n\r\n")),
        (505, "HEAD /stats HTTP/2.0\r\n".to_owned()),
        (408, "HEAD /st".to_owned()),
        (408, format!("{line}{host}")),
        (408, format!("{line}{host}Content-Length: 2\r\n\r\nx")),
        (408, format!("{line}{host}Transfer-Encoding: chunked\r\n\r\n1")),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let answer = client.try_answer(false).expect("an answer");
        let label = request.chars().take(60).collect::<String>();
        assert_eq!(answer.status, status, "{label:?}");
        let length = answer.field("content-length").and_then(|length| length.parse::<u64>().ok());
        assert!(length.is_some_and(|length| length > 0), "the length of the content: {label:?}");
        assert!(client.is_closed(), "content after the head: {label:?}");
    }
}

#[test]
fn content_that_is_coded_is_refused_with_the_codings_that_are_read() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(
        format!("{POST}Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n{BODY}").as_bytes(),
    );
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("accept-encoding")), (415, Some("identity")));
    assert_eq!(server.count(), 0);
}

/// Weights count in every field that has them, in any spelling, over all lines (RFC 9110, 12.4.2).
#[test]
fn fields_with_weights() {
    let server = Server::start(&[]);
    let text = ("/metrics", "content-type", Some("text/plain; version=0.0.4; charset=utf-8"));
    let open_metrics = (
        "/metrics",
        "content-type",
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    let plain = ("/", "content-encoding", None);
    let gzip = ("/", "content-encoding", Some("gzip"));
    for ((path, name, value), fields) in [
        (text, ""),
        (text, "Accept: text/plain, application/openmetrics-text;q=0\r\n"),
        (text, "Accept: text/plain\r\nAccept: application/openmetrics-text ; Q=0.5\r\n"),
        (text, "Accept: x/y;z=\",application/openmetrics-text,\"\r\n"),
        (open_metrics, "Accept: text/plain;q=0.5\r\naccept: ,APPLICATION/openmetrics-text,\r\n"),
        (plain, ""),
        (plain, "Accept-Encoding: gzip;Q=0\r\n"),
        (plain, "Accept-Encoding: gzip; q = 0.0\r\nAccept-Encoding: *\r\n"),
        (plain, "Accept-Encoding: identity, gzip;q=0.5\r\n"),
        (gzip, "Accept-Encoding: br\r\nAccept-Encoding:, GZip;x=\"q=0,\"\r\n"),
        (gzip, "Accept-Encoding: *;q=0.1\r\n"),
    ] {
        let answer = server.once(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        assert_eq!((answer.status, answer.field(name)), (200, value), "{fields:?}");
    }
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
    for content_bytes in [500_000, 20_000_000] {
        let mut client = server.connect();
        let head =
            format!("POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: {content_bytes}\r\n\r\n");
        client.stream.write_all(head.as_bytes()).expect("sent");
        // A client that reads only after it has sent all of it.
        client.stream.write_all(&vec![b' '; content_bytes]).expect("sent");
        assert_eq!(client.answer().status, 413);
        assert!(client.is_closed());
    }
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
    server.wait_until("only this test is connected", |server| {
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
    let mut sent = 0;
    server.wait_until("the server stops reading", |server| {
        use std::io::Write;
        while let Ok(count) = client.stream.write(&batch.as_bytes()[sent % batch.len()..]) {
            sent += count;
            assert!(sent < 1 << 30, "the server reads for ever");
        }
        server.metric(r#"millrace_connections{state="writing"}"#) == 1.0
    });
    client.stream.set_nonblocking(false).expect("blocking");
    let whole = sent / EVENT.len();
    for _ in 0..whole {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(server.count(), whole as u64);
}

/// The table of rules in docs/http.md names files and tests. Each of them must exist.
#[test]
fn the_rules_name_files_and_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let page = read("docs/http.md");
    let (_, rules) = page.split_once("## The rules").expect("a section");
    let rows: Vec<Vec<&str>> = rules
        .lines()
        .take_while(|line| !line.starts_with("Sizes"))
        .filter(|line| line.starts_with("| ") && !line.starts_with("| rule"))
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    assert!(rows.len() > 10, "the table is read");
    let between = |text: &str, mark: char| -> Vec<String> {
        text.split(mark).skip(1).step_by(2).map(str::to_owned).collect()
    };
    for row in rows {
        let [rule, _, code, tests] = row[..] else { panic!("{row:?} has not four columns") };
        for path in between(code, '`') {
            assert!(root.join("src").join(&path).exists(), "{rule}: src/{path} is missing");
        }
        for part in tests.split("; ") {
            let file = &between(part, '`')[0];
            let folder = if file == "routes.rs" { "tests" } else { "tests/wire" };
            let text = read(&format!("{folder}/{file}"));
            for name in between(part, '"') {
                assert!(text.contains(&name), "{rule}: {file} has no test {name:?}");
            }
        }
    }
}
