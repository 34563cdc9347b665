//! The client against servers that misbehave: it reports what happened, and passes only what is
//! exact.

mod fake;

use std::io::BufReader;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fake::{Counts, Request, ok};
use serde_json::Value;

/// What a server does with its `n`-th request that has events, counted from 1.
type Behaviour = fn(n: u64, request: &Request, stream: &mut TcpStream) -> After;

/// What becomes of the connection.
#[derive(PartialEq)]
enum After {
    Stays,
    Closes,
    /// The events were not counted.
    Refused,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server that counts rightly and answers like this; `lie` is added to the count that it answers.
fn server(behaviour: Behaviour, lie: u64) -> String {
    let (counts, seen) = (Mutex::new(Counts::default()), AtomicU64::new(0));
    fake::serve(move |stream| {
        let _ = answer_all(stream, &counts, &seen, behaviour, lie);
    })
}

/// Answers one connection's requests. Returns `None` at its end.
fn answer_all(
    stream: TcpStream,
    counts: &Mutex<Counts>,
    seen: &AtomicU64,
    behaviour: Behaviour,
    lie: u64,
) -> Option<()> {
    let mut write = stream.try_clone().ok()?;
    let mut read = BufReader::new(stream);
    loop {
        let request = fake::read_request(&mut read)?;
        // Locked until the events are counted, so that no answer of /stats comes between the answer
        // to an event and its count.
        let mut counts = counts.lock().ok()?;
        if !request.is_event {
            say(&mut write, counts.statistics(lie));
            return None;
        }
        let n = seen.fetch_add(1, Ordering::Relaxed) + 1;
        let after = behaviour(n, &request, &mut write);
        if after != After::Refused {
            counts.count(&request);
        }
        if after == After::Closes {
            return None;
        }
    }
}

/// Runs the client; its exit status and report.
fn challenge(url: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    fake::challenge(&[&[url], arguments].concat())
}

fn say(stream: &mut TcpStream, answer: impl AsRef<[u8]>) -> After {
    if fake::say(stream, answer) { After::Stays } else { After::Closes }
}

#[test]
fn a_good_server_passes_with_answers_of_any_shape() {
    let shapes: [Behaviour; 4] = [
        |_, _, stream| say(stream, OK),
        |_, _, stream| say(stream, b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"),
        |_, _, stream| {
            say(
                stream,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            )
        },
        |_, _, stream| say(stream, b"HTTP/1.1 204 No Content\r\n\r\n"),
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
fn batches_are_counted_event_by_event() {
    for (arguments, requests) in [
        (&["--batch", "1"][..], 3000),
        (&["--batch", "100"], 30),
        (&["--batch", "70", "--array"], 43),
        (&["--batch", "70", "--pipeline", "4", "--threads", "3", "--value", "half"], 43),
        (&["--batch", "5000", "--connections", "1", "--warm-up", "500"], 1),
        (&["--batch", "64", "--rate", "500", "--padding", "50"], 47),
    ] {
        let (code, report) =
            challenge(&server(|_, request, stream| say(stream, ok(request)), 0), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {report}");
        assert_eq!(
            (&report["successes"], &report["events_counted"]),
            (&requests.into(), &3000.into()),
            "{arguments:?}"
        );
        let ratio = report["events_per_second"].as_f64().expect("a rate")
            / report["requests_per_second"].as_f64().expect("a rate");
        assert!((ratio - 3000.0 / f64::from(requests)).abs() < 1e-6, "{report}");
    }
}

#[test]
fn a_batch_whose_answer_has_another_count_is_an_error() {
    let fewer: Behaviour = |n, request, stream| match n {
        7 => say(stream, fake::answer("200 OK", "", "{\"counted\":99}")),
        8 => say(stream, OK),
        9 => say(stream, fake::answer("200 OK", "", "[]")),
        10 => {
            say(stream, fake::answer("413 Content Too Large", "", "{\"error\":\"large\"}"));
            After::Refused
        }
        _ => say(stream, ok(request)),
    };
    let (code, report) = challenge(&server(fewer, 0), &["--batch", "100"]);
    let wrong = "answer with another count than that of the batch";
    let expected = serde_json::json!({ wrong: 3, "status 413": 1 });
    assert_eq!((code, &report["errors"]), (Some(1), &expected), "{report}");
    assert_eq!(report["events_counted"], 2600);
}

#[test]
fn a_server_that_closes_after_answers_costs_reconnects_and_no_event() {
    let announced: Behaviour = |n, _, stream| match n % 7 {
        0 => {
            say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            After::Closes
        }
        _ => say(stream, OK),
    };
    let in_silence: Behaviour = |n, _, stream| {
        say(stream, OK);
        if n.is_multiple_of(7) { After::Closes } else { After::Stays }
    };
    let until_close: Behaviour = |_, _, stream| {
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
    let busy: Behaviour = |n, _, stream| match n % 10 {
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
    let silent: Behaviour = |n, _, stream| if n == 1000 { After::Stays } else { say(stream, OK) };
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

    let dropped: Behaviour = |n, _, stream| if n == 1000 { After::Closes } else { say(stream, OK) };
    let (code, report) = challenge(&server(dropped, 0), &[]);
    assert_eq!((code, &report["successes"]), (Some(1), &2999.into()), "{report}");
}

#[test]
fn no_answer_is_taken_for_one() {
    let garbled: Behaviour =
        |n, _, stream| say(stream, if n == 50 { b"NONSENSE\r\n\r\n" } else { OK });
    let (code, report) = challenge(&server(garbled, 0), &[]);
    assert_eq!(
        (code, &report["errors"]["unanswered: malformed answer"]),
        (Some(1), &1.into()),
        "{report}"
    );
}

#[test]
fn statistics_that_are_off_by_one_fail() {
    let (code, report) = challenge(&server(|_, _, stream| say(stream, OK), 1), &[]);
    assert_eq!((code, &report["errors"]), (Some(1), &serde_json::json!({})));
    assert_eq!(report["checks"][0]["exact"], false);
}

#[test]
fn a_server_that_has_counted_before_is_not_measured() {
    let url = server(|_, _, stream| say(stream, OK), 0);
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
    let stalls: Behaviour = |n, _, stream| {
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
