//! The dashboard's page and the stream that feeds it.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use support::{Server, event, get, post};

/// A client of `/live`.
struct Watcher {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Watcher {
    fn new(server: &Server) -> Watcher {
        let mut stream = server.connect().stream;
        stream.write_all(get("/live").as_bytes()).expect("sent");
        Watcher { stream, received: Vec::new() }
    }

    /// Everything up to the next empty line, without it; `None` at the end.
    fn block(&mut self) -> Option<String> {
        loop {
            let ends = [&b"\r\n\r\n"[..], b"\n\n"];
            let end = ends.iter().find_map(|end| {
                let at = self.received.windows(end.len()).position(|bytes| bytes == *end)?;
                Some((at, at + end.len()))
            });
            if let Some((text_end, block_end)) = end {
                let text = String::from_utf8_lossy(&self.received[..text_end]).into_owned();
                self.received.drain(..block_end);
                return Some(text);
            }
            let mut room = [0; 4096];
            match self.stream.read(&mut room).expect("in time") {
                0 => return None,
                count => self.received.extend_from_slice(&room[..count]),
            }
        }
    }

    /// The next reading.
    fn reading(&mut self) -> serde_json::Value {
        loop {
            let block = self.block().expect("the stream goes on");
            if let Some(json) = block.strip_prefix("data: ") {
                assert!(!json.contains('\n'), "one line: {json}");
                return serde_json::from_str(json).expect("JSON");
            }
        }
    }
}

#[test]
fn a_watcher_sees_what_is_counted_four_times_a_second() {
    let server = Server::start(&["--workers", "2"]);
    let mut watcher = Watcher::new(&server);
    let head = watcher.block().expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in ["Content-Type: text/event-stream", "Cache-Control: no-store", "Connection: close"]
    {
        assert!(head.lines().any(|found| found == line), "{head}");
    }
    assert!(!head.contains("Content-Length"), "{head}");
    assert_eq!(watcher.block().as_deref(), Some("retry: 1000"));
    assert_eq!(watcher.reading()["stats"]["totalRequests"], 0);
    for request in [event("a", 1e16), event("b", 1.0), event("a", -1e16), post("/event", "{}")] {
        server.once(&request);
    }
    // By the server's clock, since a busy machine may deliver several readings at once. It may also
    // make some of them late, but never early.
    let mut last = watcher.reading();
    let mut pauses = Vec::new();
    support::eventually("a reading comes in time, after at least eight", || {
        let next = watcher.reading();
        let up_ms = |reading: &serde_json::Value| reading["upMs"].as_u64().expect("a time");
        pauses.push(up_ms(&next) - up_ms(&last));
        last = next;
        pauses.len() >= 8 && pauses.iter().any(|&pause_ms| pause_ms < 500)
    });
    assert!(pauses.iter().all(|&pause_ms| pause_ms >= 240), "{pauses:?}");
    let stats: serde_json::Value = serde_json::from_str(&server.stats()).expect("JSON");
    assert_eq!(last["stats"], stats);
    assert_eq!(last["errors"].to_string(), r#"{"user_id_missing":1}"#);
    assert_eq!((&last["watchers"], &last["workers"][0][1]), (&1.into(), &0.into()));
    let events: u64 = (0..2).filter_map(|worker| last["workers"][worker][0].as_u64()).sum();
    assert_eq!(events, 3);
    assert_eq!(server.metric(r#"millrace_connections{state="watching"}"#), 1.0);
    drop(watcher);
    server.wait_until("it notices that no client watches", |server| {
        server.metric(r#"millrace_connections{state="watching"}"#) == 0.0
    });
    let ended = r#"millrace_connections_closed_total{reason="watching_ended"}"#;
    assert_eq!(server.metric(ended), 1.0);
    assert_eq!(server.stop().events, 3);
}

#[test]
fn watchers_count_as_connections_and_what_follows_in_the_pipeline_is_not_answered() {
    let server = Server::start(&["--workers", "1", "--max-connections", "2"]);
    let mut client = server.connect();
    client.send([event("a", 1.0), get("/live"), event("b", 1.0)].concat().as_bytes());
    assert_eq!(client.answer().status, 200);
    let mut watcher = Watcher { stream: client.stream, received: client.received };
    assert!(watcher.block().expect("a head").starts_with("HTTP/1.1 200 OK"));
    assert_eq!(watcher.reading()["stats"]["totalRequests"], 1);
    let other = server.connect();
    assert_eq!(server.once(&get("/health")).status, 503, "two are all there may be");
    drop(watcher);
    drop(other);
    server.wait_until("there is room again", |server| {
        let mut client = server.connect();
        client.send(get("/health").as_bytes());
        client.try_answer(true).is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_watcher_who_does_not_read_misses_readings_and_holds_up_nobody() {
    let server = Server::start(&["--workers", "1"]);
    let deaf = Watcher::new(&server);
    socket2::SockRef::from(&deaf.stream).set_recv_buffer_size(1).expect("set");
    let mut watcher = Watcher::new(&server);
    let before = server.metric("process_resident_memory_bytes");
    for _ in 0..12 {
        watcher.reading();
    }
    let after = server.metric("process_resident_memory_bytes");
    assert!(after - before < 500_000.0, "{before} {after}");
    // What it finds when it reads at last is a beginning and an end of whole lines.
    let mut late = deaf;
    for _ in 0..3 {
        late.reading();
    }
}

#[test]
fn a_stop_ends_streams_and_a_restart_lets_watchers_come_back() {
    let mut server = Server::start(&["--workers", "2"]);
    let mut watcher = Watcher::new(&server);
    watcher.reading();
    server.once(&event("a", 1.0));
    server.restart();
    while watcher.block().is_some() {}
    let mut watcher = Watcher::new(&server);
    assert_eq!(watcher.reading()["stats"]["totalRequests"], 1);
    server.stop();
    while watcher.block().is_some() {}
}

#[test]
fn watchers_who_go_at_once_leave_no_trace() {
    const CLIENTS: usize = 400;
    let server = Server::start(&["--workers", "2"]);
    let mut observer = server.connect();
    for i in 0..CLIENTS {
        let mut client = server.connect();
        client.send(get("/live").as_bytes());
        if i % 2 == 0 {
            // Closing so resets the connection, often before its answer has begun.
            let now = Some(Duration::ZERO);
            socket2::SockRef::from(&client.stream).set_linger(now).expect("set");
        }
    }
    // All of them, since those that still wait to be accepted will become watchers too.
    let accepted = format!("millrace_connections_accepted_total {}", CLIENTS + 1);
    server.wait_until("all have come and gone", |_| {
        observer.send(get("/metrics").as_bytes());
        let page = observer.answer().text();
        let has = |line: &str| page.lines().any(|found| found == line);
        let open = |worker: u32, count: u32| {
            has(&format!("millrace_worker_connections{{worker=\"{worker}\"}} {count}"))
        };
        let only_the_observer = (open(0, 1) && open(1, 0)) || (open(0, 0) && open(1, 1));
        has(&accepted) && only_the_observer && has(r#"millrace_connections{state="watching"} 0"#)
    });
    let mut watcher = Watcher::new(&server);
    assert_eq!(watcher.reading()["watchers"], 1);
}

#[test]
fn many_watchers_are_served_and_too_many_are_told() {
    let server = Server::start(&["--workers", "2"]);
    let mut watchers: Vec<_> = (0..300).map(|_| Watcher::new(&server)).collect();
    for watcher in &mut watchers {
        watcher.reading();
    }
    // And once more, all of them.
    for watcher in &mut watchers {
        watcher.reading();
    }
    assert_eq!(server.metric(r#"millrace_connections{state="watching"}"#), 300.0);
    // A head without an end.
    let mut client = server.connect();
    client.send(b"HEAD /live HTTP/1.1\r\nHost: t\r\n\r\nGET /health HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut answers = Vec::new();
    let mut room = [0; 4096];
    while !answers.ends_with(b"{\"status\":\"healthy\"}") {
        let count = client.stream.read(&mut room).expect("in time");
        answers.extend_from_slice(&room[..count]);
    }
    assert!(
        String::from_utf8_lossy(&answers)
            .starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream")
    );
}

fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new("gzip");
    command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let (mut stdin, bytes) = (child.stdin.take().expect("piped"), bytes.to_vec());
    let writer = thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("written");
    Some(output.stdout)
}

#[test]
fn the_page_comes_whole_or_compressed_with_a_policy_that_lets_nothing_else_in() {
    let server = Server::start(&[]);
    let ask = |method: &str, target: &str, field: &str| {
        let mut client = server.connect();
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{field}\r\n").as_bytes());
        if method == "HEAD" { client.answer_to_head() } else { client.answer() }
    };
    let page = ask("GET", "/", "");
    assert_eq!((page.status, page.field("content-encoding")), (200, None));
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.field("content-security-policy").expect("a policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = page.text();
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"));
    for outside in ["http://", "https://", "//cdn", " style=", " onclick="] {
        let found = text.replace("http://www.w3.org/2000/svg", "").contains(outside);
        assert!(!found, "{outside}");
    }
    let compressed = ask("GET", "/?x", "Accept-Encoding: gzip, br\r\n");
    assert_eq!(compressed.field("content-encoding"), Some("gzip"));
    assert_eq!(compressed.field("vary"), Some("Accept-Encoding"));
    assert_eq!(compressed.field("content-security-policy"), Some(policy.as_str()));
    assert!(compressed.content.len() < 10_000);
    match gunzip(&compressed.content) {
        Some(content) => assert_eq!(content, page.content),
        None => support::skip("gzip is not installed"),
    }
    let head = ask("HEAD", "http://t", "");
    let length = page.content.len().to_string();
    assert_eq!((head.status, head.field("content-length")), (200, Some(length.as_str())));
    assert_eq!(ask("POST", "/", "").field("allow"), Some("GET, HEAD, OPTIONS"));
}
