//! Producers against servers that lose answers, refuse, forget and are killed.

mod fake;

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fake::{Counts, Request, answer, challenge, ok, read_request, say};

/// What a server does with its `n`-th request that has events, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Fair,
    /// The connection ends, the events are not counted.
    CloseBefore,
    /// The connection ends, the events are counted, the answer is lost.
    CloseAfter,
    /// The events are counted, and no answer ever comes.
    Silent,
    /// Not counted now.
    Busy,
    /// As if the same number were under way on another connection.
    UnderWay,
    /// Not counted, and it never will be.
    Full,
    /// All producers are forgotten, the counts are not.
    Forget,
    /// Counted twice.
    Twice,
}

type FateOf = fn(n: u64) -> Fate;

fn server(fate: FateOf) -> String {
    let (counts, seen) = (Mutex::new(Counts::default()), AtomicU64::new(0));
    fake::serve(move |stream| {
        let _ = answer_all(stream, &counts, &seen, fate);
    })
}

fn answer_all(
    stream: TcpStream,
    counts: &Mutex<Counts>,
    seen: &AtomicU64,
    fate: FateOf,
) -> Option<()> {
    let mut write = stream.try_clone().ok()?;
    let mut read = BufReader::new(stream);
    loop {
        let request = read_request(&mut read)?;
        let mut counts = counts.lock().ok()?;
        if !request.is_event {
            say(&mut write, counts.statistics(0));
            return None;
        }
        let fate = fate(seen.fetch_add(1, Ordering::Relaxed) + 1);
        match fate {
            Fate::CloseBefore => return None,
            Fate::Busy => {
                say(&mut write, answer("503 Service Unavailable", "Retry-After: 1\r\n", ""));
                continue;
            }
            Fate::Full => {
                say(&mut write, answer("507 Insufficient Storage", "", ""));
                continue;
            }
            Fate::UnderWay => {
                let (name, _) = request.producer.as_ref()?;
                let last = counts.last.get(name).copied().unwrap_or(0);
                say(&mut write, conflict(last, "Retry-After: 0\r\n"));
                continue;
            }
            Fate::Forget => counts.last.clear(),
            Fate::Fair | Fate::CloseAfter | Fate::Silent | Fate::Twice => {}
        }
        let text = reply(&mut counts, &request)?;
        if fate == Fate::Twice {
            counts.count(&request);
        }
        match fate {
            Fate::CloseAfter => return None,
            Fate::Silent => {}
            _ => _ = say(&mut write, text),
        }
    }
}

fn conflict(last: u64, fields: &str) -> String {
    answer("409 Conflict", fields, &format!("{{\"error\":\"not the next one\",\"last\":{last}}}"))
}

/// Answers as CONTRACT.md, 10, says.
fn reply(counts: &mut Counts, request: &Request) -> Option<String> {
    let (name, number) = request.producer.as_ref()?;
    let last = counts.last.get(name).copied().unwrap_or(0);
    Some(match *number {
        number if number == last + 1 => {
            counts.count(request);
            ok(request)
        }
        number if number == last => {
            ok(request).replacen("\r\n", "\r\nMillrace-Duplicate: true\r\n", 1)
        }
        _ => conflict(last, ""),
    })
}

const EXACTLY_ONCE: [&str; 1] = ["--exactly-once"];
const SHAPES: [&[&str]; 4] = [
    &[],
    &["--pipeline", "16", "--threads", "2"],
    &["--batch", "10", "--pipeline", "3"],
    &["--batch", "7", "--array", "--connections", "1", "--warm-up", "100"],
];

#[test]
fn every_loss_is_made_good_and_nothing_is_counted_twice() {
    let losses: [(FateOf, &str); 5] = [
        (|n| if n.is_multiple_of(50) { Fate::CloseBefore } else { Fate::Fair }, "sent_again"),
        (|n| if n.is_multiple_of(50) { Fate::CloseAfter } else { Fate::Fair }, "duplicates"),
        (|n| if n.is_multiple_of(50) { Fate::Busy } else { Fate::Fair }, "busy"),
        (|n| if n.is_multiple_of(50) { Fate::UnderWay } else { Fate::Fair }, "conflicts"),
        (
            |n| match n % 60 {
                10 => Fate::CloseBefore,
                20 => Fate::CloseAfter,
                30 => Fate::Busy,
                40 => Fate::UnderWay,
                _ => Fate::Fair,
            },
            "lost_connections",
        ),
    ];
    for (fate, figure) in losses {
        for shape in SHAPES {
            let url = server(fate);
            let (code, report) = challenge(&[&[url.as_str()], &EXACTLY_ONCE[..], shape].concat());
            assert_eq!(code, Some(0), "{figure}, {shape:?}: {report}");
            assert_eq!(report["events_counted"], 3000);
            let count = report["exactly_once"][figure].as_u64();
            assert!(count > Some(0), "{figure}, {shape:?}: {report}");
        }
    }
}

