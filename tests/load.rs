//! Many clients at once: exact statistics, and readings that are states that were.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use support::{Client, Server, Stats, event, get, post};

/// Events of the longer tests; `MILLRACE_TEST_EVENTS` asks for more.
fn events() -> u64 {
    std::env::var("MILLRACE_TEST_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(40_000)
}

#[test]
fn a_hundred_thousand_events_are_exact() {
    const CONNECTIONS: u64 = 50;
    const EVENTS: u64 = 100_000;
    const DEPTH: u64 = 20;
    let server = Server::start(&["--workers", "2"]);
    let address = server.address;
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::connect(address).expect("a connection");
                let indexes: Vec<u64> =
                    (connection..EVENTS).step_by(CONNECTIONS as usize).collect();
                for batch in indexes.chunks(DEPTH as usize) {
                    let requests: String = batch
                        .iter()
                        .map(|i| event(&format!("user_{}", i % 7_500), (i % 1000) as f64 / 8.0))
                        .collect();
                    client.send(requests.as_bytes());
                    for _ in batch {
                        assert_eq!(client.answer().status, 200);
                    }
                }
            });
        }
    });
    let sum = 100.0 * 499_500.0 / 8.0;
    let expected =
        Stats { events: EVENTS, users: 7_500, sum: Some(sum), average: Some(sum / EVENTS as f64) };
    assert_eq!(Stats::parse(&server.stats()), expected);
    assert_eq!(server.stop(), expected);
}

/// Chains of cause and effect: +1 on one connection, and only after its answer -1 on another, which
/// another worker owns. At every instant each chain has added 0 or 1. Readers watch that the sum
/// says so, that there are never more users than events, that nothing goes back, and that what was
/// answered before the question is in the answer. Resets come in between, when no chain is halfway.
#[test]
fn every_reading_is_a_state_that_was() {
    const CHAINS: u64 = 2;
    let server = Server::start(&["--workers", "3", "--allow-reset"]);
    let address = server.address;
    let events_each = events() / CHAINS / 4;
    for _round in 0..4 {
        let running = AtomicBool::new(true);
        // Events of each chain that have been answered.
        let answered: Vec<AtomicU64> = (0..CHAINS).map(|_| AtomicU64::new(0)).collect();
        let readings = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut client = Client::connect(address).expect("a connection");
                    let mut last = 0;
                    while running.load(Ordering::Acquire) {
                        let before: u64 =
                            answered.iter().map(|count| count.load(Ordering::Acquire)).sum();
                        client.send(get("/stats").as_bytes());
                        let stats = Stats::parse(&client.answer().text());
                        let sum = stats.sum.expect("in range");
                        assert!(
                            (0.0..=CHAINS as f64).contains(&sum) && sum.fract() == 0.0,
                            "sum {sum}"
                        );
                        assert!(stats.users <= stats.events, "{stats:?}");
                        assert!(stats.events >= before, "{before} answered before, {stats:?}");
                        assert!(stats.events >= last, "{last} before, {stats:?}");
                        last = stats.events;
                        readings.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let chains: Vec<_> = answered
                .iter()
                .enumerate()
                .map(|(chain, answered)| {
                    scope.spawn(move || {
                        let mut connections =
                            [0; 3].map(|_| Client::connect(address).expect("a connection"));
                        for link in 0..events_each {
                            let value = if link % 2 == 0 { 1.0 } else { -1.0 };
                            let user = format!("{chain}:{link}");
                            let connection = &mut connections[link as usize % 3];
                            connection.send(event(&user, value).as_bytes());
                            assert_eq!(connection.answer().status, 200);
                            answered.fetch_add(1, Ordering::Release);
                        }
                    })
                })
                .collect();
            for chain in chains {
                chain.join().expect("no panic");
            }
            running.store(false, Ordering::Release);
        });
        assert!(readings.into_inner() > 0);
        let stats = Stats::parse(&server.stats());
        assert_eq!((stats.events, stats.users), (events_each * CHAINS, events_each * CHAINS));
        assert_eq!(server.once(&post("/reset", "")).status, 200);
        assert_eq!(server.count(), 0);
    }
}

/// Resets while events come. No reading is a mixture of before and after, and by what was sent and
/// answered around it each reading is bounded on both sides:
/// - nothing answered before the reset was asked for is still in it;
/// - everything sent after the reset's answer and answered before the question is in it.
#[test]
fn a_reset_is_an_instant_in_the_same_order() {
    let server = Server::start(&["--workers", "2", "--allow-reset"]);
    let address = server.address;
    let running = AtomicBool::new(true);
    let (sent, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for client in 0..3 {
            let (running, sent, answered) = (&running, &sent, &answered);
            scope.spawn(move || {
                let mut connection = Client::connect(address).expect("a connection");
                let mut n = 0u64;
                while running.load(Ordering::Relaxed) {
                    // Each user has one event of value 1, so all three numbers are always equal.
                    sent.fetch_add(1, Ordering::SeqCst);
                    connection.send(event(&format!("{client}:{n}"), 1.0).as_bytes());
                    assert_eq!(connection.answer().status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                    n += 1;
                }
            });
        }
        let mut connection = server.connect();
        let mut other = server.connect();
        for round in 0..events() / 200 {
            let answered_before_reset = answered.load(Ordering::SeqCst);
            connection.send(post("/reset", "").as_bytes());
            assert_eq!(connection.answer().status, 200);
            let sent_until_reset = sent.load(Ordering::SeqCst);
            other.send(event(&format!("mark:{round}"), 1.0).as_bytes());
            assert_eq!(other.answer().status, 200);
            let answered_before_question = answered.load(Ordering::SeqCst);
            connection.send(get("/stats").as_bytes());
            let stats = Stats::parse(&connection.answer().text());
            let sent_until_answer = sent.load(Ordering::SeqCst);
            assert_eq!((stats.users, stats.sum), (stats.events, Some(stats.events as f64)));
            // The mark is one more on both sides.
            let least = 1 + answered_before_question.saturating_sub(sent_until_reset);
            let most = 1 + sent_until_answer - answered_before_reset;
            assert!(
                (least..=most).contains(&stats.events),
                "round {round}: {stats:?} is not within {least}..={most}"
            );
        }
        running.store(false, Ordering::Relaxed);
    });
}
