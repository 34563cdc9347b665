//! Accepting: the state of a worker's listening socket, and what it does with errors.
//!
//! An edge comes when the queue has got longer. The worker then accepts until the queue is empty,
//! but no more than a bounded number in one round. After it ran out of descriptors or memory, the
//! edge would not come again, so the door tries again after a pause, or as soon as a connection
//! closes.

use std::net::{Shutdown, SocketAddr};
use std::time::Duration;
use std::{io, mem};

use mio::net::{TcpListener, TcpStream};

use super::listener::{Accepted, accept};
use super::meters::Meters;
use crate::limits::{ACCEPT_LOSSES_MAX, ACCEPT_RETRY_MS};
use crate::log;
use crate::sys::clock::Moment;
use crate::sys::descriptors::Reserve;

/// A worker's place to accept connections.
pub struct Door {
    state: State,
    reserve: Reserve,
    /// Connections lost since the last one that was accepted.
    losses: u32,
}

/// The states of a door.
enum State {
    /// The queue was empty at the last look; an edge comes when it no longer is.
    Quiet(TcpListener),
    /// The queue may hold connections.
    Due(TcpListener),
    /// Descriptors or memory ran out; the next attempt is at this moment.
    Paused(TcpListener, Moment),
    /// The worker accepts no more: it drains or departs.
    Closed,
}

/// The result of one attempt to accept.
pub enum Entry {
    /// A connection.
    Guest(TcpStream, SocketAddr),
    /// A connection that must be refused at once: there is no descriptor for another one.
    TurnedAway(TcpStream),
    /// Nothing; the queue may hold more.
    Lost,
    /// Nothing; there is nothing more to do for now.
    Done,
}

impl Door {
    /// Returns a door that accepts from `listener`.
    ///
    /// # Errors
    /// Those of opening the reserve descriptor.
    pub fn new(listener: TcpListener) -> io::Result<Door> {
        Ok(Door { state: State::Quiet(listener), reserve: Reserve::new()?, losses: 0 })
    }

    /// Returns whether connections are accepted here.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    /// Returns whether the queue may hold connections.
    pub fn is_due(&self) -> bool {
        matches!(self.state, State::Due(_))
    }

    /// Returns how long to wait before the next attempt, if there is a pause.
    pub fn retry_in(&self, now: Moment) -> Option<Duration> {
        match self.state {
            State::Paused(_, at) => Some(Duration::from_millis(at.ms_since(now))),
            State::Quiet(_) | State::Due(_) | State::Closed => None,
        }
    }

    /// Notes that the queue may hold connections.
    pub fn knock(&mut self) {
        self.shift(State::Due);
    }

    /// Ends a pause: a descriptor has become free, or its time is over.
    pub fn end_pause(&mut self) {
        if matches!(self.state, State::Paused(..)) {
            self.knock();
        }
    }

    /// Ends a pause whose time is over.
    pub fn end_pause_at(&mut self, now: Moment) {
        if matches!(self.state, State::Paused(_, at) if at <= now) {
            self.knock();
        }
    }

    /// Accepts one connection, if the queue may hold one.
    pub fn accept(&mut self, now: Moment, meters: &Meters) -> Entry {
        let State::Due(listener) = &self.state else { return Entry::Done };
        self.reserve.restore();
        match accept(listener, &mut self.reserve) {
            Accepted::Connection(stream, peer) => {
                self.losses = 0;
                meters.accepted.add(1);
                Entry::Guest(stream, peer)
            }
            Accepted::None => {
                self.shift(State::Quiet);
                Entry::Done
            }
            Accepted::Lost(error) => {
                meters.accept_errors.add(1);
                log::debug("a connection was lost before it was accepted", &[("error", &error)]);
                self.losses += 1;
                if self.losses.is_multiple_of(ACCEPT_LOSSES_MAX) {
                    self.pause(now);
                }
                Entry::Lost
            }
            Accepted::Exhausted(error, turned_away) => {
                meters.accept_errors.add(1);
                log::warn(
                    "cannot accept connections: raise the limit of open files or lower --max-connections",
                    &[("error", &error)],
                );
                self.pause(now);
                match turned_away {
                    Some(stream) => {
                        meters.accepted.add(1);
                        Entry::TurnedAway(stream)
                    }
                    None => Entry::Done,
                }
            }
        }
    }

    /// Closes the door and returns its listening socket.
    pub fn close(&mut self) -> Option<TcpListener> {
        match mem::replace(&mut self.state, State::Closed) {
            State::Quiet(listener) | State::Due(listener) | State::Paused(listener, _) => {
                Some(listener)
            }
            State::Closed => None,
        }
    }

    fn pause(&mut self, now: Moment) {
        let until = now.after(Duration::from_millis(ACCEPT_RETRY_MS));
        self.shift(|listener| State::Paused(listener, until));
    }

    /// Changes the state of an open door.
    fn shift(&mut self, next: impl FnOnce(TcpListener) -> State) {
        if let Some(listener) = self.close() {
            self.state = next(listener);
        }
    }
}

/// Sends an answer without waiting for the client to read it, and closes.
pub fn refuse_at_once(mut stream: TcpStream, answer: &[u8]) {
    // A fresh socket takes an answer whole; if not, nothing better is left to do.
    let _ = io::Write::write(&mut stream, answer);
    let _ = stream.shutdown(Shutdown::Write);
}
