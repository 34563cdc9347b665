//! One connection: what it holds between two turns, and what one turn does.
//!
//! A turn costs as few system calls as the kernel allows: one `recv` of what is there and one `send`
//! of all the answers. In between, the worker commits what this connection and others have staged
//! (see `round`).
//!
//! ```text
//!            recv               turn: read, stage            answer              send
//! socket ──────────► input ──────────────────────► Debt ─────────────► output ──────────► socket
//!                      │ left over: start of a request            │ left over: answers not taken
//!                      ▼                                          ▼
//!                     held                                      unsent
//! ```
//!
//! `input` and `output` belong to the worker and serve all its connections; `held` and `unsent` are
//! lent buffers, empty on an idle connection. While `unsent` is not empty nothing is read: a client
//! that sends for ever and reads nothing holds the answers and the input of one turn.
//!
//! Readiness is edge-triggered. [`Input`] remembers an edge until a short read uses it up; a turn
//! that stops for any other reason returns [`Next::Again`], since no new edge will come for it.
//!
//! The end of a connection is in `ending`.

mod ending;
mod large;
mod phase;
mod progress;
mod sending;
mod travel;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::buffers::{Buffer, Buffers, NoMemory};
use super::meters::{Activity, Closed, Meters};
use super::round::{Account, Debt, Others, Read, Stop};
use super::stream::{Stream, receive};
use super::timers::Class;
use super::{Handler, Part, Reply};
use crate::http::exchange::Stage;
use crate::http::line::empty_lines_length;
use crate::http::refusal::is_head;
use crate::http::response::CONTINUE;
use crate::http::{ContentLimits, Exchange, Memo, Refusal, Request, Step};
use crate::limits::{COST_ANSWER_BYTES, LENT_BUFFER_BYTES, TURN_COST_MAX};
use crate::sys::clock::exact_ns;
use phase::Phase;

/// A client's connection.
pub struct Connection<S, D> {
    stream: S,
    peer: SocketAddr,
    exchange: Exchange,
    /// The start of the request under way, or requests for which a turn had no time.
    held: Buffer,
    held_begins: HeldBegins,
    /// The rest of answers that the peer has not taken.
    unsent: Buffer,
    /// Bytes that the socket held when the peer was last seen to read, and that it was given since;
    /// only kept while the write time-out runs.
    owed_bytes: usize,
    /// Parts of the write time-out in which the peer has not taken enough of `owed_bytes`.
    idle_checks: u32,
    /// What the handler has done of a large request at the start of `held`.
    draft: Option<Box<D>>,
    phase: Phase,
    input: Input,
    activity: Activity,
}

/// What the socket may have for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Nothing until the next edge.
    Empty,
    /// There may be bytes.
    Waiting,
    /// The peer may have closed its side, so that one more read is owed after a short one.
    Closing,
}

/// What the held bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldBegins {
    /// A part of a request; more must arrive first.
    WithPart,
    /// Perhaps a whole request, which no edge announces.
    WithWhole,
}

/// What a turn works with; all of it belongs to the worker.
pub struct Desk<'w, H> {
    pub handler: &'w mut H,
    pub memo: &'w mut Memo,
    pub input: &'w mut [u8],
    pub output: &'w mut Vec<u8>,
    pub others: &'w mut Others,
    pub buffers: &'w mut Buffers,
    pub meters: &'w Meters,
    pub draining: bool,
    /// When the worker learned what there is to do in this round.
    pub ready_ns: u64,
}

/// The result of the first half of a turn.
#[derive(Debug)]
pub enum Turn {
    /// Nothing is owed: what comes next is known.
    Over(Next),
    /// Answers are owed: the second half follows the commit.
    Owing(Debt),
}

/// What the worker does with a connection after its turn.
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

impl<S: Stream, D> Connection<S, D> {
    /// A fresh connection.
    pub fn new(stream: S, peer: SocketAddr, content_limits: ContentLimits) -> Self {
        Connection {
            stream,
            peer,
            exchange: Exchange::new(content_limits),
            held: Buffer::default(),
            held_begins: HeldBegins::WithPart,
            unsent: Buffer::default(),
            owed_bytes: 0,
            idle_checks: 0,
            draft: None,
            phase: Phase::Open,
            input: Input::Empty,
            activity: Activity::Idle,
        }
    }

