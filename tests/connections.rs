//! Connections that are slow, many, broken or greedy.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use support::{Client, Failure, PATIENCE, Server, Stats, event, get, post, undisturbed};

const READING: &str = r#"millrace_connections{state="reading"}"#;

#[test]
fn requests_that_do_not_come_in_time_are_answered_408() {
    let server = Server::start(&["--header-timeout", "0.3", "--body-timeout", "0.5"]);
    let head = "POST /event HTTP/1.1\r\nHost: t\r\n";
    let body = format!("{head}Content-Length: 60000\r\n\r\n{{");
    for (sent, timeout_ms, reason) in
        [(format!("{head}X: "), 300, "header_timeout"), (body, 500, "body_timeout")]
    {
        let mut client = server.connect();
        let start = Instant::now();
        client.send(sent.as_bytes());
        // A byte now and then for as long as the server waits, which must not start the time anew.
        let mut stream = client.stream.try_clone().expect("a second handle");
        let trickle = thread::spawn(move || {
            while stream.write_all(b" ").is_ok() && start.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
        assert!(start.elapsed() >= Duration::from_millis(timeout_ms), "early");
        assert!(start.elapsed() < PATIENCE, "the time starts anew with each byte");
        client.stream.shutdown(Shutdown::Both).expect("shut down");
        trickle.join().expect("no panic");
        let sample = format!(r#"millrace_connections_closed_total{{reason="{reason}"}}"#);
        server.wait_until(reason, |server| server.metric(&sample) == 1.0);
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn an_idle_connection_is_closed_in_silence_and_never_early() {
    const IDLE: Duration = Duration::from_millis(400);
    let server = Server::start(&["--idle-timeout", "0.4"]);
    let connected = Instant::now();
    let mut fresh = server.connect();
    assert!(fresh.is_closed());
    assert!(connected.elapsed() >= IDLE, "early");
    undisturbed(IDLE, |pulse| {
        let mut used = server.connect();
        let mut last = Instant::now();
        for _ in 0..5 {
            pulse.beat();
            last = Instant::now();
            used.send(get("/health").as_bytes());
            let Some(_) = used.try_answer(true) else {
                return Err(Failure::Wrong("closed between two requests".to_owned()));
            };
            thread::sleep(Duration::from_millis(150));
        }
        pulse.beat();
        assert!(used.is_closed());
        assert!(last.elapsed() >= IDLE, "early");
        Ok(())
    });
}

#[test]
fn an_empty_line_after_a_body_begins_no_request() {
    let server = Server::start(&["--header-timeout", "0.2", "--idle-timeout", "0.6"]);
    let mut client = server.connect();
    client.send(format!("{}\r\n", event("a", 1.0)).as_bytes());
    assert_eq!(client.answer().status, 200);
    assert!(client.is_closed(), "closed, and not with 408");
    assert_eq!(server.metric(r#"millrace_connections_closed_total{reason="idle_timeout"}"#), 1.0);
}

#[test]
fn a_busy_connection_is_not_idle() {
    const IDLE: Duration = Duration::from_millis(300);
    let server = Server::start(&["--idle-timeout", "0.3", "--workers", "1"]);
    let batch = event("busy", 1.0).repeat(1000);
    undisturbed(IDLE, |pulse| {
        let busy = server.connect();
        let reader = busy.stream.try_clone().expect("a second handle");
        let drain = thread::spawn(move || std::io::copy(&mut &reader, &mut std::io::sink()));
        let start = Instant::now();
        // More than a turn takes at a time, so that the server never runs out of input.
        while start.elapsed() < 4 * IDLE {
            pulse.beat();
            if let Err(error) = (&busy.stream).write_all(batch.as_bytes()) {
                return Err(Failure::Wrong(format!("closed while it is busy: {error}")));
            }
        }
        pulse.beat();
        busy.stream.shutdown(Shutdown::Write).expect("shut down");
        drain.join().expect("no panic").expect("no reset");
        Ok(())
    });
}

/// A client with little room for answers that never waits, and requests with large ones.
fn hard_of_hearing(server: &Server) -> (Client, String) {
    let client = server.connect();
    SockRef::from(&client.stream).set_recv_buffer_size(4096).expect("a small buffer");
    client.stream.set_nonblocking(true).expect("non-blocking");
    (client, get("/metrics").repeat(100))
}

#[test]
fn a_client_that_does_not_read_is_closed_at_the_write_time_out() {
    let server = Server::start(&["--write-timeout", "0.4"]);
    let (client, requests) = hard_of_hearing(&server);
    let closed = r#"millrace_connections_closed_total{reason="write_timeout"}"#;
    let start = Instant::now();
    server.wait_until("it is closed", |server| {
        let _ = (&client.stream).write(requests.as_bytes());
        server.metric(closed) == 1.0
    });
    assert!(start.elapsed() >= Duration::from_millis(400), "early");
}

/// Slow, but never still for longer than 20 ms, through several write time-outs.
#[test]
fn a_client_that_reads_slowly_is_not_closed() {
    const WRITE: Duration = Duration::from_millis(500);
    let server = Server::start(&["--write-timeout", "0.5"]);
    undisturbed(WRITE, |pulse| {
        let client = server.connect();
        let mut writer = client.stream.try_clone().expect("a second handle");
        // More answers than all buffers hold, so that the server has to wait for the client.
        let requests = get("/metrics").repeat(4_000);
        let sender = thread::spawn(move || writer.write_all(requests.as_bytes()));
        let mut room = [0; 8 * 1024];
        let mut result = Ok(());
        let start = Instant::now();
        while start.elapsed() < 6 * WRITE && result.is_ok() {
            pulse.beat();
            let read = (&client.stream).read(&mut room);
            if !matches!(read, Ok(1..)) {
                let so_far = start.elapsed();
                result = Err(Failure::Wrong(format!("cut off after {so_far:?}: {read:?}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        pulse.beat();
        // Ends the sender, which may still wait for room.
        let _ = client.stream.shutdown(Shutdown::Both);
        let _ = sender.join().expect("no panic");
        result
    });
}

/// A byte at a time is not reading: such a client would hold its answers for ever.
#[test]
fn a_client_that_trickles_its_answers_is_closed() {
    use std::io::ErrorKind;
    let server = Server::start(&["--write-timeout", "0.4"]);
    let (client, requests) = hard_of_hearing(&server);
    server.wait_until("it is closed", |server| {
        let _ = (&client.stream).write(requests.as_bytes());
        let read = (&client.stream).read(&mut [0; 1]);
        matches!(read, Err(error) if error.kind() == ErrorKind::ConnectionReset)
            || server.metric(r#"millrace_connections_closed_total{reason="write_timeout"}"#) == 1.0
    });
}

#[test]
fn connections_are_spread_evenly() {
    const CLIENTS: usize = 1000;
    let server = Server::start(&["--workers", "4"]);
    // The connection that asks has one seat from the beginning. A new one for each question would
    // take a seat, and leave it again at a time that the test does not see.
    let mut observer = server.connect();
    let mut per_worker = || -> Vec<f64> {
        observer.send(get("/metrics").as_bytes());
        let page = observer.answer().text();
        let lines = page.lines().filter(|line| line.starts_with("millrace_worker_connections{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    };
    assert_eq!(per_worker().iter().sum::<f64>(), 1.0, "only the observer is there");
    let clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    let mut counts = Vec::new();
    server.wait_until("all are accepted", |_| {
        counts = per_worker();
        counts.iter().sum::<f64>() == (CLIENTS + 1) as f64
    });
    let most = counts.iter().fold(f64::MIN, |a, &b| a.max(b));
    let least = counts.iter().fold(f64::MAX, |a, &b| a.min(b));
    assert!(most - least <= 1.0, "{counts:?}");
    drop(clients);
}

/// Judged by what is counted, not by the clock: while the server is stopped, thousands of requests
/// wait on one connection and a question on another. When it goes on, the question must not have to
/// wait for them.
#[test]
fn a_deep_pipeline_does_not_starve_the_others() {
    const WAITING_MIN: u64 = 4_000;
    const BEFORE_MAX: u64 = 1_000;
    let server = Server::start(&["--workers", "1"]);
    let greedy = server.connect();
    let mut modest = server.connect();
    let request =
        "POST /event HTTP/1.1\r\nHost:\r\nContent-Length: 24\r\n\r\n{\"userId\":\"a\",\"value\":1}";
    (&greedy.stream).write_all(request.as_bytes()).expect("sent");
    modest.send(get("/health").as_bytes());
    assert_eq!(modest.answer().status, 200);
    server.wait_until("both are accepted", |server| server.count() == 1);
    let reader = greedy.stream.try_clone().expect("a second handle");
    let drain = thread::spawn(move || std::io::copy(&mut &reader, &mut std::io::sink()));

    server.halt();
    SockRef::from(&greedy.stream).set_send_buffer_size(1 << 20).expect("a large buffer");
    let batch = request.repeat(1000);
    let mut sent = 0;
    // Until both sockets' buffers are full.
    while let Ok(count) = SockRef::from(&greedy.stream)
        .send_with_flags(&batch.as_bytes()[sent % batch.len()..], libc::MSG_DONTWAIT)
    {
        sent += count;
    }
    let waiting = (sent / request.len()) as u64;
    assert!(waiting >= WAITING_MIN, "only {waiting} requests wait");
    modest.send(get("/stats").as_bytes());
    server.resume();
    let before = Stats::parse(&modest.answer().text()).events - 1;
    assert!(before <= BEFORE_MAX, "the question waited for {before} of {waiting} requests");

    // The rest of the last request, so that all of them are whole.
    let rest = &batch.as_bytes()[sent % request.len()..request.len()];
    if rest.len() < request.len() {
        (&greedy.stream).write_all(rest).expect("sent");
    }
    greedy.stream.shutdown(Shutdown::Write).expect("shut down");
    drain.join().expect("no panic").expect("no reset");
    let whole = 1 + waiting + u64::from(rest.len() < request.len());
    assert_eq!(server.stop().events, whole);
}

/// Judged as above: of many clients that pipeline costly requests, each has few of them answered before
/// another client's question, the fewer the more they cost.
#[test]
fn many_pipelines_of_costly_requests_do_not_starve_the_others() {
    const CLIENTS: usize = 50;
    let server = Server::start(&["--workers", "1", "--allow-reset"]);
    for (route, request, answered_max) in [
        ("stats", get("/stats"), 64.0),
        ("page", get("/"), 8.0),
        ("reset", post("/reset", ""), 2.0),
    ] {
        let greedy: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
        let mut modest = server.connect();
        modest.send(get("/health").as_bytes());
        assert_eq!(modest.answer().status, 200);
        let sample = format!("millrace_http_requests_total{{route=\"{route}\",code=\"200\"}}");
        let count = |page: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(&sample));
            line.map_or(0.0, |value| value.trim().parse::<f64>().expect("a number"))
        };
        let before = count(&server.once(&get("/metrics")).text());
        server.halt();
        for client in &greedy {
            (&client.stream).write_all(request.repeat(256).as_bytes()).expect("sent");
        }
        modest.send(get("/metrics").as_bytes());
        server.resume();
        let answered = count(&modest.answer().text()) - before;
        assert!(answered <= answered_max * CLIENTS as f64, "{route}: waited for {answered}");
        drop(greedy);
    }
}

#[test]
fn resets_in_any_state_leave_nothing_behind() {
    let server = Server::start(&["--workers", "2"]);
    let request = event("a", 1.0);
    for round in 0..100 {
        let mut client = server.connect();
        match round % 5 {
            0 => {}
            1 => client.send(&request.as_bytes()[..30]),
            2 => client.send(&request.as_bytes()[..request.len() - 3]),
            3 => client.send(request.repeat(50).as_bytes()),
            _ => client.send(b"NONSENSE\r\n"),
        }
        SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }
    for state in ["reading", "writing", "closing"] {
        let sample = format!("millrace_connections{{state=\"{state}\"}}");
        server.wait_until(state, |server| server.metric(&sample) == 0.0);
    }
    server.wait_until("only this one is left", |server| {
        server.metric(r#"millrace_worker_connections{worker="0"}"#)
            + server.metric(r#"millrace_worker_connections{worker="1"}"#)
            <= 1.0
    });
    assert_eq!(server.once(&request).status, 200);
}

/// As above, but each connection is seen in the state first, several at a time.
#[test]
fn a_reset_is_noticed_in_every_state() {
    const CLIENTS: usize = 8;
    let server = Server::start(&["--workers", "2"]);
    let unread = get("/metrics").repeat(2_000);
    let refused = "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n{";
    for (state, bytes) in [
        ("idle", get("/health").as_str()),
        ("reading", &event("a", 1.0)[..40]),
        ("reading", "POST /event HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        ("writing", unread.as_str()),
        ("closing", refused),
    ] {
        let sample = format!("millrace_connections{{state=\"{state}\"}}");
        let before = server.metric(&sample);
        let clients: Vec<Client> = (0..CLIENTS)
            .map(|_| {
                let client = server.connect();
                SockRef::from(&client.stream).set_recv_buffer_size(4096).expect("a small buffer");
                SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("linger");
                client.stream.set_nonblocking(true).expect("non-blocking");
                let _ = (&client.stream).write(bytes.as_bytes());
                client
            })
            .collect();
        server.wait_until(&format!("all are {state}"), |server| {
            server.metric(&sample) >= before + CLIENTS as f64
        });
        drop(clients);
        server.wait_until(&format!("none is {state}"), |server| server.metric(&sample) <= before);
    }
    assert_eq!(server.count(), 0);
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
}

/// Half-closed in each state, a client gets the answers to its whole requests, and then our end.
#[test]
fn a_half_close_is_honoured_in_every_state() {
    let server = Server::start(&["--workers", "2"]);
    let whole = event("a", 1.0);
    let large = get("/metrics").repeat(2_000);
    for (state, sent, answers) in [
        ("fresh", String::new(), 0),
        ("idle", whole.clone(), 1),
        ("within a head", format!("{whole}{}", &whole[..30]), 1),
        ("within a body", format!("{whole}{whole}{}", &whole[..whole.len() - 3]), 2),
        (
            "within a chunk",
            "POST /event HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{".into(),
            0,
        ),
        ("with answers unread", large, 2_000),
        ("refused", "GET / HTTP/1.1\r\nHost : t\r\n\r\n".into(), 1),
        ("closed for good", "GET /health HTTP/1.0\r\n\r\n".into(), 1),
    ] {
        let mut client = server.connect();
        SockRef::from(&client.stream).set_recv_buffer_size(16 * 1024).expect("a small buffer");
        let mut writer = client.stream.try_clone().expect("a second handle");
        let sender = thread::spawn(move || {
            writer.write_all(sent.as_bytes()).expect("sent");
            writer.shutdown(Shutdown::Write)
        });
        for number in 0..answers {
            assert!(client.try_answer(true).is_some(), "{state}: answer {number}");
        }
        assert!(client.is_closed(), "{state}");
        // A client that is told to go may find the connection gone already.
        let _ = sender.join().expect("no panic");
    }
    assert_eq!(server.count(), 4);
    server.wait_until("all buffers are back", |server| {
        ["reading", "writing", "closing"].iter().all(|state| {
            server.metric(&format!("millrace_connections{{state=\"{state}\"}}")) == 0.0
        })
    });
}

/// Clients come and go in every manner on an odd number of workers; nothing is lost or left over.
#[test]
fn five_workers_and_a_coming_and_going() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 250;
    let server = Server::start(&["--workers", "5"]);
    let address = server.address;
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut connection = Client::connect(address).expect("it accepts");
                    connection.send(event(&format!("{client}-{round}"), 1.0).repeat(3).as_bytes());
                    for _ in 0..3 {
                        assert_eq!(connection.answer().status, 200);
                    }
                    match round % 3 {
                        0 => {}
                        1 => SockRef::from(&connection.stream)
                            .set_linger(Some(Duration::ZERO))
                            .expect("linger"),
                        _ => {
                            connection.stream.shutdown(Shutdown::Write).expect("shut down");
                            assert!(connection.is_closed());
                        }
                    }
                }
            });
        }
    });
    let connections = (CLIENTS * ROUNDS) as u64;
    server.wait_until("only the one that asks is left", |server| {
        let page = server.once(&get("/metrics")).text();
        let lines = page.lines().filter(|line| line.starts_with("millrace_worker_connections{"));
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum::<u64>() == 1
    });
    let stats = server.stop();
    assert_eq!((stats.events, stats.users), (3 * connections, connections));
}

#[test]
fn data_and_end_in_one_segment_leak_no_connection() {
    let server = Server::start(&["--workers", "1"]);
    for _ in 0..50 {
        let mut client = server.connect();
        // Corked, so that the request and the FIN leave together.
        SockRef::from(&client.stream).set_tcp_cork(true).expect("cork");
        client.send(event("a", 1.0).as_bytes());
        client.stream.shutdown(Shutdown::Write).expect("shut down");
        assert_eq!(client.answer().status, 200);
        assert!(client.is_closed());
    }
    server.wait_until("all are gone", |server| {
        server.metric(r#"millrace_worker_connections{worker="0"}"#) <= 1.0
    });
    assert_eq!(server.count(), 50);
    assert_eq!(server.metric(READING), 0.0);
}

/// More than there may be, at once: the server reads on after its `503`, so that a client which is still
/// sending is not reset.
#[test]
fn many_clients_that_are_refused_at_once_can_send_and_read() {
    const CLIENTS: usize = 32;
    let server = Server::start(&["--workers", "1", "--max-connections", "1"]);
    let mut guest = server.connect();
    guest.send(get("/health").as_bytes());
    assert_eq!(guest.answer().status, 200);
    let request = event("a", 1.0);
    let mut refused: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut refused {
        client.stream.peek(&mut [0]).expect("the answer has come");
        for half in request.as_bytes().chunks(request.len() / 2) {
            client.stream.write_all(half).expect("the server reads on");
        }
    }
    for client in &mut refused {
        assert_eq!(client.answer().status, 503);
    }
}

/// An answer to HEAD never has content, also if it says that there is no room (RFC 9110, 9.3.2).
#[test]
fn a_head_that_finds_no_room_is_answered_without_content() {
    // Some of those that are refused are waited for, the others not.
    let server = Server::start(&["--workers", "1", "--max-connections", "1"]);
    let mut guest = server.connect();
    guest.send(get("/health").as_bytes());
    assert_eq!(guest.answer().status, 200);
    // While it is stopped, the requests come before it accepts.
    server.halt();
    let mut refused: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    for client in &mut refused {
        client.send(b"HEAD /stats HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    server.resume();
    for client in &mut refused {
        let answer = client.answer_to_head();
        assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
        assert_ne!(answer.field("content-length"), Some("0"));
        assert!(client.is_closed(), "nothing follows the head");
    }
}

/// A client with Nagle's algorithm on, which is the default of sockets, sends head and content in two
/// writes. It sends the second only when the first is acknowledged, for which a kernel takes 40 ms.
#[test]
fn a_request_in_two_writes_does_not_wait_for_a_delayed_acknowledgement() {
    let server = Server::start(&["--workers", "1"]);
    undisturbed(PATIENCE, |_| {
        let mut client = server.connect();
        client.stream.set_nodelay(false).expect("Nagle's algorithm");
        let mut send = |pieces: &[&str]| {
            let start = Instant::now();
            pieces.iter().for_each(|piece| client.send(piece.as_bytes()));
            assert_eq!(client.answer().status, 200);
            start.elapsed()
        };
        let request = event("a", 1.0);
        let (head, content) = request.split_at(request.find('{').expect("content"));
        let (line, fields) = head.split_at(head.find("Content").expect("a field"));
        for pieces in [&[head, content][..], &[line, fields, content]] {
            // The first requests of a connection are acknowledged at once in any case.
            let slow = (0..40).filter(|_| send(pieces) > Duration::from_millis(30)).count();
            if slow > 20 {
                return Err(Failure::Late(format!("{slow} of 40 waited")));
            }
        }
        Ok(())
    });
}
