//! Thousands of clients that trickle, beside normal load.
//!
//! One third of them trickles a head, one third a body, and one third asks without reading. Normal
//! load is the challenge client's, with one request in flight on each of 64 connections. It is
//! measured with and without the other clients in turn; the ratio of the medians is the result. Then
//! each client must have been closed at its time-out: not before, and not much later.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::server::Server;
use crate::wire::{get, post};

const HEADER_TIMEOUT: Duration = Duration::from_secs(8);
const BODY_TIMEOUT: Duration = Duration::from_secs(9);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How late an end may be noticed: the server's granularity, one round of ours, a busy machine. A
/// peer that does not read is given up to another time-out if its system took some bytes at first.
const LATE: Duration = Duration::from_millis(2_500);
/// The pause between two bytes of a client.
const TRICKLE_INTERVAL: Duration = Duration::from_secs(1);
/// Requests of one measurement.
const LOAD_EVENTS: u64 = 500_000;
/// Faults that are printed.
const FAULTS_MAX: usize = 5;
/// What normal load must keep of its rate.
const RATIO_MIN: f64 = 0.9;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Head,
    Body,
    Deaf,
}

struct Trickler {
    stream: TcpStream,
    manner: Manner,
    since: Instant,
    sent_bytes: usize,
}

/// What a deaf client sends for ever.
static REQUESTS: LazyLock<String> = LazyLock::new(|| get("/metrics").repeat(200));

