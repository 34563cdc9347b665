//! `/events`: many events in one request, all or none, at one instant.
//!
//! The table has one line for each case. Each is sent whole, byte by byte, in chunks, and in a pipeline
//! between single events; the answer is the same.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::{Client, Server, Stats, event, get};

const A: &str = r#"{"userId":"a","value":1}"#;
const B: &str = r#"{"userId":"b","value":2.5}"#;

/// A body, the status of its answer, the answer's content, and the number of events it counts. In a
/// refusal `error` stands for any sentence.
type Case = (String, u16, &'static str, u64);

fn cases() -> Vec<Case> {
    let counted =
        |body: &str, answer: &'static str, events: u64| (body.to_owned(), 200, answer, events);
    let refused = |body: &str, answer: &'static str| (body.to_owned(), 400, answer, 0);
    vec![
        // Nothing to count.
        counted("", r#"{"counted":0}"#, 0),
        counted(" \r\n\t\n", r#"{"counted":0}"#, 0),
        counted("[]", r#"{"counted":0}"#, 0),
        counted(" [ ] \n", r#"{"counted":0}"#, 0),
        // One event on each line.
        counted(A, r#"{"counted":1}"#, 1),
        counted(&format!("{A}\n{B}"), r#"{"counted":2}"#, 2),
        counted(&format!("{A}\n{B}\n"), r#"{"counted":2}"#, 2),
        counted(&format!("{A}\r\n{B}\r\n"), r#"{"counted":2}"#, 2),
        counted(&format!("\n\r\n{A}\n\n \t\r\n{B}\n\n"), r#"{"counted":2}"#, 2),
        counted(&format!(" {A} \n\t{B}\t\n"), r#"{"counted":2}"#, 2),
        counted(&format!("{A}\n").repeat(2_000), r#"{"counted":2000}"#, 2_000),
        // An array.
        counted(&format!("[{A}]"), r#"{"counted":1}"#, 1),
        counted(&format!("[{A},{B}]"), r#"{"counted":2}"#, 2),
        counted(&format!("\n [ {A} ,\r\n\t{B} ]\n"), r#"{"counted":2}"#, 2),
        counted(&format!("[{}{A}]", format!("{B},").repeat(1_999)), r#"{"counted":2000}"#, 2_000),
        // Neither of the two.
        refused("x", r#"{"error":"","index":0,"line":1,"offset":0,"counted":0}"#),
        refused("\n\n 7", r#"{"error":"","index":0,"line":3,"offset":3,"counted":0}"#),
        refused("\"a\"", r#"{"error":"","index":0,"line":1,"offset":0,"counted":0}"#),
        refused("\u{feff}[]", r#"{"error":"","index":0,"line":1,"offset":0,"counted":0}"#),
        // A wrong event, with its place. All of the others are valid, and none is counted.
        refused(
            &format!("{A}\n{{\"userId\":7,\"value\":1}}\n{B}"),
            r#"{"error":"","index":1,"line":2,"offset":25,"counted":0}"#,
        ),
        refused(
            &format!("{A}\n\n{{\"userId\":\"\",\"value\":1}}\n{B}"),
            r#"{"error":"","index":1,"line":3,"offset":26,"counted":0}"#,
        ),
        refused(
            &format!("[{A},{{\"userId\":\"a\",\"value\":1e400}},{B}]"),
            r#"{"error":"","index":1,"line":1,"offset":26,"counted":0}"#,
        ),
        refused(
            &format!("[{A},\n{{\"userId\":\"a\",\"value\":01}}]"),
            r#"{"error":"","index":1,"line":2,"offset":50,"counted":0}"#,
        ),
        refused(&format!("[{A},{B}"), r#"{"error":"","index":2,"line":1,"offset":52,"counted":0}"#),
        refused(&format!("[{A},]"), r#"{"error":"","index":1,"line":1,"offset":26,"counted":0}"#),
        refused(
            &format!("[{A} {B}]"),
            r#"{"error":"","index":0,"line":1,"offset":26,"counted":0}"#,
        ),
        refused(&format!("[{A}] x"), r#"{"error":"","index":1,"line":1,"offset":27,"counted":0}"#),
        refused(&format!("{A} {B}"), r#"{"error":"","index":0,"line":1,"offset":25,"counted":0}"#),
        refused(
            &format!("{A},\n{B}"),
            r#"{"error":"","index":0,"line":1,"offset":24,"counted":0}"#,
        ),
        refused("[[]]", r#"{"error":"","index":0,"line":1,"offset":1,"counted":0}"#),
        refused(
            "{\"userId\":\n\"a\",\"value\":1}",
            r#"{"error":"","index":0,"line":1,"offset":10,"counted":0}"#,
        ),
    ]
}

fn sized(body: &str) -> String {
    format!("POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The body in chunks of a few bytes.
fn chunked(body: &str) -> String {
    let pieces = body.as_bytes().chunks(7 + body.len() / 50);
    let chunks = pieces.map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), bytes(piece)));
    let head = "POST /events HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    format!("{head}{}0\r\n\r\n", chunks.collect::<String>())
}

/// The bytes as text; a chunk of the cases' only character outside of ASCII is never split.
fn bytes(piece: &[u8]) -> &str {
    std::str::from_utf8(piece).expect("whole characters")
}

/// An answer's content without the words of its error.
fn without_words(text: &str) -> String {
    let Some((start, rest)) = text.split_once("\"error\":\"") else { return text.to_owned() };
    let (words, rest) = rest.split_once('"').expect("the end of the words");
    assert!(words.ends_with('.') && words.len() > 20, "{words}");
    format!("{start}\"error\":\"\"{rest}")
}

fn check(client: &mut Client, (body, status, content, _): &Case, how: &str) {
    let answer = client.answer();
    let start: String = body.chars().take(100).collect();
    let found = (answer.status, without_words(&answer.text()));
    assert_eq!(found, (*status, (*content).to_owned()), "{how}: {start:?}");
    assert_eq!(answer.field("content-type"), Some("application/json"));
}

#[test]
fn every_case_whole_in_pieces_in_chunks_and_between_single_events() {
    let server = Server::start(&[]);
    let mut expected = 0;
    for case in cases() {
        let (body, .., events) = &case;
        let mut client = server.connect();
        client.send(sized(body).as_bytes());
        check(&mut client, &case, "whole");
        client.send(chunked(body).as_bytes());
        check(&mut client, &case, "chunked");
        expected += 2 * events;
        if body.len() < 1_000 {
            client.send_byte_by_byte(sized(body).as_bytes());
            check(&mut client, &case, "byte by byte");
            expected += events;
        }
        let single = event("single", 1.0);
        let pipeline = [single.clone(), sized(body), single, chunked(body), get("/stats")].concat();
        client.send(pipeline.as_bytes());
        for _ in 0..2 {
            assert_eq!(client.answer().status, 200);
            check(&mut client, &case, "in a pipeline");
        }
        expected += 2 + 2 * events;
        let stats = Stats::parse(&client.answer().text());
        assert_eq!(stats.events, expected, "behind {body:.100}");
    }
}

/// A large list is read in slices, one in each turn of its connection.
#[test]
fn a_large_list_is_one_request_too() {
    let server = Server::start(&["--workers", "1", "--max-batch-events", "100000"]);
    let lines: String =
        (0..20_000).map(|i| format!("{{\"userId\":\"user_{i}\",\"value\":0.5}}\n")).collect();
    let array = format!("[{}]", lines.trim_end().replace('\n', ","));
    let mut client = server.connect();
    for (round, body) in [&lines, &array].into_iter().enumerate() {
        let single = event("single", 0.5);
        let pipeline = [single.clone(), sized(body), single, chunked(body), get("/stats")].concat();
        client.send(pipeline.as_bytes());
        let texts: Vec<String> = (0..5).map(|_| client.answer().text()).collect();
        let counted = r#"{"counted":20000}"#;
        assert_eq!(texts[..4], ["", counted, "", counted]);
        let stats = Stats::parse(&texts[4]);
        assert_eq!((stats.events, stats.users), (40_002 * (round as u64 + 1), 20_001));
    }
    // A fault in the last event: nothing of all the others is counted.
    let before = server.count();
    for request in [sized(&format!("{lines}{{}}")), chunked(&format!("{lines}{{}}"))] {
        client.send(request.as_bytes());
        let answer = client.answer();
        let place = format!("\"index\":20000,\"line\":20001,\"offset\":{}", lines.len());
        assert!(answer.status == 400 && answer.text().contains(&place), "{}", answer.text());
    }
    assert_eq!(server.count(), before);
}

#[test]
fn an_event_of_a_list_may_be_as_large_as_one_alone() {
    let server = Server::start(&["--max-body", "100"]);
    let event = |bytes: usize| format!("{{\"userId\":\"{}\",\"value\":1}}", "x".repeat(bytes - 23));
    let mut client = server.connect();
    for (body, status) in [
        (format!("{A}\n{}\n", event(100)), 200),
        (format!("[{A},{}]", event(100)), 200),
        (format!("{A}\n{}\n", event(101)), 413),
        (format!("[{A},{}]", event(101)), 413),
    ] {
        client.send(sized(&body).as_bytes());
        let answer = client.answer();
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(status == 200 || answer.text().contains("Event 1 has more than 100 bytes"));
        assert!(status == 200 || answer.text().contains("--max-body"));
    }
    assert_eq!(server.count(), 4);
}

#[test]
fn limits_are_named_and_nothing_beyond_them_is_counted() {
    let server = Server::start(&["--max-batch-events", "3", "--max-batch-body", "200"]);
    let lines = |events: usize| format!("{A}\n").repeat(events);
    let mut client = server.connect();
    client.send(sized(&lines(3)).as_bytes());
    assert_eq!(client.answer().text(), r#"{"counted":3}"#);
    client.send(sized(&lines(4)).as_bytes());
    let answer = client.answer();
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("at most 3 events"), "{}", answer.text());
    assert!(answer.text().contains("--max-batch-events"), "{}", answer.text());
    // The connection goes on: its content was read to the end.
    client.send(event("b", 1.0).as_bytes());
    assert_eq!(client.answer().status, 200);
    for request in [sized(&lines(9)), chunked(&lines(9))] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
        assert!(answer.text().contains("at most 200 bytes"), "{}", answer.text());
        assert!(answer.text().contains("--max-batch-body"), "{}", answer.text());
    }
    assert_eq!(server.count(), 4);
    // The limit of other routes is their own.
    let server = Server::start(&["--max-body", "30"]);
    let mut client = server.connect();
    client.send(sized(&lines(9)).as_bytes());
    assert_eq!(client.answer().text(), r#"{"counted":9}"#);
    client.send(b"POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 31\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("--max-body"), "{}", answer.text());
}

#[test]
fn with_too_few_places_for_new_users_none_is_counted() {
    let server = Server::start(&["--max-users", "2"]);
    let mut client = server.connect();
    let mut check = |body: &str, status: u16, events: u64, users: u64| {
        client.send(sized(body).as_bytes());
        let answer = client.answer();
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(status == 200 || answer.text().contains("--max-users"), "{}", answer.text());
        let stats = Stats::parse(&server.stats());
        assert_eq!((stats.events, stats.users), (events, users), "{body}");
    };
    let c = r#"{"userId":"c","value":3}"#;
    check(&format!("{A}\n{A}\n{A}"), 200, 3, 1);
    check(&format!("{B}\n{c}"), 507, 3, 1);
    // The same new user again and again needs one place.
    check(&format!("[{B},{B},{A},{B}]"), 200, 7, 2);
    check(&format!("{A}\n{c}"), 507, 7, 2);
    check(&format!("{A}\n{B}"), 200, 9, 2);
    drop(client);
    assert_eq!(server.metric("millrace_batches_total"), 3.0);
    assert_eq!(server.metric("millrace_batch_events_total"), 9.0);
    assert_eq!(server.metric(r#"millrace_batches_refused_total{reason="users_full"}"#), 2.0);
    assert_eq!(server.metric(r#"millrace_http_requests_total{route="events",code="507"}"#), 2.0);
}

#[test]
fn the_connection_and_the_method_are_treated_as_elsewhere() {
    let server = Server::start(&[]);
    let body = format!("{A}\n{B}");
    let head = |fields: &str| {
        format!(
            "POST /events HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let closing = server.once(&head("Connection: close\r\n"));
    assert_eq!((closing.status, closing.field("connection")), (200, Some("close")));
    assert_eq!(closing.text(), r#"{"counted":2}"#);
    let old = head("Connection: keep-alive\r\n").replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(server.once(&old).field("connection"), Some("keep-alive"));
    let coded = server.once(&head("Content-Encoding: gzip\r\n"));
    assert_eq!((coded.status, coded.field("accept-encoding")), (415, Some("identity")));
    let wrong = server.once(&get("/events"));
    assert_eq!((wrong.status, wrong.field("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(server.count(), 4);
    assert_eq!(server.metric(r#"millrace_batches_refused_total{reason="content_coded"}"#), 1.0);
}

/// Readers see each batch whole, and what was answered before they asked.
#[test]
fn no_reader_sees_a_part_of_a_batch() {
    const BATCH: u64 = 500;
    let server = Server::start(&["--workers", "2"]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let mut client = server.connect();
                scope.spawn(move || {
                    for round in 0..40 {
                        let line =
                            |i| format!("{{\"userId\":\"{writer}-{round}-{i}\",\"value\":1}}\n");
                        let body: String = (0..BATCH).map(line).collect();
                        client.send(sized(&body).as_bytes());
                        assert_eq!(client.answer().text(), format!("{{\"counted\":{BATCH}}}"));
                    }
                })
            })
            .collect();
        let (mut client, done) = (server.connect(), &done);
        let reader = scope.spawn(move || {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                client.send(get("/stats").as_bytes());
                let stats = Stats::parse(&client.answer().text());
                assert!(stats.events.is_multiple_of(BATCH), "{stats:?}");
                assert_eq!((stats.users, stats.sum), (stats.events, Some(stats.events as f64)));
                assert!(stats.events >= last, "{stats:?}");
                last = stats.events;
            }
        });
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader");
    });
    assert_eq!(server.count(), 2 * 40 * BATCH);
}
