//! One sending thread: a poll loop over its share of the connections.
//!
//! A connection that has room gets as many requests as fit and sends them in one call; what comes
//! back is read in one call, and all answers in it are taken with one look at the clock.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use crate::answer::{Read, Reader};
use crate::connection::Connection;
use crate::pace::Pace;
use crate::plan::Plan;

/// Bytes received at once.
const RECEIVE_BYTES: usize = 256 * 1024;
/// Attempts to connect in a row before a connection is given up.
const CONNECT_ATTEMPTS_MAX: u32 = 20;
/// Pause before the next attempt.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
/// How often requests are looked through for those that wait too long.
const TIMEOUT_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Requests between two marks of the timeline.
pub const MARK_REQUESTS: u64 = 100_000;

/// What all threads share.
pub struct Shared {
    pub plan: Plan,
    pub address: SocketAddr,
    pub pipeline: usize,
    pub timeout: Duration,
    /// Requests that have ended, well or not.
    pub ended: AtomicU64,
    /// Nanoseconds from the start to each 100,000th of them.
    pub marks: Box<[AtomicU64]>,
}

impl Shared {
    /// Counts requests that have ended, and notes the time if they complete 100,000.
    fn end(&self, requests: u64, start: Instant) {
        let before = self.ended.fetch_add(requests, Ordering::Relaxed);
        let (first, last) = (before / MARK_REQUESTS, (before + requests) / MARK_REQUESTS);
        for mark in first..last {
            if let Some(mark) = self.marks.get(mark as usize) {
                mark.store(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
        }
    }
}

/// What a thread has seen.
pub struct Outcome {
    /// Requests answered 2xx.
    pub successes: u64,
    /// Requests that went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Connections opened after the first ones.
    pub reconnects: u64,
    /// Requests moved to another connection before a byte of them was sent.
    pub moved: u64,
    /// Nanoseconds from a request to its answer.
    pub latency: Histogram<u64>,
}

impl Outcome {
    /// Nothing yet.
    pub fn new() -> Outcome {
        // 1 ns to 10 min, to three digits.
        let latency =
            Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("the bounds are in order");
        Outcome { successes: 0, errors: BTreeMap::new(), reconnects: 0, moved: 0, latency }
    }

    /// Adds what another thread has seen.
    pub fn merge(&mut self, other: Outcome) {
        self.successes += other.successes;
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.reconnects += other.reconnects;
        self.moved += other.moved;
        self.latency.add(&other.latency).expect("the bounds are the same");
    }

    fn error(&mut self, kind: impl Into<String>, count: u64) {
        if count > 0 {
            *self.errors.entry(kind.into()).or_default() += count;
        }
    }
}

/// A sending thread.
pub struct Worker<'s> {
    shared: &'s Shared,
    poll: Poll,
    slots: Vec<Slot>,
    /// Slots whose connection has room for a request.
    roomy: VecDeque<usize>,
    /// When to connect again.
    retries: Vec<(Instant, usize)>,
    /// Events that came back unsent.
    returned: Vec<u64>,
    exhausted: bool,
    start: Instant,
    reader: Reader,
    room: Box<[u8]>,
    outcome: Outcome,
}

/// The place of a connection.
struct Slot {
    connection: Option<Connection>,
    failures: u32,
    is_roomy: bool,
}

impl<'s> Worker<'s> {
    /// Connects so many times.
    pub fn connect(shared: &'s Shared, connections: usize) -> io::Result<Worker<'s>> {
        let mut worker = Worker {
            shared,
            poll: Poll::new()?,
            slots: Vec::new(),
            roomy: VecDeque::new(),
            retries: Vec::new(),
            returned: Vec::new(),
            exhausted: false,
            start: Instant::now(),
            reader: Reader::default(),
            room: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            outcome: Outcome::new(),
        };
        for slot in 0..connections {
            worker.slots.push(Slot { connection: None, failures: 0, is_roomy: false });
            worker.open(slot);
        }
        Ok(worker)
    }

    /// Sends its share of the events, at `rate` if there is one, and waits for their answers.
    pub fn run(mut self, start: Instant, rate: Option<f64>) -> io::Result<Outcome> {
        self.start = start;
        let mut pace = rate.map(|rate| Pace::new(start, rate));
        let mut events = Events::with_capacity(1024);
        let mut checked_at = start;
        loop {
            self.fill(pace.as_mut());
            let nothing_to_send = self.exhausted && self.returned.is_empty();
            let in_flight = self.connections().any(|connection| connection.in_flight() > 0);
            let nobody_left = self.retries.is_empty() && self.connections().next().is_none();
            if (nothing_to_send && !in_flight) || nobody_left {
                return Ok(self.outcome);
            }
            let patience = pace
                .as_ref()
                .filter(|_| !self.exhausted && !self.roomy.is_empty())
                .map_or(TIMEOUT_CHECK_INTERVAL, |pace| {
                    // The kernel's resolution is a millisecond; the rest of the wait is spun.
                    let wait = pace.next().saturating_duration_since(Instant::now());
                    Duration::from_millis(wait.as_millis() as u64).min(TIMEOUT_CHECK_INTERVAL)
                });
            match self.poll.poll(&mut events, Some(patience)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                let slot = event.token().0;
                if event.is_writable() {
                    self.send(slot);
                }
                let ends = event.is_read_closed() || event.is_error();
                if event.is_readable() || ends {
                    self.receive(slot, ends);
                }
                // At once, so that the server has work while the other answers are read.
                self.fill(pace.as_mut());
            }
            let now = Instant::now();
            if now.duration_since(checked_at) >= TIMEOUT_CHECK_INTERVAL {
                checked_at = now;
                self.end_overdue(now);
                self.retry(now);
            }
        }
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().filter_map(|slot| slot.connection.as_ref())
    }

    /// Gives requests to connections that have room. In a closed loop each is filled at once; at a
    /// rate they take turns, one request each.
    fn fill(&mut self, mut pace: Option<&mut Pace>) {
        while let Some(&slot) = self.roomy.front() {
            if self.exhausted && self.returned.is_empty() {
                return;
            }
            let now = Instant::now();
            if pace.as_ref().is_some_and(|pace| pace.next() > now) {
                return;
            }
            self.roomy.pop_front();
            self.slots[slot].is_roomy = false;
            let Some(connection) = &mut self.slots[slot].connection else { continue };
            let room = self.shared.pipeline.saturating_sub(connection.in_flight());
            let room = if pace.is_some() { room.min(1) } else { room };
            for _ in 0..room {
                let Some(index) = self.returned.pop().or_else(|| self.shared.plan.take()) else {
                    self.exhausted = true;
                    break;
                };
                let since = pace.as_deref_mut().map_or(now, |pace| {
                    let due = pace.next();
                    pace.advance();
                    due
                });
                connection.push(index, since, |out| self.shared.plan.write_request(index, out));
            }
            self.send(slot);
            self.offer(slot);
        }
    }

    /// Notes that a connection has room, if it has.
    fn offer(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        let has_room = place
            .connection
            .as_ref()
            .is_some_and(|connection| connection.in_flight() < self.shared.pipeline);
        if has_room && !place.is_roomy {
            place.is_roomy = true;
            self.roomy.push_back(slot);
        }
    }

    fn send(&mut self, slot: usize) {
        let Some(connection) = &mut self.slots[slot].connection else { return };
        if connection.send().is_err() {
            // What the server has answered before it closed is still there to be read.
            self.receive(slot, true);
            self.lose(slot, "connection reset");
        }
    }

    /// Receives what is there; `to_the_end` if the server may have closed, since answers and the
    /// end of the connection can come as one event, after which a short read says nothing.
    fn receive(&mut self, slot: usize, to_the_end: bool) {
        loop {
            let Some(connection) = &mut self.slots[slot].connection else { return };
            let received = match connection.receive(&mut self.room) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(_) => return self.lose(slot, "connection reset"),
            };
            let ended = received == 0;
            match self.take_answers(slot, received, ended) {
                Ok(false) if ended => return self.lose(slot, "closed before the answer"),
                // The server said that it would close, which is no error of those not sent yet.
                Ok(true) => return self.lose(slot, "closed before the answer"),
                Ok(false) if received < self.room.len() && !to_the_end => return self.offer(slot),
                Ok(false) => {}
                Err(kind) => return self.lose(slot, kind),
            }
        }
    }

