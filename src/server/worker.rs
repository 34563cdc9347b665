//! One worker: a thread with a poll loop over its own listener and its own connections.
//!
//! ```text
//! loop:  wait for readiness, or not at all while connections are due another turn
//!        read the clocks
//!        one turn for each connection that became ready, and for each that is due
//!        settle: commit, then answer (earlier, if a commit is cheap or much is owed)
//!        accept, end what has timed out, let the handler tidy up
//! ```
//!
//! A connection has at most one turn in a round, and a turn costs no more than a fixed amount. Those
//! that go on without an edge, because they asked for more than a turn does, share a budget in each
//! round, and come behind those that became ready. So the others do not feel the depth of a client's
//! pipeline, nor how many such clients there are.

mod deadlines;
mod moves;
mod resident;
mod residents;

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::Handler;
use super::balance::Placement;
use super::buffers::Buffers;
use super::config::Config;
use super::connection::{Connection, Desk, Next, Turn};
use super::control::WorkersShared;
use super::door::{Door, Entry, refuse_at_once};
use super::meters::{Closed, Meters};
use super::moving::{Departed, Moved};
use super::orders::Order;
use super::round::{Debt, Others};
use super::slab::{Key, Slab};
use super::stream::has_sent_head;
use super::timers::{Class, Expired, Timers};
use crate::http::Memo;
use crate::limits::{
    POLL_EVENTS_MAX, REFUSED_LINGERING_MAX, ROUND_ANSWER_BYTES_MAX, ROUND_COST_MAX,
    TURN_ACCEPTS_MAX, TURN_ANSWER_BYTES_MAX, TURN_ARRIVALS_MAX, TURN_BYTES_MAX, TURN_COST,
};
use crate::log;
use crate::mailbox::Mailbox;
use crate::sys::clock::{Moment, exact_ns, unix_seconds};
use resident::Resident;

/// The token of the listener; no [`Key`] has it.
const LISTENER: Token = Token(usize::MAX);
/// The token of the waker.
pub const WAKER: Token = Token(usize::MAX - 1);

/// What a worker begins with, and where it leaves what it has when it is to depart.
pub struct Sockets {
    /// Where it accepts.
    pub listener: TcpListener,
    /// Connections from another server.
    pub arrivals: Vec<Moved>,
    /// Where to leave what departs.
    pub departures: Arc<Mailbox<Departed>>,
}

/// The connection of a client.
type Client<H> = Connection<TcpStream, <H as Handler>::Draft>;

/// A worker, owned by its thread.
pub struct Worker<H: Handler> {
    index: usize,
    shared: Arc<WorkersShared>,
    config: Config,
    handler: H,
    poll: Poll,
    door: Door,
    life: Life,
    /// Connections that have come from another server, until the worker runs.
    arrivals: Vec<Moved>,
    /// Where what departs is left; `None` once it was.
    departures: Option<Arc<Mailbox<Departed>>>,
    connections: Slab<Resident<H::Draft>>,
    /// Connections in the slab that are being refused, and count for no limit.
    turned_away: usize,
    timers: Timers,
    /// Time-outs that are over, of connections that have one more turn first; empty between rounds.
    spared: Vec<Expired>,
    /// Connections due another turn without a new edge.
    due: Vec<Key>,
    /// What turns have cost in the present round, in events.
    spent: u32,
    /// Connections that are owed answers, in the order of their turns.
    owing: Vec<(Key, Debt)>,
    others: Others,
    buffers: Buffers,
    memo: Memo,
    input: Box<[u8]>,
    output: Vec<u8>,
    now: Moment,
    /// When the present round began, exactly.
    ready_ns: u64,
}

/// How a worker treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Connections come and stay.
    Serving,
    /// No more are accepted, and each ends with its next answer.
    Draining,
}

