//! One connection: what it holds between two turns, and what one turn does.
//!
//! A turn is worth as few system calls as the kernel allows: one `recv` of what is there, an answer
//! to every whole request in it, one `send` of all the answers.
//!
//! ```text
//!            recv                advance, request …            settle        send
//! socket ──────────► input ─────────────────────────► output ────────► … ──────────► socket
//!                      │ left over: start of a request   │ left over: answers not taken
//!                      ▼                                 ▼
//!                     held                             unsent
//! ```
//!
//! `input` and `output` belong to the worker and serve all its connections; `held` and `unsent` are
//! lent buffers, empty on an idle connection. While `unsent` is not empty nothing is read: a client
//! that sends for ever and reads nothing holds one turn's answers and one turn's input.
//!
//! Readiness is edge-triggered. `readable` remembers an edge until a short read uses it up; a turn
//! that stops for any other reason says [`Next::Again`], since no new edge will come for it.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::buffers::{Buffer, Buffers};
use super::meters::{Activity, Closed, Meters};
use super::stream::{Stream, receive, send};
use super::timers::Class;
use super::{After, Handler};
use crate::http::exchange::Stage;
use crate::http::line::empty_lines_length;
use crate::http::response::CONTINUE;
use crate::http::{Exchange, HttpError, Memo, Refusal, Step};
use crate::limits::{
    LENT_BUFFER_BYTES, LINGER_BYTES_MAX, TURN_ANSWER_BYTES_MAX, TURN_REQUESTS_MAX,
    WRITE_PROGRESS_BYTES_MIN,
};
use crate::sys::clock::exact_ns;

/// A client's connection.
pub struct Connection<S> {
    stream: S,
    peer: SocketAddr,
    exchange: Exchange,
    /// The start of the request under way, or requests that a turn had no time for.
    held: Buffer,
    /// Whether `held` may begin with a whole request.
    held_is_due: bool,
    /// The rest of answers that the peer has not taken.
    unsent: Buffer,
    /// What the socket held when the peer was last seen to read, and has been given since; only
    /// kept while answers are unsent.
    owed_bytes: usize,
    phase: Phase,
    /// There may be something to receive.
    pub readable: bool,
    /// The peer may have closed its side, so that one more read is owed after a short one.
    pub read_closed: bool,
    /// The connection stands in the worker's list of those that go on without a new edge.
    pub queued: bool,
    /// The connection is one too many: it is told so, and counts for no limit.
    pub turned_away: bool,
    activity: Activity,
}

/// How far the end of a connection has come.
enum Phase {
    /// Requests are read and answered.
    Open,
    /// The last answer is on its way out.
    Ending(Closed),
    /// It has left, and so has our FIN; what the peer still sends is thrown away until it closes,
    /// because closing with unread input would reset the connection and destroy the answer.
    Lingering { reason: Closed, left_bytes: usize },
}

/// What a turn works with; all of it belongs to the worker.
pub struct Desk<'w, H> {
    pub handler: &'w mut H,
    pub memo: &'w mut Memo,
    pub input: &'w mut [u8],
    pub output: &'w mut Vec<u8>,
    pub buffers: &'w mut Buffers,
    pub meters: &'w Meters,
    pub draining: bool,
    /// When the worker learned what there is to do in this round.
    pub ready_ns: u64,
}

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until an edge or this time-out, which starts anew with `restart`.
    Wait { class: Class, restart: bool },
    /// Another turn, after the others have had theirs; whether requests were answered in this one.
    Again { answered: bool },
    /// The end.
    Close(Closed),
    /// The connection is the handler's.
    Detach,
}

/// Why the requests of one input came to an end.
enum Stop {
    /// The rest is the start of a request.
    Starved,
    /// The turn is over.
    Budget,
    /// The connection ends with this answer.
    End(Closed),
    /// The connection is the handler's, with this answer.
    Detach,
}

/// What is left of an input after its requests have been answered.
struct Served {
    stop: Stop,
    requests: usize,
    rest: std::ops::Range<usize>,
}

impl<S: Stream> Connection<S> {
    /// A fresh connection.
    pub fn new(stream: S, peer: SocketAddr, content_bytes_max: usize) -> Self {
        Connection {
            stream,
            peer,
            exchange: Exchange::new(content_bytes_max),
            held: Buffer::default(),
            held_is_due: false,
            unsent: Buffer::default(),
            owed_bytes: 0,
            phase: Phase::Open,
            readable: false,
            read_closed: false,
            queued: false,
            turned_away: false,
            activity: Activity::Idle,
        }
    }

