//! What clients and operators notice while a large state is read.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use crate::Scratch;
use crate::refusals::snapshot;
use crate::support::{Client, PATIENCE, Server, Stats, event, eventually, get, lines_of, post};

/// Users of the large state, in batches.
const BATCHES: u64 = 150;
const BATCH: u64 = 2_000;

/// Makes a state whose reading takes a test build some tenths of a second.
fn make_large(scratch: &Scratch) {
    let server = Server::run(&mut scratch.command(&[]));
    let mut client = server.connect();
    for number in 0..BATCHES {
        let line = |user| format!("{{\"userId\":\"user_{number}_{user}\",\"value\":1}}\n");
        client.send(post("/events", &(0..BATCH).map(line).collect::<String>()).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    drop(client);
    server.stop();
}

/// A server that has been halted as soon as its address was taken.
struct Halted {
    child: Child,
    lines: Receiver<String>,
    client: Client,
}

impl Halted {
    fn new(command: &mut Command, address: SocketAddr) -> Halted {
        let mut child = command.args(["--listen", &address.to_string()]).spawn().unwrap();
        let lines = lines_of(child.stderr.take().unwrap());
        let mut client = None;
        eventually("the address is taken", || {
            client = Client::connect(address).ok();
            client.is_some()
        });
        let halted = Halted { child, lines, client: client.unwrap() };
        halted.signal(libc::SIGSTOP);
        halted
    }

    fn signal(&self, signal: i32) {
        // SAFETY: kill(2) takes numbers; the process has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The halt makes the reading last longer than a second, on any machine.
#[test]
fn clients_wait_in_the_queue_while_the_state_is_read() {
    let scratch = Scratch::new();
    make_large(&scratch);
    let mut halted = Halted::new(&mut scratch.command(&[]), free_address());
    halted.client.send((event("another", 1.0) + &get("/stats")).as_bytes());
    thread::sleep(Duration::from_millis(1_100));
    assert!(halted.lines.try_recv().is_err(), "it was ready too early for this test");
    halted.signal(libc::SIGCONT);
    let progress = halted.lines.recv_timeout(PATIENCE).unwrap();
    assert!(progress.contains("reading the state directory bytes="), "{progress}");
    assert!(progress.contains(" of=") && progress.contains(" ids="), "{progress}");
    assert_eq!(halted.client.answer().status, 200);
    let stats = Stats::parse(&halted.client.answer().text());
    let count = BATCHES * BATCH + 1;
    assert_eq!((stats.events, stats.users, stats.sum), (count, count, Some(count as f64)));
    halted.child.kill().unwrap();
    halted.child.wait().unwrap();
    let rest: Vec<_> = halted.lines.iter().collect();
    let read = format!("the state directory is read path={}", scratch.state().display());
    assert!(rest.iter().any(|line| line.contains(&read)), "{rest:?}");
}

/// The signals come while the server is halted, so that it finds them when it goes on to read. A server
/// that has read everything before the halt stops as usual, and is no proof.
#[test]
fn a_stop_while_the_state_is_read_ends_the_start_and_changes_nothing() {
    let scratch = Scratch::new();
    make_large(&scratch);
    let before = snapshot(&scratch.state()).unwrap();
    for signals in [&[libc::SIGTERM][..], &[libc::SIGINT], &[libc::SIGTERM, libc::SIGINT]] {
        let ended_in_time = (0..20).any(|_| {
            let mut halted = Halted::new(&mut scratch.command(&[]), free_address());
            signals.iter().for_each(|&signal| halted.signal(signal));
            halted.signal(libc::SIGCONT);
            let status = halted.child.wait().unwrap();
            let lines: Vec<_> = halted.lines.iter().collect();
            assert_eq!(status.code(), Some(0), "{signals:?}: {lines:?}");
            !lines.iter().any(|line| line.contains("listening on")) && {
                let expected = "stopped before the state directory was read";
                assert!(lines.iter().any(|line| line.contains(expected)), "{lines:?}");
                assert!(snapshot(&scratch.state()).unwrap() == before, "{signals:?} changed it");
                true
            }
        });
        assert!(ended_in_time, "{signals:?}: it was ready too early for this test, 20 times");
    }
}