#[test]
fn an_answer_that_never_comes_is_asked_for_again() {
    let url = server(|n| if n % 700 == 5 { Fate::Silent } else { Fate::Fair });
    let (code, report) =
        challenge(&[&url, "--exactly-once", "--timeout", "0.5", "--pipeline", "4"]);
    assert_eq!(code, Some(0), "{report}");
    assert!(report["exactly_once"]["duplicates"].as_u64() > Some(0), "{report}");
}

#[test]
fn what_is_not_exactly_once_fails() {
    let faults: [(FateOf, &str); 3] = [
        (|n| if n == 1000 { Fate::Full } else { Fate::Fair }, "status 507"),
        (
            |n| if n == 1000 { Fate::Forget } else { Fate::Fair },
            "answered before, and forgotten since",
        ),
        (|n| if n == 1000 { Fate::Twice } else { Fate::Fair }, ""),
    ];
    for (fate, error) in faults {
        for pipeline in ["1", "8"] {
            let (code, report) =
                challenge(&[&server(fate), "--exactly-once", "--pipeline", pipeline]);
            assert_eq!(code, Some(1), "{error}: {report}");
            let is_exact = report["checks"][0]["exact"] == true;
            let is_named = report["errors"].get(error).is_some();
            assert!(is_named || (error.is_empty() && !is_exact), "{error}: {report}");
        }
    }
}

/// Not a test: the process that the test below starts and kills. It writes each request to a file
/// before it answers, so that a kill loses nothing.
#[test]
#[ignore = "a server for another test"]
fn durable_server() {
    let Ok(port) = std::env::var("DURABLE_PORT") else { return };
    let folder = std::env::var("DURABLE_FOLDER").expect("a folder");
    let path = std::path::Path::new(&folder).join("journal");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    let mut counts = Counts::default();
    for line in std::fs::read_to_string(&path).unwrap_or_default().split_inclusive('\n') {
        // The last line may be torn.
        let Some(line) = line.strip_suffix('\n') else { continue };
        let (producer, events) = serde_json::from_str(line).expect("a line of the journal");
        counts.count(&Request { events, producer, ..Request::default() });
    }
    let journal = OpenOptions::new().create(true).append(true).open(&path).expect("a journal");
    let shared = Mutex::new((counts, journal));
    fake::serve_on(&listener, move |stream| {
        let _ = answer_durably(stream, &shared);
    });
}

fn answer_durably(stream: TcpStream, shared: &Mutex<(Counts, File)>) -> Option<()> {
    let mut write = stream.try_clone().ok()?;
    let mut read = BufReader::new(stream);
    loop {
        let request = read_request(&mut read)?;
        let mut shared = shared.lock().ok()?;
        let (counts, journal) = &mut *shared;
        if !request.is_event {
            say(&mut write, counts.statistics(0));
            return None;
        }
        let before = counts.events;
        let text = reply(counts, &request)?;
        if counts.events > before {
            let line = serde_json::to_string(&(&request.producer, &request.events)).ok()?;
            journal.write_all(format!("{line}\n").as_bytes()).ok()?;
        }
        say(&mut write, text);
    }
}

#[test]
fn a_server_that_is_killed_ten_times_counts_exactly() {
    let program = std::env::current_exe().expect("this program");
    let command = format!(
        "env DURABLE_PORT={{port}} DURABLE_FOLDER={{state}} {} --exact durable_server --ignored",
        program.display()
    );
    for shape in SHAPES {
        let (code, report) =
            challenge(&[&["--spawn", &command, "--exactly-once", "--kill", "10"], shape].concat());
        assert_eq!(code, Some(0), "{shape:?}: {report}");
        assert_eq!(report["exactly_once"]["kills"], 10);
        assert!(report["exactly_once"]["away_seconds"].as_f64() > Some(0.0));
        assert!(report["exactly_once"]["lost_connections"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn a_server_that_does_not_come_back_ends_the_run() {
    let program = std::env::current_exe().expect("this program");
    // The folder is there for the first start only.
    let command = format!(
        "env DURABLE_PORT={{port}} DURABLE_FOLDER={{state}} sh -c 'test ! -e {{state}}/journal && \
         exec {} --exact durable_server --ignored'",
        program.display()
    );
    let start = Instant::now();
    let (code, report) = challenge(&["--spawn", &command, "--exactly-once", "--kill", "1"]);
    assert_eq!(code, Some(2), "{report}");
    assert!(start.elapsed() < Duration::from_secs(50), "it waits for a server that is gone");
}

#[test]
fn kills_need_a_server_that_was_spawned_and_producers() {
    for arguments in [&["--kill", "1"][..], &["--kill", "1", "--spawn", "true"]] {
        assert_eq!(challenge(arguments).0, Some(2), "{arguments:?}");
    }
}