    /// A connection that comes from another server; whatever it holds is due a turn.
    pub fn arrive(
        stream: S,
        peer: SocketAddr,
        content_bytes_max: usize,
        held: &[u8],
        unsent: &[u8],
    ) -> Self {
        let mut connection = Connection::new(stream, peer, content_bytes_max);
        connection.held.append(held);
        connection.held_is_due = !held.is_empty();
        connection.unsent.append(unsent);
        let untaken_bytes = connection.stream.untaken_bytes().unwrap_or(0);
        connection.owed_bytes = untaken_bytes + unsent.len();
        connection.readable = true;
        connection
    }

    /// Whether requests may still come, so that it can go on elsewhere.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// What an open connection consists of between two turns; its buffers go back.
    pub fn depart(mut self, buffers: &mut Buffers, meters: &Meters) -> (S, Vec<u8>, Vec<u8>) {
        let held = self.exchange.replay(self.held.filled());
        let unsent = self.unsent.filled().to_vec();
        self.release(buffers, meters);
        (self.stream, held, unsent)
    }

    /// The socket, to register it.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Does what the last edges made possible, and says what comes next.
    #[inline]
    pub fn turn<H: Handler>(&mut self, desk: &mut Desk<'_, H>) -> Next {
        if !self.unsent.is_empty() {
            match self.send_unsent(desk) {
                Ok(()) if !self.unsent.is_empty() => {
                    return Next::Wait { class: Class::Write, restart: false };
                }
                Ok(()) => {}
                Err(_) => return Next::Close(Closed::SocketError),
            }
        }
        match self.phase {
            Phase::Open => self.serve(desk),
            Phase::Ending(reason) => self.linger(reason, desk),
            Phase::Lingering { .. } => self.discard(desk),
        }
    }

    /// Answers `error`, which no input caused, and ends: a time-out within a request.
    pub fn time_out<H: Handler>(
        &mut self,
        error: HttpError,
        reason: Closed,
        desk: &mut Desk<'_, H>,
    ) -> Next {
        desk.output.clear();
        self.refuse(Refusal::new(error, self.held.filled()), desk);
        self.send_last(reason, desk)
    }

    /// The write time-out is over: another one for a peer that reads, however slowly, the end for
    /// one that does not. An edge for writing is no measure of it, because it comes only when much
    /// of the socket's queue is free.
    pub fn write_time_out(&mut self) -> Next {
        let untaken_bytes = self.stream.untaken_bytes().unwrap_or(self.owed_bytes);
        let taken_bytes = self.owed_bytes.saturating_sub(untaken_bytes);
        if taken_bytes < WRITE_PROGRESS_BYTES_MIN {
            return Next::Close(Closed::WriteTimeout);
        }
        self.owed_bytes = untaken_bytes;
        Next::Wait { class: Class::Write, restart: true }
    }

    /// Tells a client that there are too many, and ends.
    pub fn turn_away<H: Handler>(&mut self, desk: &mut Desk<'_, H>) -> Next {
        self.turned_away = true;
        desk.output.clear();
        desk.handler.overloaded(desk.output);
        self.send_last(Closed::Overload, desk)
    }

    /// Why a connection that lingers is about to be closed.
    pub fn lingering_reason(&self) -> Closed {
        match self.phase {
            Phase::Ending(reason) | Phase::Lingering { reason, .. } => reason,
            Phase::Open => Closed::ByPeer,
        }
    }

    /// Gives lent buffers back and takes the connection out of the meters.
    pub fn release(&mut self, buffers: &mut Buffers, meters: &Meters) {
        buffers.take_back(&mut self.held);
        buffers.take_back(&mut self.unsent);
        meters.activities[self.activity as usize].subtract(1);
    }

    /// Bytes in the buffers lent to it: held input, and unsent answers.
    #[cfg(any(test, fuzzing))]
    pub fn lent_bytes(&self) -> (usize, usize) {
        (self.held.filled().len(), self.unsent.filled().len())
    }