    /// The socket, to register it.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Notes an edge: there is something to receive, or, with `closing`, perhaps the peer's FIN or
    /// an error.
    #[inline]
    pub fn note_input(&mut self, closing: bool) {
        if closing {
            self.input = Input::Closing;
        } else if self.input == Input::Empty {
            self.input = Input::Waiting;
        }
    }

    /// Returns whether there may be input that no turn has read yet.
    pub fn may_have_input(&self) -> bool {
        self.input != Input::Empty || self.held_begins == HeldBegins::WithWhole
    }

    /// Does the first half of a turn: sends what is unsent, receives, and stages the requests.
    #[inline]
    pub fn turn<H: Handler<Draft = D>>(&mut self, desk: &mut Desk<'_, H>) -> Turn {
        if !self.unsent.is_empty() {
            match self.send_unsent(desk) {
                Ok(()) if !self.unsent.is_empty() => {
                    return Turn::Over(Next::Wait { class: Class::Write, restart: false });
                }
                Ok(()) => {}
                Err(_) => return Turn::Over(Next::Close(Closed::SocketError)),
            }
        }
        match &self.phase {
            Phase::Open => self.serve(desk),
            Phase::Ending(reason) => Turn::Over(self.linger(*reason, desk)),
            Phase::Lingering(lingering) => Turn::Over(self.discard(*lingering, desk)),
        }
    }

