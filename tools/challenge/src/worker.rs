//! One sending thread: a poll loop over its share of the connections.
//!
//! A connection that has room gets as many requests as fit, and sends them in one call. What comes
//! back is read in one call, and the clock is read once for all answers in it.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::answer::{self, Answer, Read, Reader};
use crate::connection::{Connection, InFlight, Request};
use crate::outcome::Outcome;
use crate::pace::Pace;
use crate::producer::{Producer, Reply, Verdict};
use crate::shared::Shared;

/// Bytes received at once.
const RECEIVE_BYTES: usize = 256 * 1024;
/// Pause before the next attempt to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
/// How often to look for requests that have waited too long.
const TIMEOUT_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// A sending thread.
pub struct Worker<'s> {
    shared: &'s Shared,
    poll: Poll,
    slots: Vec<Slot>,
    /// Slots whose connection has room for a request.
    roomy: VecDeque<usize>,
    /// When to connect again.
    retries: Vec<(Instant, usize)>,
    /// Requests without a producer that came back unsent.
    returned: Vec<Request>,
    /// Requests that producers have to send again.
    again: usize,
    /// The plan has no more events.
    exhausted: bool,
    start: Instant,
    reader: Reader,
    room: Box<[u8]>,
    outcome: Outcome,
}

/// The place of a connection.
struct Slot {
    connection: Option<Connection>,
    producer: Option<Producer>,
    /// When it could not be connected for the first time since it last was.
    failing_since: Option<Instant>,
    is_roomy: bool,
}

impl<'s> Worker<'s> {
    /// Opens the connections of the slots with these numbers.
    pub fn connect(shared: &'s Shared, numbers: std::ops::Range<usize>) -> io::Result<Worker<'s>> {
        let mut worker = Worker {
            shared,
            poll: Poll::new()?,
            slots: Vec::new(),
            roomy: VecDeque::new(),
            retries: Vec::new(),
            returned: Vec::new(),
            again: 0,
            exhausted: false,
            start: Instant::now(),
            reader: Reader::default(),
            room: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            outcome: Outcome::new(),
        };
        for (slot, number) in numbers.enumerate() {
            let name = shared.producers.as_ref().map(|start| format!("{start}-{number}"));
            let producer = name.map(Producer::new);
            let failing_since = None;
            worker.slots.push(Slot { connection: None, producer, failing_since, is_roomy: false });
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
            if self.is_done() {
                return Ok(self.outcome);
            }
            match self.poll.poll(&mut events, Some(self.patience(pace.as_ref()))) {
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

    fn is_done(&self) -> bool {
        let in_flight = self.connections().any(|connection| connection.in_flight() > 0);
        let no_connection_left = self.retries.is_empty() && self.connections().next().is_none();
        let is_gone = self.shared.server_is_gone.load(Ordering::Relaxed);
        (self.has_sent_all() && !in_flight) || no_connection_left || is_gone
    }

    /// Whether no request waits to be sent.
    fn has_sent_all(&self) -> bool {
        self.exhausted && self.returned.is_empty() && self.again == 0
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().filter_map(|slot| slot.connection.as_ref())
    }

    /// How long to wait for answers before there is something else to do.
    fn patience(&self, pace: Option<&Pace>) -> Duration {
        let pace = pace.filter(|_| !self.exhausted && !self.roomy.is_empty());
        pace.map_or(TIMEOUT_CHECK_INTERVAL, |pace| {
            // The kernel's resolution is a millisecond; the rest of the wait is spun.
            let wait = pace.next().saturating_duration_since(Instant::now());
            Duration::from_millis(wait.as_millis() as u64).min(TIMEOUT_CHECK_INTERVAL)
        })
    }

    /// Gives requests to connections that have room. In a closed loop each is filled at once; at a
    /// rate they take turns, one request each.
    fn fill(&mut self, mut pace: Option<&mut Pace>) {
        for _ in 0..self.roomy.len() {
            if self.has_sent_all() {
                return;
            }
            let now = Instant::now();
            if pace.as_ref().is_some_and(|pace| pace.next() > now) {
                return;
            }
            let Some(slot) = self.roomy.pop_front() else { return };
            let place = &mut self.slots[slot];
            if place.producer.as_mut().is_some_and(|producer| producer.is_paused(now)) {
                self.roomy.push_back(slot);
                continue;
            }
            place.is_roomy = false;
            let Some(connection) = &place.connection else { continue };
            let room = self.shared.pipeline.saturating_sub(connection.in_flight());
            let room = if pace.is_some() { room.min(1) } else { room };
            for _ in 0..room {
                let Some(request) = self.next_request(slot) else { break };
                let since = pace.as_deref_mut().map_or(now, |pace| {
                    let due = pace.next();
                    pace.advance();
                    due
                });
                self.push(slot, request, since);
            }
            self.send(slot);
            self.offer(slot);
        }
    }

    /// Returns the next request for a slot's connection.
    fn next_request(&mut self, slot: usize) -> Option<Request> {
        let producer = &mut self.slots[slot].producer;
        if let Some(request) = producer.as_mut().and_then(Producer::next_again) {
            self.again -= 1;
            return Some(request);
        }
        if producer.as_ref().is_some_and(Producer::is_refused) {
            return None;
        }
        if let Some(request) = self.returned.pop() {
            return Some(request);
        }
        let Some(slice) = self.shared.plan.take() else {
            self.exhausted = true;
            return None;
        };
        Some(match producer {
            Some(producer) => producer.number(slice),
            None => Request { slice, number: 0 },
        })
    }

    fn push(&mut self, slot: usize, request: Request, since: Instant) {
        let Slot { connection, producer, .. } = &mut self.slots[slot];
        let Some(connection) = connection else { return };
        let fields = producer.as_ref().map(|producer| producer.fields(request.number));
        let plan = &self.shared.plan;
        connection.push(request, since, |out| {
            plan.write_request(request.slice, fields.as_deref().unwrap_or(""), out);
        });
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
            // What the server answered before it closed can still be read.
            self.receive(slot, true);
            self.lose(slot, "connection reset");
        }
    }

    /// Receives what is there. `to_the_end`: the server may have closed. Answers and the end of the
    /// connection can come as one event, so a short read does not mean that nothing follows.
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
                // The server announced that it closes, which is no error of requests not sent yet.
                Ok(true) => return self.lose(slot, "closed before the answer"),
                Ok(false) if received < self.room.len() && !to_the_end => return self.offer(slot),
                Ok(false) => {}
                Err(kind) => return self.lose(slot, kind),
            }
        }
    }