    /// Receives, answers and sends.
    #[inline]
    fn serve<H: Handler>(&mut self, desk: &mut Desk<'_, H>) -> Next {
        desk.output.clear();
        let served = if !self.held.is_empty() {
            if !self.held_is_due {
                match self.receive_held(desk) {
                    Ok(0) => return self.after(false, desk),
                    Ok(_) => {}
                    Err(reason) => return Next::Close(reason),
                }
            }
            let mut held = std::mem::take(&mut self.held);
            let served = self.answer(held.filled_mut(), desk);
            held.keep(served.rest.clone());
            self.held = held;
            served
        } else {
            let received = match receive(&mut self.stream, desk.input, desk.meters) {
                Ok(Some(0)) => return Next::Close(Closed::ByPeer),
                Ok(Some(received)) => received,
                Ok(None) => {
                    self.readable = false;
                    return self.after(false, desk);
                }
                Err(_) => return Next::Close(Closed::SocketError),
            };
            self.readable = received == desk.input.len() || self.read_closed;
            // The input is lent out while it is answered; it is the worker's, and comes back.
            let input = std::mem::take(&mut desk.input);
            let served = self.answer(&mut input[..received], desk);
            if !served.rest.is_empty() {
                self.held = desk.buffers.lend(served.rest.len());
                self.held.append(&input[served.rest.clone()]);
            }
            desk.input = input;
            served
        };
        self.held_is_due = matches!(served.stop, Stop::Budget);
        if self.held.is_empty() {
            desk.buffers.take_back(&mut self.held);
        }
        if self.send_output(desk).is_err() {
            return Next::Close(Closed::SocketError);
        }
        if served.requests > 0 {
            let took_ns = exact_ns().saturating_sub(desk.ready_ns);
            desk.meters.durations.record(took_ns, served.requests as u64);
        }
        match served.stop {
            Stop::End(reason) => self.end(reason, desk),
            Stop::Detach => Next::Detach,
            Stop::Starved | Stop::Budget => self.after(served.requests > 0, desk),
        }
    }

    /// Receives behind what is held; `Ok(0)` if there is nothing yet.
    fn receive_held<H>(&mut self, desk: &mut Desk<'_, H>) -> Result<usize, Closed> {
        if !self.readable {
            return Ok(0);
        }
        let missing = self
            .exchange
            .expected_bytes()
            .map_or(0, |bytes| bytes.saturating_sub(self.held.filled().len()));
        // A client's word for the length is not worth memory; what it has sent is.
        self.held.reserve(missing.clamp(1, LENT_BUFFER_BYTES));
        let room = self.held.room_mut();
        let room_bytes = room.len();
        match receive(&mut self.stream, room, desk.meters) {
            // The peer closed within a request, so there is nothing to answer (RFC 9112, 8).
            Ok(Some(0)) => Err(Closed::ByPeer),
            Ok(Some(received)) => {
                self.held.fill(received);
                self.readable = received == room_bytes || self.read_closed;
                Ok(received)
            }
            Ok(None) => {
                self.readable = false;
                Ok(0)
            }
            Err(_) => Err(Closed::SocketError),
        }
    }

    /// Answers the whole requests at the start of `input` into the output.
    ///
    /// A panic ends the connection: what was answered before it stays answered, and what the
    /// handler had not settled is neither counted nor answered.
    #[inline]
    fn answer<H: Handler>(&mut self, input: &mut [u8], desk: &mut Desk<'_, H>) -> Served {
        let mut answered_bytes = 0;
        let attempt =
            catch_unwind(AssertUnwindSafe(|| self.answer_all(input, desk, &mut answered_bytes)));
        attempt.unwrap_or_else(|_| {
            desk.meters.panics.add(1);
            desk.handler.abandon();
            desk.output.truncate(answered_bytes);
            Served { stop: Stop::End(Closed::Panic), requests: 0, rest: 0..0 }
        })
    }

    /// `answered_bytes` is where the last answer that is whole and settled ends.
    #[inline(always)]
    fn answer_all<H: Handler>(
        &mut self,
        input: &mut [u8],
        desk: &mut Desk<'_, H>,
        answered_bytes: &mut usize,
    ) -> Served {
        let mut at = 0;
        let mut requests = 0;
        let (stop, kept) = loop {
            if at == input.len() {
                break (Stop::Starved, 0);
            }
            if requests == TURN_REQUESTS_MAX || desk.output.len() >= TURN_ANSWER_BYTES_MAX {
                break (Stop::Budget, input.len() - at);
            }
            let (mut request, consumed) = match self.exchange.recall(&input[at..], desk.memo) {
                Some(found) => found,
                None => match self.exchange.advance(&mut input[at..], desk.memo) {
                    Step::Request { request, consumed } => (request, consumed),
                    Step::More { kept, send_continue } => {
                        if send_continue {
                            desk.handler.settle(desk.output);
                            desk.output.extend_from_slice(CONTINUE);
                        }
                        break (Stop::Starved, kept);
                    }
                    Step::Error(refusal) => {
                        self.refuse(refusal, desk);
                        break (Stop::End(Closed::ProtocolError), 0);
                    }
                },
            };
            request.persistent &= !desk.draining;
            *answered_bytes = desk.output.len();
            let after = desk.handler.request(&self.peer, &request, desk.output);
            requests += 1;
            at += consumed;
            if after == After::Detach {
                break (Stop::Detach, 0);
            }
            if !request.persistent {
                break (Stop::End(Closed::AfterAnswer), 0);
            }
        };
        *answered_bytes = desk.output.len();
        desk.handler.settle(desk.output);
        Served { stop, requests, rest: at..at + kept }
    }

