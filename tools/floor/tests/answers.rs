//! The floor from outside: it gives exactly one answer for each request, in any pieces that the
//! requests arrive in.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const REQUEST: &str = "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 26\r\n\r\n\
    {\"userId\":\"u\",\"value\":1.25}";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// A running floor; killed when dropped.
struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    fn start() -> Floor {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floor"));
        let mut child = command.args(["--port", "0"]).stdout(Stdio::piped()).spawn().expect("runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on http://").expect("an address");
        let address = address.to_owned();
        Floor { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it accepts");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything until the server closes, which it does once we have.
fn rest_of(mut stream: &TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("it closes after our end");
    received
}

#[test]
fn pipelined_requests_get_exactly_as_many_answers() {
    let floor = Floor::start();
    for requests in [1, 2, 16, 1_000] {
        let mut stream = floor.connect();
        stream.write_all(REQUEST.repeat(requests).as_bytes()).expect("sent");
        stream.shutdown(Shutdown::Write).expect("shut down");
        assert!(rest_of(&stream) == ANSWER.repeat(requests), "{requests} requests");
    }
}

#[test]
fn split_requests_get_exactly_as_many_answers() {
    let floor = Floor::start();
    for cut in 1..REQUEST.len() {
        let mut stream = floor.connect();
        let (first, second) = REQUEST.split_at(cut);
        for part in [first, second, first, second] {
            stream.write_all(part.as_bytes()).expect("sent");
        }
        stream.shutdown(Shutdown::Write).expect("shut down");
        assert!(rest_of(&stream) == ANSWER.repeat(2), "cut after {cut} bytes");
    }
}

/// More answers than the sockets hold: the floor must stop reading, and go on at the next edge.
#[test]
fn a_client_that_reads_late_gets_every_answer() {
    const REQUESTS: usize = 400_000;
    let floor = Floor::start();
    let stream = floor.connect();
    let mut writer = stream.try_clone().expect("a second handle");
    let sent = AtomicUsize::new(0);
    let received = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let batch = REQUEST.repeat(100);
            for _ in 0..REQUESTS / 100 {
                writer.write_all(batch.as_bytes()).expect("sent");
                sent.fetch_add(batch.len(), Ordering::Relaxed);
            }
            writer.shutdown(Shutdown::Write).expect("shut down");
        });
        // Not before the sender is stuck, since the floor has stopped reading. A sender that is
        // only slow makes the test easier.
        let mut before = 0;
        while before == 0 || before != sent.load(Ordering::Relaxed) {
            before = sent.load(Ordering::Relaxed);
            thread::sleep(Duration::from_millis(50));
        }
        let received = rest_of(&stream);
        sender.join().expect("no panic");
        received
    });
    assert_eq!(received.len(), REQUESTS * ANSWER.len());
    assert!(received.chunks(ANSWER.len()).all(|answer| answer == ANSWER));
}
