//! One worker: a thread with a poll loop over its own listener and its own connections.
//!
//! ```text
//! loop:  wait for readiness, or not at all while connections are due another turn
//!        read the clocks
//!        one turn for each connection that became ready, accept, take what others handed over
//!        one turn for each connection that is due
//!        end what has timed out, and let the handler tidy up
//! ```
//!
//! A connection never gets two turns in a row while others wait, so the depth of one client's
//! pipeline is not felt by the others.

mod moves;

use std::io;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::balance::Placement;
use super::buffers::Buffers;
use super::connection::{Connection, Desk, Next};
use super::listener::{Accepted, accept};
use super::meters::{Activity, Closed, Meters};
use super::moving::{Departed, Moved};
use super::orders::Order;
use super::slab::{Key, Slab};
use super::timers::{Class, Timers};
use super::{Config, Handler, Shared};
use crate::http::{HttpError, Memo};
use crate::limits::{
    ACCEPT_LOSSES_MAX, ACCEPT_RETRY_MS, POLL_EVENTS_MAX, REFUSED_LINGERING_MAX, TURN_ACCEPTS_MAX,
    TURN_ANSWER_BYTES_MAX, TURN_BYTES_MAX,
};
use crate::log;
use crate::mailbox::Mailbox;
use crate::sys::clock::{Moment, exact_ns, unix_seconds};
use crate::sys::descriptors::Reserve;

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

/// A worker, owned by its thread.
pub struct Worker<H> {
    index: usize,
    shared: Arc<Shared>,
    config: Config,
    handler: H,
    poll: Poll,
    /// `None` once the worker drains.
    listener: Option<TcpListener>,
    /// The queue may hold more than was accepted.
    accept_due: bool,
    /// When to try again after descriptors ran out.
    accept_retry_at: Option<Moment>,
    /// Connections lost since the last that was accepted.
    accept_losses: u32,
    reserve: Reserve,
    /// Connections that have come from another server, until the worker runs.
    arrivals: Vec<Moved>,
    /// Where what departs is left.
    departures: Arc<Mailbox<Departed>>,
    /// Whether something was left there.
    departed: bool,
    connections: Slab<Connection<TcpStream>>,
    /// Connections in the slab that are being refused, and count for no limit.
    refused: usize,
    timers: Timers,
    /// Connections due another turn without a new edge.
    due: Vec<Key>,
    buffers: Buffers,
    memo: Memo,
    input: Box<[u8]>,
    output: Vec<u8>,
    now: Moment,
    /// When the present round began, exactly.
    ready_ns: u64,
}