    /// Takes the answers out of what was received; whether the last of them ends the connection.
    fn take_answers(
        &mut self,
        slot: usize,
        received: usize,
        ended: bool,
    ) -> Result<bool, &'static str> {
        let connection =
            self.slots[slot].connection.as_mut().expect("something was received on it");
        let mut incoming = std::mem::take(&mut connection.incoming);
        let input = if incoming.is_empty() {
            &self.room[..received]
        } else {
            incoming.extend_from_slice(&self.room[..received]);
            &incoming
        };
        let now = Instant::now();
        let (mut at, mut ended_requests) = (0, 0);
        let result = loop {
            if at == input.len() {
                break Ok(false);
            }
            match self.reader.read(&input[at..], ended) {
                Read::Answer(answer, bytes) => {
                    at += bytes;
                    // An answer that nobody asked for says goodbye to an idle connection.
                    let Some(request) = connection.pop() else { break Ok(true) };
                    ended_requests += 1;
                    let latency = now.saturating_duration_since(request.since).as_nanos() as u64;
                    self.outcome.latency.saturating_record(latency.max(1));
                    if (200..300).contains(&answer.status) {
                        self.outcome.successes += 1;
                    } else {
                        self.outcome.error(format!("status {}", answer.status), 1);
                    }
                    if answer.closes {
                        break Ok(true);
                    }
                }
                Read::Partial => break Ok(false),
                Read::Malformed => break Err("malformed answer"),
            }
        };
        let rest = input[at..].to_vec();
        incoming.clear();
        incoming.extend_from_slice(&rest);
        connection.incoming = incoming;
        self.shared.end(ended_requests, self.start);
        result
    }