/// Measures in turn. Returns what went wrong.
pub fn run(
    millrace: &Path,
    challenge: &Path,
    connections: usize,
    rounds: usize,
) -> Result<Vec<String>, String> {
    let seconds = |name: &str, time: Duration| format!("--{name}-timeout={}", time.as_secs());
    let time_outs = [
        seconds("header", HEADER_TIMEOUT),
        seconds("body", BODY_TIMEOUT),
        seconds("write", WRITE_TIMEOUT),
    ];
    let mut arguments: Vec<&str> = time_outs.iter().map(String::as_str).collect();
    arguments.push("--allow-reset");
    let server = Server::start(millrace, &arguments)?;
    let (mut without, mut with, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        without.push(load(challenge, server.address)?);
        let attack = Attack::new(server.address, connections)?;
        let running = AtomicBool::new(true);
        let rate = thread::scope(|scope| {
            let siege = scope.spawn(|| attack.keep_up(&running));
            let rate = load(challenge, server.address);
            running.store(false, Ordering::Relaxed);
            let mut tricklers = siege.join().expect("it does not panic");
            faults.append(&mut tricklers);
            rate
        })?;
        with.push(rate);
        server.wait_until_alone()?;
        println!(
            "round {round}: {:.0} requests/s alone, {rate:.0} beside {connections} tricklers",
            without[round - 1]
        );
    }
    println!("{}", server.closings()?);
    let ratio = median(&mut with) / median(&mut without);
    println!("ratio of the medians: {ratio:.3}");
    if ratio < RATIO_MIN {
        faults.push(format!("normal load keeps {ratio:.3} of its rate, less than {RATIO_MIN}"));
    }
    server.stop()?;
    Ok(faults)
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Returns the requests a second of the challenge client, which also checks that all are counted.
fn load(challenge: &Path, address: SocketAddr) -> Result<f64, String> {
    let output = Command::new(challenge)
        .args(["--connections=64", "--json", &format!("--events={LOAD_EVENTS}")])
        .arg(format!("http://{address}"))
        .output()
        .map_err(|error| format!("cannot start {}: {error}", challenge.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!(
            "the challenge failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
    json["requests_per_second"].as_f64().ok_or_else(|| format!("no rate in {text}"))
}

struct Attack {
    address: SocketAddr,
    tricklers: Vec<Trickler>,
}

impl Attack {
    fn new(address: SocketAddr, connections: usize) -> Result<Attack, String> {
        let tricklers = (0..connections)
            .map(|number| {
                let manner = [Manner::Head, Manner::Body, Manner::Deaf][number % 3];
                Trickler::new(address, manner)
                    .map_err(|error| format!("connection {number}: {error}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Attack { address, tricklers })
    }

    /// Trickles while `running` holds, and replaces each client that was closed. Then waits until all
    /// are closed. Returns the clients that were closed at the wrong time.
    fn keep_up(mut self, running: &AtomicBool) -> Vec<String> {
        let mut faults = Vec::new();
        while !self.tricklers.is_empty() && faults.len() < FAULTS_MAX {
            let round = Instant::now();
            let mut gone = Vec::new();
            let step = TRICKLE_INTERVAL / self.tricklers.len() as u32;
            let mut number = 0;
            self.tricklers.retain_mut(|trickler| {
                let ended = trickler.trickle();
                if ended {
                    gone.push((trickler.manner, trickler.since.elapsed()));
                } else if trickler.since.elapsed() > 3 * WRITE_TIMEOUT {
                    faults.push(format!("{:?}: never closed", trickler.manner));
                }
                // Spread over the interval, as independent clients would be.
                number += 1;
                if number % 32 == 0 {
                    thread::sleep((step * number).saturating_sub(round.elapsed()));
                }
                !ended
            });
            for (manner, lived) in gone {
                if faults.len() < FAULTS_MAX {
                    faults.extend(manner.judge(lived));
                }
                if running.load(Ordering::Relaxed) {
                    match Trickler::new(self.address, manner) {
                        Ok(trickler) => self.tricklers.push(trickler),
                        Err(error) => faults.push(format!("{manner:?}: {error}")),
                    }
                }
            }
            thread::sleep(TRICKLE_INTERVAL.saturating_sub(round.elapsed()));
        }
        faults
    }
}

impl Manner {
    fn judge(self, lived: Duration) -> Option<String> {
        let (least, most) = match self {
            Manner::Head => (HEADER_TIMEOUT, HEADER_TIMEOUT),
            Manner::Body => (BODY_TIMEOUT, BODY_TIMEOUT),
            Manner::Deaf => (WRITE_TIMEOUT, 2 * WRITE_TIMEOUT),
        };
        let in_time = lived >= least && lived <= most + LATE;
        (!in_time).then(|| format!("{self:?}: closed after {lived:?}"))
    }
}

impl Trickler {
    fn new(address: SocketAddr, manner: Manner) -> std::io::Result<Trickler> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        if manner == Manner::Deaf {
            SockRef::from(&stream).set_recv_buffer_size(4 * 1024)?;
        }
        stream.set_nonblocking(true)?;
        let mut trickler = Trickler { stream, manner, since: Instant::now(), sent_bytes: 0 };
        // Longer than it gets before its time-out.
        let request = post(&" ".repeat(1_000));
        match manner {
            Manner::Head => trickler.stream.write_all(b"P")?,
            Manner::Body => {
                trickler.stream.write_all(&request.as_bytes()[..request.len() - 1_000])?
            }
            Manner::Deaf => {
                trickler.trickle();
            }
        }
        Ok(trickler)
    }

    /// Sends a byte, or looks whether the server has closed. Returns whether it has.
    fn trickle(&mut self) -> bool {
        let gone = |error: std::io::Error| error.kind() != ErrorKind::WouldBlock;
        match self.manner {
            // An endless method, so that the head never ends.
            Manner::Head if self.stream.write(b"P").is_err_and(gone) => return true,
            Manner::Body if self.stream.write(b" ").is_err_and(gone) => return true,
            // Asks until the server takes no more requests.
            Manner::Deaf => {
                let rest = &REQUESTS.as_bytes()[self.sent_bytes % REQUESTS.len()..];
                return match self.stream.write(rest) {
                    Ok(count) => {
                        self.sent_bytes += count;
                        false
                    }
                    Err(error) => gone(error),
                };
            }
            _ => {}
        }
        // The answer `408`, if it has come, then the end.
        let mut room = [0; 1024];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return gone(error),
            }
        }
    }
}