impl<H: Handler> Worker<H> {
    /// A worker that will serve `sockets` with `handler`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2) and of opening the reserve descriptor.
    pub fn new(
        index: usize,
        shared: Arc<Shared>,
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
            listener: Some(listener),
            accept_due: false,
            accept_retry_at: None,
            accept_losses: 0,
            reserve: Reserve::new()?,
            arrivals,
            departures,
            departed: false,
            connections: Slab::new(),
            refused: 0,
            timers: Timers::new(&config.timeouts),
            due: Vec::new(),
            buffers: Buffers::default(),
            memo: Memo::default(),
            input: vec![0; TURN_BYTES_MAX].into_boxed_slice(),
            output: Vec::with_capacity(TURN_ANSWER_BYTES_MAX),
            now: Moment::now(),
            ready_ns: exact_ns(),
            config,
        })
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
            self.ready_ns = exact_ns();
            self.now = Moment::from_exact_ns(self.ready_ns);
            self.handler.tick(unix_seconds());
            self.meters().rounds.add(1);
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_due = true,
                    WAKER => self.look_into_inbox(),
                    _ => self.ready(event),
                }
            }
            self.accept_some();
            self.serve_due();
            self.end_expired();
            self.handler.round_over();
            match self.shared.orders.read() {
                Order::Run => {}
                Order::Depart => self.depart(),
                Order::Drain => self.drain(),
                Order::Cut => break,
            }
            if self.listener.is_none() && self.connections.is_empty() {
                break;
            }
        }
        self.close_all();
        Ok(())
    }

    fn meters(&self) -> &Meters {
        &self.shared.meters[self.index]
    }

    /// How long to wait for readiness; for ever if `None`.
    fn patience(&self) -> Option<Duration> {
        if !self.due.is_empty() || self.accept_due {
            return Some(Duration::ZERO);
        }
        let retry = self.accept_retry_at.map(|at| Duration::from_millis(at.ms_since(self.now)));
        let expiry = self.timers.next_in(self.now);
        retry.into_iter().chain(expiry).min()
    }

    /// Notes an edge and gives the connection its turn.
    #[inline]
    fn ready(&mut self, event: &Event) {
        let key = Key::of_token(event.token());
        // A stale event, for a connection that this batch has closed, finds none.
        let Some(connection) = self.connections.get_mut(key) else { return };
        if event.is_read_closed() || event.is_error() {
            connection.read_closed = true;
            connection.readable = true;
        }
        connection.readable |= event.is_readable();
        self.turn(key);
    }

    /// One turn of a connection, and what follows from it.
    #[inline]
    fn turn(&mut self, key: Key) {
        self.with(key, |connection, desk| connection.turn(desk));
    }

    /// Lets a connection work at this worker's desk, and does what it says comes next.
    #[inline]
    fn with(
        &mut self,
        key: Key,
        work: impl FnOnce(&mut Connection<TcpStream>, &mut Desk<'_, H>) -> Next,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut desk = Desk {
            handler: &mut self.handler,
            memo: &mut self.memo,
            input: &mut self.input,
            output: &mut self.output,
            buffers: &mut self.buffers,
            meters: &self.shared.meters[self.index],
            draining: self.listener.is_none(),
            ready_ns: self.ready_ns,
        };
        match work(connection, &mut desk) {
            Next::Wait { class, restart } => self.timers.arm(key.index, class, restart, self.now),
            Next::Again { answered } => {
                if !connection.queued {
                    connection.queued = true;
                    self.due.push(key);
                }
                // A client that keeps the connection busy is not idle. Without an answer, what is
                // being waited for goes on being waited for.
                if answered {
                    self.timers.arm(key.index, Class::Idle, true, self.now);
                }
            }
            Next::Close(reason) => self.close(key, reason),
            Next::Detach => self.detach(key),
        }
    }

    /// One more turn for each connection that was due one before this round.
    fn serve_due(&mut self) {
        for key in mem::take(&mut self.due) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.queued = false;
                self.turn(key);
            }
        }
    }

    fn end_expired(&mut self) {
        while let Some((slot, class)) = self.timers.pop_expired(self.now) {
            let key = self.connections.key_at(slot).expect("what is closed is disarmed");
            match class {
                Class::Header => {
                    self.with(key, |connection, desk| {
                        connection.time_out(HttpError::HeaderTimeout, Closed::HeaderTimeout, desk)
                    });
                }
                Class::Body => {
                    self.with(key, |connection, desk| {
                        connection.time_out(HttpError::BodyTimeout, Closed::BodyTimeout, desk)
                    });
                }
                Class::Idle => self.close(key, Closed::IdleTimeout),
                Class::Write => self.with(key, |connection, _| connection.write_time_out()),
                Class::Linger => {
                    self.with(key, |connection, _| Next::Close(connection.lingering_reason()))
                }
            }
        }
    }

    fn close(&mut self, key: Key, reason: Closed) {
        self.timers.disarm(key.index);
        let Some(mut connection) = self.connections.remove(key) else { return };
        let meters = &self.shared.meters[self.index];
        connection.release(&mut self.buffers, meters);
        meters.closed[reason as usize].add(1);
        if connection.turned_away {
            self.refused -= 1;
        } else {
            meters.connections.subtract(1);
            self.shared.balance.closed(self.index);
        }
        drop(connection);
        // A listener that ran out of descriptors can go on.
        self.accept_due |= self.accept_retry_at.take().is_some();
    }

    /// Accepts what waits, but no more than one turn's worth.
    fn accept_some(&mut self) {
        if self.accept_retry_at.is_some_and(|at| at <= self.now) {
            self.accept_retry_at = None;
            self.accept_due = true;
        }
        for _ in 0..TURN_ACCEPTS_MAX {
            if !self.accept_due {
                return;
            }
            self.accept_one();
        }
    }

    fn accept_one(&mut self) {
        let Some(listener) = &self.listener else {
            self.accept_due = false;
            return;
        };
        self.reserve.restore();
        match accept(listener, &mut self.reserve) {
            Accepted::Connection(stream, peer) => {
                self.accept_losses = 0;
                self.meters().accepted.add(1);
                self.place(stream, peer);
            }
            Accepted::None => self.accept_due = false,
            Accepted::Lost(error) => {
                self.meters().accept_errors.add(1);
                log::debug("a connection was lost before it was accepted", &[("error", &error)]);
                self.accept_losses += 1;
                if self.accept_losses.is_multiple_of(ACCEPT_LOSSES_MAX) {
                    self.pause_accepting();
                }
            }
            Accepted::Exhausted(error, turned_away) => {
                self.meters().accept_errors.add(1);
                log::warn(
                    "cannot accept connections: raise the limit of open files or lower --max-connections",
                    &[("error", &error)],
                );
                if let Some(stream) = turned_away {
                    self.meters().accepted.add(1);
                    self.refuse_at_once(stream);
                }
                self.pause_accepting();
            }
        }
    }

    fn pause_accepting(&mut self) {
        self.accept_due = false;
        self.accept_retry_at = Some(self.now.after(Duration::from_millis(ACCEPT_RETRY_MS)));
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
            Placement::Full if self.refused < REFUSED_LINGERING_MAX => self.refuse(stream, peer),
            Placement::Full => self.refuse_at_once(stream),
        }
    }

    /// Makes a connection this worker's own; it is counted in the balance already.
    fn adopt(&mut self, stream: TcpStream, peer: SocketAddr) {
        let connection = Connection::new(stream, peer, self.config.content_bytes_max);
        self.own(connection);
    }

    /// Watches a connection that is counted in the balance already, as one of its own.
    fn own(&mut self, connection: Connection<TcpStream>) -> Option<Key> {
        self.meters().connections.add(1);
        let key = self.register(connection);
        match key {
            Some(key) => self.timers.arm(key.index, Class::Idle, true, self.now),
            None => {
                self.meters().connections.subtract(1);
                self.shared.balance.closed(self.index);
            }
        }
        key
    }

    /// Answers `503` and lets the client read it.
    fn refuse(&mut self, stream: TcpStream, peer: SocketAddr) {
        let connection = Connection::new(stream, peer, self.config.content_bytes_max);
        if let Some(key) = self.register(connection) {
            self.refused += 1;
            self.with(key, |connection, desk| connection.turn_away(desk));
        }
    }

    /// Answers `503` without waiting for the client to read it.
    fn refuse_at_once(&mut self, mut stream: TcpStream) {
        self.output.clear();
        self.handler.overloaded(&mut self.output);
        // A fresh socket takes an answer whole; if not, nothing better is left to do.
        let _ = io::Write::write(&mut stream, &self.output);
        let _ = stream.shutdown(Shutdown::Write);
        self.meters().closed[Closed::Overload as usize].add(1);
    }

    /// Puts a connection into the slab and the poll. Both directions are asked for once and for
    /// all: an edge for writing comes only after a send that did not finish.
    fn register(&mut self, connection: Connection<TcpStream>) -> Option<Key> {
        let key = self.connections.insert(connection);
        let connection = self.connections.get_mut(key).expect("it was put there just now");
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) =
            self.poll.registry().register(connection.stream_mut(), key.to_token(), interest)
        {
            log::warn("a connection could not be watched and was closed", &[("error", &error)]);
            self.connections.remove(key);
            return None;
        }
        self.meters().activities[Activity::Idle as usize].add(1);
        Some(key)
    }

    fn look_into_inbox(&mut self) {
        for (stream, peer) in self.shared.inboxes[self.index].take() {
            self.adopt(stream, peer);
        }
    }

    /// Stops accepting, so that what is under way comes to its end.
    ///
    /// Closing a SO_REUSEPORT socket resets what waits in its queue, so the queue is emptied first.
    fn drain(&mut self) {
        if self.listener.is_none() {
            return;
        }
        self.accept_due = true;
        while self.accept_due {
            self.accept_one();
        }
        self.listener = None;
        self.accept_retry_at = None;
        for (stream, peer) in self.shared.inboxes[self.index].close() {
            self.adopt(stream, peer);
        }
        self.handler.drain();
        // What is idle is looked at once more: a request may have come in the meantime.
        for key in self.connections.keys() {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.readable = true;
                self.turn(key);
            }
        }
    }

    fn close_all(&mut self) {
        for (stream, peer) in self.shared.inboxes[self.index].close() {
            self.adopt(stream, peer);
        }
        for key in self.connections.keys() {
            self.close(key, Closed::Shutdown);
        }
    }
}