impl<H: Handler> Worker<H> {
    /// A worker that will serve `sockets` with `handler`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2) and of opening the reserve descriptor.
    pub fn new(
        index: usize,
        shared: Arc<WorkersShared>,
        config: Config,
        poll: Poll,
        sockets: Sockets,
        handler: H,
    ) -> io::Result<Self> {
        let Sockets { mut listener, arrivals, departures } = sockets;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Worker {
            index,
            shared,
            handler,
            poll,
            door: Door::new(listener)?,
            life: Life::Serving,
            arrivals,
            departures: Some(departures),
            connections: Slab::new(),
            turned_away: 0,
            timers: Timers::new(&config.timeouts),
            spared: Vec::new(),
            due: Vec::new(),
            spent: 0,
            owing: Vec::new(),
            others: Others::default(),
            buffers: Buffers::default(),
            memo: Memo::default(),
            input: vec![0; TURN_BYTES_MAX].into_boxed_slice(),
            output: Vec::with_capacity(TURN_ANSWER_BYTES_MAX),
            now: Moment::now(),
            ready_ns: exact_ns(),
            config,
        })
    }

    /// Its number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Serves until it is ordered to end.
    ///
    /// # Errors
    /// Those of epoll_wait(2) that are no interruption: the worker cannot go on.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(POLL_EVENTS_MAX);
        self.now = Moment::now();
        for moved in mem::take(&mut self.arrivals) {
            self.arrive(moved);
        }
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                Err(error) => return Err(error),
            }
            self.begin_round();
            let due = mem::take(&mut self.due);
            for event in &events {
                match event.token() {
                    LISTENER => self.door.knock(),
                    WAKER => self.look_into_inbox(),
                    _ => self.ready(event),
                }
            }
            self.serve_due(due);
            self.settle();
            self.accept_some();
            self.end_expired();
            self.handler.round_over();
            match self.shared.orders.read() {
                Order::Run => {}
                Order::Depart => self.depart(),
                Order::Drain => self.drain(),
                Order::Cut => break,
            }
            if !self.door.is_open() && self.connections.is_empty() {
                break;
            }
        }
        self.close_all();
        Ok(())
    }

    fn meters(&self) -> &Meters {
        &self.shared.meters[self.index]
    }

    fn begin_round(&mut self) {
        self.ready_ns = exact_ns();
        self.now = Moment::from_exact_ns(self.ready_ns);
        self.handler.tick(unix_seconds());
        self.meters().rounds.add(1);
    }

    /// How long to wait for readiness; for ever if `None`.
    fn patience(&self) -> Option<Duration> {
        if !self.due.is_empty() || self.door.is_due() {
            return Some(Duration::ZERO);
        }
        let retry = self.door.retry_in(self.now);
        let expiry = self.timers.next_in(self.now);
        retry.into_iter().chain(expiry).min()
    }

    /// Notes an edge and gives the connection its turn.
    #[inline]
    fn ready(&mut self, event: &Event) {
        let key = Key::of_token(event.token());
        // A stale event, for a connection that this batch has closed, finds none.
        let Some(resident) = self.connections.get_mut(key) else { return };
        let closing = event.is_read_closed() || event.is_error();
        if closing || event.is_readable() {
            resident.connection.note_input(closing);
        }
        // A connection that is due has its turn in its place, behind those that asked for less.
        if !resident.due {
            self.turn(key);
        }
    }

    /// Gives a turn to the connections that were due one before this round, as far as the round's
    /// budget goes; the others are the first in the next round.
    fn serve_due(&mut self, mut due: Vec<Key>) {
        self.spent = 0;
        let mut turns = 0;
        while turns < due.len() && self.spent < ROUND_COST_MAX {
            self.turn(due[turns]);
            turns += 1;
        }
        due.drain(..turns);
        due.append(&mut self.due);
        self.due = due;
    }

    /// One turn of a connection that had none in this round.
    #[inline]
    fn turn(&mut self, key: Key) {
        let Some(resident) = self.connections.get_mut(key) else { return };
        resident.due = false;
        self.spent += TURN_COST;
        let Some((connection, mut desk)) = self.desk(key) else { return };
        let next = match connection.turn(&mut desk) {
            Turn::Over(next) => next,
            Turn::Owing(debt) if !desk.handler.commits_once_a_round() => {
                let next = settle_one(connection, &debt, &mut desk);
                self.spent += debt.read.cost;
                next
            }
            Turn::Owing(debt) => {
                self.spent += debt.read.cost;
                self.owing.push((key, debt));
                if self.others.bytes() > ROUND_ANSWER_BYTES_MAX {
                    self.settle();
                }
                return;
            }
        };
        self.follow(key, next);
    }

    /// A connection, and the desk at which it works.
    #[inline(always)]
    fn desk(&mut self, key: Key) -> Option<(&mut Client<H>, Desk<'_, H>)> {
        let resident = self.connections.get_mut(key)?;
        let desk = Desk {
            handler: &mut self.handler,
            memo: &mut self.memo,
            input: &mut self.input,
            output: &mut self.output,
            others: &mut self.others,
            buffers: &mut self.buffers,
            meters: &self.shared.meters[self.index],
            draining: self.life == Life::Draining,
            ready_ns: self.ready_ns,
        };
        Some((&mut resident.connection, desk))
    }

    /// Commits what is staged and answers every connection that is owed something.
    ///
    /// If the commit panics, none of these connections is answered, and all are closed. If an answer
    /// panics, its connection is closed.
    fn settle(&mut self) {
        if self.owing.is_empty() {
            return;
        }
        let committed = catch_unwind(AssertUnwindSafe(|| self.handler.commit())).is_ok();
        if !committed {
            self.handler.abandon(0);
        }
        let mut owing = mem::take(&mut self.owing);
        for (key, debt) in owing.drain(..) {
            let Some((connection, mut desk)) = self.desk(key) else { continue };
            let answer = || connection.answer(&debt, &mut desk);
            let answered = committed.then(|| catch_unwind(AssertUnwindSafe(answer)).ok()).flatten();
            let next = answered.unwrap_or_else(|| {
                self.meters().panics.add(1);
                Next::Close(Closed::Panic)
            });
            self.follow(key, next);
        }
        self.owing = owing;
        self.others.clear();
        self.handler.settled();
    }

    /// Does what comes next for a connection.
    #[inline]
    fn follow(&mut self, key: Key, next: Next) {
        match next {
            Next::Wait { class, restart } => self.timers.arm(key.index, class, restart, self.now),
            Next::Again { answered } => {
                if let Some(resident) = self.connections.get_mut(key) {
                    resident.be_due(key, &mut self.due);
                }
                // A client that keeps the connection busy is not idle. Without an answer, the
                // time-out that runs goes on.
                if answered {
                    self.timers.arm(key.index, Class::Idle, true, self.now);
                }
            }
            Next::Close(reason) => self.close(key, reason),
            Next::Detach => self.detach(key),
        }
    }

    /// Accepts what waits, but no more than one round's worth.
    fn accept_some(&mut self) {
        self.door.end_pause_at(self.now);
        for _ in 0..TURN_ACCEPTS_MAX {
            if !self.accept_one() {
                return;
            }
        }
    }

    /// Accepts one connection; whether there may be more.
    fn accept_one(&mut self) -> bool {
        match self.door.accept(self.now, &self.shared.meters[self.index]) {
            Entry::Guest(stream, peer) => self.place(stream, peer),
            Entry::TurnedAway(stream) => self.refuse_at_once(stream),
            Entry::Lost => {}
            Entry::Done => return false,
        }
        true
    }

    /// Gives a fresh connection to the worker with the fewest.
    fn place(&mut self, stream: TcpStream, peer: SocketAddr) {
        match self.shared.balance.place(self.index) {
            Placement::Worker(worker) if worker == self.index => self.adopt(stream, peer),
            Placement::Worker(worker) => {
                if let Err((stream, peer)) = self.shared.inboxes[worker].put(stream, peer) {
                    // That worker drains already; this one will in a moment.
                    self.shared.balance.moved(worker, self.index);
                    self.adopt(stream, peer);
                }
            }
            Placement::Full => {
                log::warn(
                    "a client was refused: there are as many connections as may be; raise \
                     --max-connections or the limit of open files (ulimit -n)",
                    &[("connections_max", &self.config.connections_max)],
                );
                if self.turned_away < REFUSED_LINGERING_MAX {
                    self.turn_away(stream, peer);
                } else {
                    self.refuse_at_once(stream);
                }
            }
        }
    }

    /// Answers `503` without waiting for the client to read it.
    fn refuse_at_once(&mut self, mut stream: TcpStream) {
        let meters = &self.shared.meters[self.index];
        let head_only = has_sent_head(&mut stream, &mut self.input, meters);
        self.output.clear();
        self.handler.overloaded(head_only, &mut self.output);
        refuse_at_once(stream, &self.output);
        self.meters().closed[Closed::Overload as usize].add(1);
    }

    fn look_into_inbox(&mut self) {
        self.take_arrivals(TURN_ARRIVALS_MAX);
        for (stream, peer) in self.shared.inboxes[self.index].take() {
            self.adopt(stream, peer);
        }
    }

    /// Stops accepting, so that what is under way comes to its end.
    ///
    /// Closing a SO_REUSEPORT socket resets the connections in its queue, so the worker empties the
    /// queue first.
    fn drain(&mut self) {
        if !self.door.is_open() {
            return;
        }
        self.take_arrivals(usize::MAX);
        self.door.knock();
        while self.accept_one() {}
        self.door.close();
        self.life = Life::Draining;
        for (stream, peer) in self.shared.inboxes[self.index].close() {
            self.adopt(stream, peer);
        }
        self.handler.drain();
        // An idle connection is looked at once more: a request may have come in the meantime.
        for key in self.connections.keys() {
            if let Some(resident) = self.connections.get_mut(key) {
                resident.connection.note_input(false);
                resident.be_due(key, &mut self.due);
            }
        }
    }
}

/// Commits what is staged and answers the one connection that is owed something. A panic closes it.
#[inline]
fn settle_one<H: Handler>(connection: &mut Client<H>, debt: &Debt, desk: &mut Desk<'_, H>) -> Next {
    let settled = catch_unwind(AssertUnwindSafe(|| {
        desk.handler.commit();
        connection.answer(debt, desk)
    }));
    let next = settled.unwrap_or_else(|_| {
        desk.meters.panics.add(1);
        desk.handler.abandon(0);
        Next::Close(Closed::Panic)
    });
    desk.others.clear();
    desk.handler.settled();
    next
}