    /// Does the second half of a turn: answers what the commit has decided, and sends.
    #[inline]
    pub fn answer<H: Handler>(&mut self, debt: &Debt, desk: &mut Desk<'_, H>) -> Next {
        desk.output.clear();
        desk.others.write(debt, desk.handler, desk.output);
        if let Stop::NoMemory { head_only } = debt.stop {
            desk.handler.lacking_memory(head_only, desk.output);
        }
        if self.send_output(desk).is_err() {
            return Next::Close(Closed::SocketError);
        }
        let requests = debt.read.requests;
        if requests > 0 {
            let took_ns = exact_ns().saturating_sub(desk.ready_ns);
            desk.meters.durations.record(took_ns, u64::from(requests));
        }
        match debt.stop {
            Stop::End(reason) => self.end(reason, desk),
            Stop::NoMemory { .. } => self.end(Closed::NoMemory, desk),
            Stop::Detach => Next::Detach,
            Stop::Starved | Stop::Budget => self.after(requests > 0, desk),
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

    /// Receives and stages.
    #[inline]
    fn serve<H: Handler<Draft = D>>(&mut self, desk: &mut Desk<'_, H>) -> Turn {
        let received =
            if self.held.is_empty() { self.serve_input(desk) } else { self.serve_held(desk) };
        let debt = match received {
            Ok(Some(debt)) => debt,
            Ok(None) => return Turn::Over(self.after(false, desk)),
            Err(Closed::NoMemory) => return Turn::Over(self.lack_memory(desk)),
            Err(reason) => return Turn::Over(Next::Close(reason)),
        };
        self.held_begins = match debt.stop {
            Stop::Budget => HeldBegins::WithWhole,
            _ => HeldBegins::WithPart,
        };
        if self.held.is_empty() {
            desk.buffers.take_back(&mut self.held);
        }
        if debt.is_none() && debt.read.cost == 0 {
            return Turn::Over(self.after(false, desk));
        }
        Turn::Owing(debt)
    }

    /// Receives into the worker's input and stages what is there; `None` if nothing has come.
    #[inline]
    fn serve_input<H: Handler<Draft = D>>(
        &mut self,
        desk: &mut Desk<'_, H>,
    ) -> Result<Option<Debt>, Closed> {
        let received = match receive(&mut self.stream, desk.input, desk.meters) {
            Ok(Some(0)) => return Err(Closed::ByPeer),
            Ok(Some(received)) => received,
            Ok(None) => {
                self.input = Input::Empty;
                return Ok(None);
            }
            Err(_) => return Err(Closed::SocketError),
        };
        self.note_received(received == desk.input.len());
        // The input is lent out while it is read; it is the worker's, and comes back.
        let input = std::mem::take(&mut desk.input);
        let (mut debt, rest) = self.stage(&mut input[..received], desk);
        if !rest.is_empty() {
            let head_only = is_head(&input[rest.clone()]);
            match desk.buffers.lend(&input[rest]) {
                Ok(held) => self.held = held,
                Err(NoMemory) => debt.stop = Stop::NoMemory { head_only },
            }
        }
        desk.input = input;
        Ok(Some(debt))
    }

    /// Receives behind what is held, if more is needed, and stages what is there; `None` if nothing
    /// has come.
    fn serve_held<H: Handler<Draft = D>>(
        &mut self,
        desk: &mut Desk<'_, H>,
    ) -> Result<Option<Debt>, Closed> {
        if self.held_begins == HeldBegins::WithPart && self.receive_held(desk)? == 0 {
            return Ok(None);
        }
        let mut held = std::mem::take(&mut self.held);
        let (debt, rest) = self.stage(held.filled_mut(), desk);
        held.keep(rest);
        self.held = held;
        Ok(Some(debt))
    }

    /// Receives behind what is held; 0 if there is nothing yet.
    fn receive_held<H>(&mut self, desk: &mut Desk<'_, H>) -> Result<usize, Closed> {
        if self.input == Input::Empty {
            return Ok(0);
        }
        let missing = self
            .exchange
            .expected_bytes()
            .map_or(0, |bytes| bytes.saturating_sub(self.held.filled().len()));
        // Memory is for bytes that the client has sent, not for a length that it has only announced.
        let room = missing.clamp(1, LENT_BUFFER_BYTES);
        desk.buffers.grow(&mut self.held, room).map_err(|NoMemory| Closed::NoMemory)?;
        let room = self.held.room_mut();
        let room_bytes = room.len();
        match receive(&mut self.stream, room, desk.meters) {
            // The peer closed within a request, so there is nothing to answer (RFC 9112, 8).
            Ok(Some(0)) => Err(Closed::ByPeer),
            Ok(Some(received)) => {
                self.held.fill(received);
                self.note_received(received == room_bytes);
                Ok(received)
            }
            Ok(None) => {
                self.input = Input::Empty;
                Ok(0)
            }
            Err(_) => Err(Closed::SocketError),
        }
    }

    /// A read that did not fill its room has emptied the socket, unless the peer has closed.
    #[inline]
    fn note_received(&mut self, filled_its_room: bool) {
        if !filled_its_room && self.input == Input::Waiting {
            self.input = Input::Empty;
        }
    }

    /// Stages the whole requests at the start of `input`; returns what is owed for them, and which
    /// part of the input is to be kept.
    ///
    /// A panic ends the connection: what the handler had staged for it in this turn is neither
    /// counted nor answered.
    #[inline]
    fn stage<H: Handler<Draft = D>>(
        &mut self,
        input: &mut [u8],
        desk: &mut Desk<'_, H>,
    ) -> (Debt, std::ops::Range<usize>) {
        let first = desk.handler.staged();
        let account = desk.others.open(first);
        let attempt = catch_unwind(AssertUnwindSafe(|| self.stage_all(input, &account, desk)));
        let (stop, read, rest) = attempt.unwrap_or_else(|_| {
            desk.meters.panics.add(1);
            desk.handler.abandon(first);
            desk.others.abandon(&account);
            (Stop::End(Closed::Panic), Read::default(), 0..0)
        });
        // After a panic nothing is owed, even of what a full batch has committed.
        let staged = if read.requests == 0 { first } else { desk.handler.staged() };
        (desk.others.close(account, staged, read, stop), rest)
    }

    #[inline(always)]
    fn stage_all<H: Handler<Draft = D>>(
        &mut self,
        input: &mut [u8],
        account: &Account,
        desk: &mut Desk<'_, H>,
    ) -> (Stop, Read, std::ops::Range<usize>) {
        let (mut at, mut requests) = (0, 0);
        // Falls with each request that costs more than an event.
        let mut requests_max = TURN_COST_MAX as i32;
        desk.handler.turn();
        let (stop, kept) = loop {
            if at == input.len() {
                break (Stop::Starved, 0);
            }
            if requests as i32 >= requests_max {
                break (Stop::Budget, input.len() - at);
            }
            let (mut request, consumed) = match self.exchange.recall(&input[at..], desk.memo) {
                Some(found) => found,
                None => match self.advance(&mut input[at..], account, desk) {
                    Ok(found) => found,
                    Err(end) => break end,
                },
            };
            request.persistent &= !desk.draining;
            let reply = desk.handler.request(&self.peer, &request, desk.others.buffer());
            requests += 1;
            at += consumed;
            match reply {
                Reply::Staged => {}
                Reply::Answered { cost } => {
                    let answer_bytes = desk.others.note(account, desk.handler.staged());
                    let cost = cost + (answer_bytes / COST_ANSWER_BYTES) as u32;
                    // The request itself counts 1 already.
                    requests_max = requests_max.saturating_sub_unsigned(cost.saturating_sub(1));
                }
                Reply::Large => {
                    if let Part::Unfinished { cost } = self.request_large(&request, account, desk) {
                        (at, requests) = (at - consumed, requests - 1);
                        requests_max = requests_max.saturating_sub_unsigned(cost);
                        break (Stop::Budget, input.len() - at);
                    }
                }
                Reply::Detach => {
                    desk.others.note(account, desk.handler.staged());
                    break (Stop::Detach, 0);
                }
            }
            if !request.persistent {
                break (Stop::End(Closed::AfterAnswer), 0);
            }
        };
        let cost = (requests + TURN_COST_MAX).wrapping_add_signed(-requests_max);
        (stop, Read { requests, cost }, at..at + kept)
    }

    /// Reads the request at the start of `input`, whose head is not the remembered one. Returns it with its
    /// bytes; otherwise why there is none, and how much of the input is to be kept.
    #[cold]
    #[inline(never)]
    fn advance<'i, H: Handler<Draft = D>>(
        &mut self,
        input: &'i mut [u8],
        account: &Account,
        desk: &mut Desk<'_, H>,
    ) -> Result<(Request<'i>, usize), (Stop, usize)> {
        match self.exchange.advance(input, desk.memo) {
            Step::Request { request, consumed } => Ok((request, consumed)),
            Step::More { kept, send_continue } => {
                if send_continue {
                    desk.others.buffer().extend_from_slice(CONTINUE);
                    desk.others.note(account, desk.handler.staged());
                }
                Err((Stop::Starved, kept))
            }
            Step::Error(refusal) => {
                self.refuse(refusal, account, desk);
                Err((Stop::End(Closed::ProtocolError), 0))
            }
        }
    }

    /// Answers a violation of the protocol, behind all answers owed before it.
    fn refuse<H: Handler>(&self, refusal: Refusal, account: &Account, desk: &mut Desk<'_, H>) {
        desk.handler.refuse(&self.peer, refusal, desk.others.buffer());
        desk.others.note(account, desk.handler.staged());
        desk.meters.http_errors[refusal.error as usize].add(1);
    }

    /// What an open connection waits for now.
    ///
    /// If a request is incomplete for the first time, what has come is acknowledged at once. A client with
    /// Nagle's algorithm (RFC 9293, 3.7.4) holds the next small piece back until then, and the kernel
    /// waits up to 40 ms with it, for an answer to send it along with.
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
        if activity == Activity::Reading && self.activity != Activity::Reading {
            self.stream.acknowledge_now();
        }
        self.shift(activity, desk.meters);
        if class == Class::Write {
            return Next::Wait { class, restart: true };
        }
        if self.held_begins == HeldBegins::WithWhole || self.input != Input::Empty {
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
