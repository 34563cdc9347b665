//! The connections of a worker: how one is taken in and how one is let go, and where it counts.
//!
//! | | slab, poll, timers, activities | balance, `connections` |
//! |---|---|---|
//! | [`Standing::Guest`] | yes | yes |
//! | [`Standing::TurnedAway`], answered `503` and about to close | yes | no |
//!
//! [`Worker::admit`] and [`Worker::let_go`] are the only ways in and out of the left column.

use std::net::SocketAddr;

use mio::Interest;
use mio::net::TcpStream;

use super::resident::{Resident, Standing};
use super::{Client, Worker};
use crate::log;
use crate::server::Handler;
use crate::server::connection::Connection;
use crate::server::meters::{Activity, Closed};
use crate::server::slab::Key;
use crate::server::timers::Class;

impl<H: Handler> Worker<H> {
    /// Makes a connection this worker's own; it has a place in the balance already.
    pub(super) fn adopt(&mut self, stream: TcpStream, peer: SocketAddr) {
        let connection = Connection::new(stream, peer, self.config.content_limits);
        self.admit(connection, Standing::Guest);
    }

    /// Answers `503` and lets the client read it.
    pub(super) fn turn_away(&mut self, stream: TcpStream, peer: SocketAddr) {
        let connection = Connection::new(stream, peer, self.config.content_limits);
        if let Some(key) = self.admit(connection, Standing::TurnedAway) {
            self.with(key, |connection, desk| connection.turn_away(desk));
        }
    }

    /// Takes a connection in; `None` if it could not be watched and is closed.
    ///
    /// The poll is asked for both directions once and for all: an edge for writing comes only after
    /// a send that did not finish.
    pub(super) fn admit(&mut self, mut connection: Client<H>, standing: Standing) -> Option<Key> {
        let key = self.connections.next_key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let stream = connection.stream_mut();
        if let Err(error) = self.poll.registry().register(stream, key.to_token(), interest) {
            log::warn("a connection could not be watched and was closed", &[("error", &error)]);
            if standing == Standing::Guest {
                self.shared.balance.closed(self.index);
            }
            return None;
        }
        self.connections.insert(Resident { connection, standing, due: false });
        self.timers.arm(key.index, Class::Idle, true, self.now);
        self.meters().activities[Activity::Idle as usize].add(1);
        match standing {
            Standing::Guest => self.meters().connections.add(1),
            Standing::TurnedAway => self.turned_away += 1,
        }
        Some(key)
    }

    /// Takes a connection out of everything but the balance.
    pub(super) fn let_go(&mut self, key: Key) -> Option<Resident<H::Draft>> {
        self.timers.disarm(key.index);
        let resident = self.connections.remove(key)?;
        match resident.standing {
            Standing::Guest => self.meters().connections.subtract(1),
            Standing::TurnedAway => self.turned_away -= 1,
        }
        Some(resident)
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, key: Key, reason: Closed) {
        let Some(Resident { mut connection, standing, .. }) = self.let_go(key) else { return };
        connection.release(&mut self.buffers, &self.shared.meters[self.index]);
        self.meters().closed[reason as usize].add(1);
        if standing == Standing::Guest {
            self.shared.balance.closed(self.index);
        }
        drop(connection);
        // A door that ran out of descriptors can go on.
        self.door.end_pause();
    }

    pub(super) fn close_all(&mut self) {
        for (stream, peer) in self.shared.inboxes[self.index].close() {
            self.adopt(stream, peer);
        }
        for key in self.connections.keys() {
            self.close(key, Closed::Shutdown);
        }
    }
}
