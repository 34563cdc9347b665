//! What a worker notes about one of its connections.

use mio::net::TcpStream;

use crate::server::connection::Connection;
use crate::server::slab::Key;

/// A connection with what its worker notes about it.
pub(super) struct Resident<D> {
    pub connection: Connection<TcpStream, D>,
    pub standing: Standing,
    /// Whether it stands in the worker's list of those that go on without a new edge.
    pub due: bool,
}

/// Whether a connection counts for the limit of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has a place in the balance.
    Guest,
    /// It is above the limit: it has no place, and gets `503`.
    TurnedAway,
}

impl<D> Resident<D> {
    /// Puts it into the list of those that are due another turn, unless it is there.
    #[inline]
    pub fn be_due(&mut self, key: Key, due: &mut Vec<Key>) {
        if !self.due {
            self.due = true;
            due.push(key);
        }
    }
}
