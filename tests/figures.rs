//! Figures of docs/performance.md that no load generator shows; prints them, and holds them to what is
//! promised. Not part of the usual tests, since a busy machine is slow:
//!
//! ```text
//! cargo test --release --test figures -- --ignored --nocapture
//! ```

mod support;

use std::time::{Duration, Instant};

use support::{Client, Server, event, get};

const CONNECTIONS: usize = 10_000;
const IDLE_BYTES_MAX: f64 = 16e6;
const START_MAX: Duration = Duration::from_millis(5);

#[test]
#[ignore = "a measurement"]
fn resident_memory_with_ten_thousand_idle_connections() {
    let server = Server::start(&["--workers", "2"]);
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(event("a", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    let bytes = server.metric("process_resident_memory_bytes");
    println!("resident memory with {CONNECTIONS} idle connections: {:.1} MB", bytes / 1e6);
    assert!(bytes <= IDLE_BYTES_MAX);
}

#[test]
#[ignore = "a measurement"]
fn start_to_first_answer() {
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            let server = Server::start(&[]);
            assert_eq!(server.once(&get("/stats")).status, 200);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("start to first answer, median of {}: {median:?}", times.len());
    assert!(median <= START_MAX);
}