    /// The connection is no more: its sent requests end as errors of this kind, the others are sent
    /// elsewhere, and a new one takes its place.
    fn lose(&mut self, slot: usize, kind: &'static str) {
        let Some(connection) = self.slots[slot].connection.take() else { return };
        let lost = connection.close();
        self.outcome.error(format!("unanswered: {kind}"), lost.unanswered);
        self.outcome.moved += lost.unsent.len() as u64;
        self.shared.end(lost.unanswered, self.start);
        self.returned.extend(lost.unsent);
        if !(self.exhausted && self.returned.is_empty()) {
            self.outcome.reconnects += 1;
            self.open(slot);
        }
    }

    fn open(&mut self, slot: usize) {
        let opened = Connection::open(self.shared.address).and_then(|mut connection| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(connection.stream_mut(), Token(slot), interest)?;
            Ok(connection)
        });
        let place = &mut self.slots[slot];
        match opened {
            Ok(connection) => {
                place.failures = 0;
                place.connection = Some(connection);
                self.offer(slot);
            }
            Err(error) => {
                place.failures += 1;
                if place.failures < CONNECT_ATTEMPTS_MAX {
                    self.retries.push((Instant::now() + CONNECT_PAUSE, slot));
                } else {
                    self.outcome.error(format!("connect: {}", error.kind()), 1);
                }
            }
        }
    }

    fn retry(&mut self, now: Instant) {
        let (due, later) =
            std::mem::take(&mut self.retries).into_iter().partition(|&(at, _)| at <= now);
        self.retries = later;
        let due: Vec<(Instant, usize)> = due;
        for (_, slot) in due {
            self.open(slot);
        }
    }

    fn end_overdue(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            let oldest =
                self.slots[slot].connection.as_ref().and_then(|connection| connection.oldest());
            if oldest.is_some_and(|request| {
                now.saturating_duration_since(request.since) > self.shared.timeout
            }) {
                self.lose(slot, "time-out");
            }
        }
    }
}