    /// Takes the answers out of what was received. Returns whether the last of them ends the
    /// connection.
    fn take_answers(
        &mut self,
        slot: usize,
        received: usize,
        ended: bool,
    ) -> Result<bool, &'static str> {
        let Some(connection) = &mut self.slots[slot].connection else { return Ok(true) };
        let mut incoming = mem::take(&mut connection.incoming);
        let room = mem::take(&mut self.room);
        let input = if incoming.is_empty() {
            &room[..received]
        } else {
            incoming.extend_from_slice(&room[..received]);
            &incoming
        };
        let now = Instant::now();
        let mut at = 0;
        let result = loop {
            if at == input.len() {
                break Ok(false);
            }
            match self.reader.read(&input[at..], ended) {
                Read::Answer(answer, bytes) => {
                    let text = &input[at..at + bytes];
                    at += bytes;
                    let connection = self.slots[slot].connection.as_mut();
                    let Some(in_flight) = connection.and_then(Connection::pop) else {
                        // An answer without a request: the server closes an idle connection.
                        break Ok(true);
                    };
                    self.take_answer(slot, in_flight, answer, text, now);
                    if answer.closes {
                        break Ok(true);
                    }
                }
                Read::Partial => break Ok(false),
                Read::Malformed => break Err("malformed answer"),
            }
        };
        if incoming.is_empty() {
            incoming.extend_from_slice(&room[at..received]);
        } else {
            incoming.drain(..at);
        }
        self.room = room;
        if let Some(connection) = &mut self.slots[slot].connection {
            connection.incoming = incoming;
        }
        result
    }

    /// Takes one answer, whose bytes are `text`.
    fn take_answer(
        &mut self,
        slot: usize,
        in_flight: InFlight,
        answer: Answer,
        text: &[u8],
        now: Instant,
    ) {
        let InFlight { request, since, .. } = in_flight;
        let latency = now.saturating_duration_since(since).as_nanos() as u64;
        self.outcome.latency.saturating_record(latency.max(1));
        let status = answer.status;
        let is_success = (200..300).contains(&status);
        let events = request.slice.count;
        if is_success
            && self.shared.plan.is_batched()
            && number("counted", text) != Some(events.into())
        {
            self.outcome.error("answer with another count than that of the batch", 1);
            return self.shared.end(events.into(), self.start);
        }
        let verdict = match &mut self.slots[slot].producer {
            None if is_success => Verdict::Counted,
            None => Verdict::Refused,
            Some(producer) => {
                let last = if status == 409 { number("last", text) } else { None };
                let reply = Reply { status, is_duplicate: answer.is_duplicate, last };
                producer.judge(request, reply, now)
            }
        };
        let retries = &mut self.outcome.retries;
        match verdict {
            Verdict::Again => {
                retries.conflicts += u64::from(status == 409);
                retries.busy += u64::from(status == 503);
                retries.sent_again += 1;
                self.again += 1;
                return;
            }
            Verdict::Counted => self.outcome.success(events),
            Verdict::Duplicate => {
                retries.duplicates += 1;
                self.outcome.success(events);
            }
            Verdict::Refused => self.outcome.error(format!("status {status}"), 1),
            Verdict::Forgotten => self.outcome.error("answered before, and forgotten since", 1),
        }
        self.shared.end(events.into(), self.start);
        if verdict == Verdict::Refused || verdict == Verdict::Forgotten {
            self.give_up_if_refused(slot);
        }
    }

    /// The connection has ended. Requests with a producer are sent again. Of the others, those that
    /// were sent end as errors of this kind, and the rest moves to other connections.
    fn lose(&mut self, slot: usize, kind: &'static str) {
        let place = &mut self.slots[slot];
        let Some(connection) = place.connection.take() else { return };
        let lost = connection.close();
        if let Some(producer) = &mut place.producer {
            let count = lost.unanswered.len() + lost.unsent.len();
            self.outcome.retries.lost_connections += u64::from(count > 0);
            self.outcome.retries.sent_again += lost.unanswered.len() as u64;
            self.again += count;
            producer.take_back(lost);
            self.give_up_if_refused(slot);
        } else {
            self.outcome.error(format!("unanswered: {kind}"), lost.unanswered.len());
            let events = lost.unanswered.iter().map(|request| u64::from(request.slice.count));
            self.shared.end(events.sum(), self.start);
            self.outcome.moved += lost.unsent.len() as u64;
            self.returned.extend(lost.unsent);
        }
        if self.has_work_for(slot) {
            self.outcome.reconnects += 1;
            self.open(slot);
        }
    }

    /// Whether a connection of this slot would have something to send.
    fn has_work_for(&self, slot: usize) -> bool {
        let producer = self.slots[slot].producer.as_ref();
        producer.map_or(!(self.exhausted && self.returned.is_empty()), |producer| {
            producer.again() > 0 || !(self.exhausted || producer.is_refused())
        })
    }

    /// A producer with a refused request cannot go on, since the numbers behind it are gaps: ends its
    /// connection and its requests.
    fn give_up_if_refused(&mut self, slot: usize) {
        let Slot { connection, producer, .. } = &mut self.slots[slot];
        let Some(producer) = producer.as_mut().filter(|producer| producer.is_refused()) else {
            return;
        };
        if let Some(connection) = connection.take() {
            let lost = connection.close();
            self.again += lost.unanswered.len() + lost.unsent.len();
            producer.take_back(lost);
        }
        let requests = producer.give_up();
        self.abandon(requests, "behind a refused request");
    }

    fn abandon(&mut self, requests: Vec<Request>, kind: &str) {
        self.again -= requests.len();
        self.outcome.error(format!("unanswered: {kind}"), requests.len());
        let events = requests.iter().map(|request| u64::from(request.slice.count));
        self.shared.end(events.sum(), self.start);
    }

    fn open(&mut self, slot: usize) {
        let opened = Connection::open(self.shared.address).and_then(|mut connection| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(connection.stream_mut(), Token(slot), interest)?;
            Ok(connection)
        });
        let now = Instant::now();
        let place = &mut self.slots[slot];
        match opened {
            Ok(connection) => {
                place.failing_since = None;
                place.connection = Some(connection);
                self.offer(slot);
            }
            Err(error) => {
                let since = *place.failing_since.get_or_insert(now);
                if now.duration_since(since) < self.shared.connect_patience {
                    self.retries.push((now + CONNECT_PAUSE, slot));
                    return;
                }
                let requests = place.producer.as_mut().map_or_else(Vec::new, Producer::give_up);
                self.outcome.error(format!("connect: {}", error.kind()), 1);
                self.abandon(requests, "no connection");
            }
        }
    }

    fn retry(&mut self, now: Instant) {
        let (due, later): (Vec<_>, Vec<_>) =
            mem::take(&mut self.retries).into_iter().partition(|&(at, _)| at <= now);
        self.retries = later;
        for (_, slot) in due {
            self.open(slot);
        }
    }

    fn end_overdue(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            let connection = self.slots[slot].connection.as_ref();
            let oldest = connection.and_then(Connection::oldest);
            if oldest.is_some_and(|oldest| {
                now.saturating_duration_since(oldest.since) > self.shared.timeout
            }) {
                self.lose(slot, "time-out");
            }
        }
    }
}

/// Returns a number of the JSON object that is an answer's content.
fn number(member: &str, text: &[u8]) -> Option<u64> {
    let (_, content) = answer::whole(text)?;
    let content: serde_json::Value = serde_json::from_slice(&content).ok()?;
    content[member].as_u64()
}
