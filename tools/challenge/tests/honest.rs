//! The client against servers that misbehave: it reports what happened, and passes only what is
//! exact.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What a server does with its `n`-th event, counted from 1.
type Behaviour = fn(n: u64, stream: &mut TcpStream) -> After;

/// What becomes of the connection.
#[derive(PartialEq)]
enum After {
    Stays,
    Closes,
    /// The event was not counted.
    Refused,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[derive(Default)]
struct Counts {
    events: u64,
    users: std::collections::BTreeSet<String>,
    sum: f64,
}

/// A server that counts rightly but behaves so; `lie` is added to the count it answers.
fn server(behaviour: Behaviour, lie: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (counts, seen) = (Arc::new(Mutex::new(Counts::default())), Arc::new(AtomicU64::new(0)));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (counts, seen) = (Arc::clone(&counts), Arc::clone(&seen));
            thread::spawn(move || serve(stream, &counts, &seen, behaviour, lie));
        }
    });
    url
}

/// Answers one connection's requests; `None` at its end.
fn serve(
    stream: TcpStream,
    counts: &Mutex<Counts>,
    seen: &AtomicU64,
    behaviour: Behaviour,
    lie: u64,
) -> Option<()> {
    let mut write = stream.try_clone().ok()?;
    let mut read = BufReader::new(stream);
    loop {
        let mut line = String::new();
        read.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
        let is_event = line.starts_with("POST /event");
        let mut length = 0;
        loop {
            line.clear();
            read.read_line(&mut line).ok()?;
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        read.read_exact(&mut body).ok()?;
        if !is_event {
            let counts = counts.lock().ok()?;
            let (events, users, sum) = (counts.events, counts.users.len(), counts.sum);
            // A server that has counted something lies about it.
            let events = if events > 0 { events + lie } else { 0 };
            let average = if events == 0 { 0.0 } else { sum / events as f64 };
            let body = format!(
                r#"{{"totalRequests":{events},"uniqueUsers":{users},"sum":{sum:?},"avg":{average:?}}}"#
            );
            write!(write, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).ok()?;
            return None;
        }
        let n = seen.fetch_add(1, Ordering::Relaxed) + 1;
        // Locked until the event is counted, so that no answer of /stats comes between the answer
        // to an event and its count.
        let mut counts = counts.lock().ok()?;
        let after = behaviour(n, &mut write);
        if after != After::Refused {
            let event: Value = serde_json::from_slice(&body).ok()?;
            counts.events += 1;
            counts.users.insert(event["userId"].as_str()?.to_owned());
            counts.sum += event["value"].as_f64()?;
        }
        if after == After::Closes {
            return None;
        }
    }
}

/// Runs the client; its exit status and report.
fn challenge(url: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_challenge"))
        .args([url, "--json", "--events", "3000", "--connections", "10", "--users", "70"])
        .args(arguments)
        .output()
        .expect("the client runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), report)
}

fn say(stream: &mut TcpStream, answer: &[u8]) -> After {
    match stream.write_all(answer) {
        Ok(()) => After::Stays,
        Err(_) => After::Closes,
    }
}

#[test]
fn a_good_server_passes_whatever_the_shape_of_its_answers() {
    let shapes: [Behaviour; 4] = [
        |_, stream| say(stream, OK),
        |_, stream| say(stream, b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"),
        |_, stream| {
            say(
                stream,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            )
        },
        |_, stream| say(stream, b"HTTP/1.1 204 No Content\r\n\r\n"),
    ];
    for shape in shapes {
        for arguments in [
            &[][..],
            &["--pipeline", "7", "--threads", "2"],
            &["--value", "half", "--warm-up", "500"],
        ] {
            let (code, report) = challenge(&server(shape, 0), arguments);
            assert_eq!(code, Some(0), "{report}");
            assert_eq!((&report["successes"], &report["passed"]), (&3000.into(), &true.into()));
        }
    }
}

#[test]
fn a_server_that_closes_after_answers_costs_reconnects_and_no_event() {
    let announced: Behaviour = |n, stream| match n % 7 {
        0 => {
            say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            After::Closes
        }
        _ => say(stream, OK),
    };
    let in_silence: Behaviour = |n, stream| {
        say(stream, OK);
        if n.is_multiple_of(7) { After::Closes } else { After::Stays }
    };
    let until_close: Behaviour = |_, stream| {
        say(stream, b"HTTP/1.0 200 OK\r\n\r\nhello");
        After::Closes
    };
    for behaviour in [announced, in_silence, until_close] {
        let (code, report) = challenge(&server(behaviour, 0), &[]);
        let unanswered: u64 =
            report["errors"].as_object().expect("errors").values().filter_map(Value::as_u64).sum();
        assert!(report["reconnects"].as_u64() > Some(100), "{report}");
        // A request may be on its way when a server closes in silence: that is an error, and said.
        assert_eq!(code, Some(i32::from(unanswered > 0)), "{report}");
        assert_eq!(
            report["successes"].as_u64().map(|successes| successes + unanswered),
            Some(3000)
        );
    }
}

#[test]
fn what_is_refused_is_an_error() {
    let busy: Behaviour = |n, stream| match n % 10 {
        0 => {
            say(stream, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            After::Refused
        }
        _ => say(stream, OK),
    };
    let (code, report) = challenge(&server(busy, 0), &[]);
    assert_eq!(
        (code, &report["errors"]["status 503"], &report["successes"]),
        (Some(1), &300.into(), &2700.into())
    );
}

#[test]
fn an_answer_that_never_comes_is_an_error_and_the_event_is_not_sent_again() {
    let silent: Behaviour = |n, stream| if n == 1000 { After::Stays } else { say(stream, OK) };
    let (code, report) = challenge(&server(silent, 0), &["--timeout", "0.5"]);
    assert_eq!(
        (code, &report["errors"]["unanswered: time-out"], &report["successes"]),
        (Some(1), &1.into(), &2999.into())
    );
    // It was counted, though, and the statistics are exact: sending it again would have shown.
    assert!(
        report["checks"].as_array().expect("checks").iter().all(|check| check["exact"] == true),
        "{report}"
    );

    let dropped: Behaviour = |n, stream| if n == 1000 { After::Closes } else { say(stream, OK) };
    let (code, report) = challenge(&server(dropped, 0), &[]);
    assert_eq!((code, &report["successes"]), (Some(1), &2999.into()), "{report}");
}

#[test]
fn no_answer_is_taken_for_one() {
    let garbled: Behaviour =
        |n, stream| say(stream, if n == 50 { b"NONSENSE\r\n\r\n" } else { OK });
    let (code, report) = challenge(&server(garbled, 0), &[]);
    assert_eq!(
        (code, &report["errors"]["unanswered: malformed answer"]),
        (Some(1), &1.into()),
        "{report}"
    );
}

#[test]
fn statistics_that_are_off_by_one_fail() {
    let (code, report) = challenge(&server(|_, stream| say(stream, OK), 1), &[]);
    assert_eq!((code, &report["errors"]), (Some(1), &serde_json::json!({})));
    assert_eq!(report["checks"][0]["exact"], false);
}

#[test]
fn a_server_that_has_counted_before_is_not_measured() {
    let url = server(|_, stream| say(stream, OK), 0);
    assert_eq!(challenge(&url, &[]).0, Some(0));
    assert_eq!(challenge(&url, &[]).0, Some(2));
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    // No program listens on port 1.
    assert_eq!(challenge("http://127.0.0.1:1", &[]).0, Some(2));
    assert_eq!(challenge("ftp://127.0.0.1", &[]).0, Some(2));
}

#[test]
fn a_rate_is_kept_and_latency_counts_from_when_a_request_was_due() {
    // The server stalls once; at a rate, all requests due meanwhile have waited.
    let stalls: Behaviour = |n, stream| {
        if n == 1500 {
            thread::sleep(Duration::from_millis(300));
        }
        say(stream, OK)
    };
    let url = server(stalls, 0);
    let (code, report) = challenge(&url, &["--rate", "3000", "--connections", "1"]);
    assert_eq!(code, Some(0), "{report}");
    let seconds = report["seconds"].as_f64().expect("seconds");
    assert!(seconds >= 0.99, "{report}");
    // 300 ms at 3,000/s are 900 requests, nearly a third of all.
    assert!(report["latency_us"]["p90"].as_f64() > Some(50_000.0), "{report}");
}