    /// Appends the answer to a violation of the protocol, behind all answers owed before it.
    fn refuse<H: Handler>(&mut self, refusal: Refusal, desk: &mut Desk<'_, H>) {
        desk.handler.settle(desk.output);
        desk.handler.refuse(&self.peer, refusal, desk.output);
        desk.meters.http_errors[refusal.error as usize].add(1);
    }

    /// Sends the output; what the socket does not take moves to `unsent`.
    #[inline]
    fn send_output<H>(&mut self, desk: &mut Desk<'_, H>) -> io::Result<()> {
        if desk.output.is_empty() {
            return Ok(());
        }
        let sent = send(&mut self.stream, desk.output, desk.meters)?;
        if sent < desk.output.len() {
            let rest = &desk.output[sent..];
            self.unsent = desk.buffers.lend(rest.len());
            self.unsent.append(rest);
            self.owed_bytes = self.stream.untaken_bytes()?;
        }
        Ok(())
    }

    fn send_unsent<H>(&mut self, desk: &mut Desk<'_, H>) -> io::Result<()> {
        let sent = send(&mut self.stream, self.unsent.filled(), desk.meters)?;
        self.owed_bytes += sent;
        let rest = sent..self.unsent.filled().len();
        self.unsent.keep(rest);
        if self.unsent.is_empty() {
            desk.buffers.take_back(&mut self.unsent);
        }
        Ok(())
    }

    /// Sends what is in the output as the last of this connection.
    fn send_last<H: Handler>(&mut self, reason: Closed, desk: &mut Desk<'_, H>) -> Next {
        desk.buffers.take_back(&mut self.held);
        match self.send_output(desk) {
            Ok(()) => self.end(reason, desk),
            Err(_) => Next::Close(Closed::SocketError),
        }
    }

    /// No further request is read; what is unsent still leaves.
    fn end<H>(&mut self, reason: Closed, desk: &mut Desk<'_, H>) -> Next {
        desk.buffers.take_back(&mut self.held);
        self.phase = Phase::Ending(reason);
        if self.unsent.is_empty() {
            return self.linger(reason, desk);
        }
        self.shift(Activity::Writing, desk.meters);
        Next::Wait { class: Class::Write, restart: true }
    }

    /// All answers have left: says so, and waits for the peer to close (RFC 9112, 9.6).
    fn linger<H>(&mut self, reason: Closed, desk: &mut Desk<'_, H>) -> Next {
        if self.stream.shutdown_write().is_err() {
            return Next::Close(reason);
        }
        self.phase = Phase::Lingering { reason, left_bytes: LINGER_BYTES_MAX };
        self.readable = true;
        self.shift(Activity::Closing, desk.meters);
        self.discard(desk)
    }

    /// Throws away what a peer sends after its last answer.
    fn discard<H>(&mut self, desk: &mut Desk<'_, H>) -> Next {
        let Phase::Lingering { reason, left_bytes } = &mut self.phase else {
            unreachable!("only a connection that lingers discards");
        };
        if !self.readable {
            return Next::Wait { class: Class::Linger, restart: false };
        }
        match receive(&mut self.stream, desk.input, desk.meters) {
            Ok(Some(received)) if received > 0 && received <= *left_bytes => {
                *left_bytes -= received;
                Next::Again { answered: false }
            }
            Ok(None) => {
                self.readable = false;
                Next::Wait { class: Class::Linger, restart: false }
            }
            Ok(Some(_)) | Err(_) => Next::Close(*reason),
        }
    }

    /// What an open connection waits for now.
    #[inline]
    fn after<H>(&mut self, answered: bool, desk: &mut Desk<'_, H>) -> Next {
        let (activity, class) = if !self.unsent.is_empty() {
            (Activity::Writing, Class::Write)
        } else if self.exchange.stage() == Stage::Body {
            (Activity::Reading, Class::Body)
        } else if empty_lines_length(self.held.filled()) < self.held.filled().len() {
            // Empty lines do not begin a request (RFC 9112, 2.2).
            (Activity::Reading, Class::Header)
        } else {
            (Activity::Idle, Class::Idle)
        };
        self.shift(activity, desk.meters);
        if class == Class::Write {
            return Next::Wait { class, restart: true };
        }
        if self.held_is_due || self.readable {
            return Next::Again { answered };
        }
        if desk.draining && activity == Activity::Idle {
            return Next::Close(Closed::Shutdown);
        }
        Next::Wait { class, restart: answered }
    }

    /// Notes what the connection is doing now.
    #[inline(always)]
    fn shift(&mut self, activity: Activity, meters: &Meters) {
        if activity != self.activity {
            meters.activities[self.activity as usize].subtract(1);
            meters.activities[activity as usize].add(1);
            self.activity = activity;
        }
    }
}
