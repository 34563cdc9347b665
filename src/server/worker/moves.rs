//! How connections enter a worker from another server, and leave it whole: all of them to another
//! server, or one to the handler.

use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;

use super::resident::{Resident, Standing};
use super::{Life, Worker};
use crate::log;
use crate::server::connection::Connection;
use crate::server::moving::{Departed, Moved};
use crate::server::slab::Key;
use crate::server::{ConnectionPlace, Detached, Handler};

impl<H: Handler> Worker<H> {
    /// Goes on with a connection of another server.
    pub(super) fn arrive(&mut self, moved: Moved) {
        self.shared.balance.came_with(self.index);
        let Moved { socket, held, unsent } = moved;
        let stream = TcpStream::from(socket);
        let Ok(peer) = stream.peer_addr() else {
            // The client has gone meanwhile.
            self.shared.balance.closed(self.index);
            return;
        };
        let limits = self.config.content_limits;
        let connection = Connection::arrive(stream, peer, limits, held.into_bytes(), unsent);
        if let Some(key) = self.admit(connection, Standing::Guest)
            && let Some(resident) = self.connections.get_mut(key)
        {
            // The bytes that it holds make no edge.
            resident.be_due(key, &mut self.due);
        }
    }

    /// Goes on with connections of another server that came since the start, at most this number;
    /// with the others in a later round.
    pub(super) fn take_arrivals(&mut self, count_max: usize) {
        let shared = Arc::clone(&self.shared);
        for _ in 0..count_max {
            let Some(moved) = shared.arrivals.take(Some(Instant::now())) else { return };
            self.arrive(moved);
        }
        shared.inboxes[self.index].wake();
    }

    /// Gives up the listener, whose queue stays as it is, and every connection that goes on; those
    /// that have seen their last request stay until their peers have read the answer.
    ///
    /// What departs must be taken out of the poll: an open file is watched for as long as any
    /// process has it open, and the next server will.
    pub(super) fn depart(&mut self) {
        let Some(mut listener) = self.door.close() else { return };
        self.life = Life::Draining;
        let mut departed = Departed::default();
        let registry = self.poll.registry();
        if let Err(error) = registry.deregister(&mut listener) {
            log::warn("a listening socket is still watched", &[("error", &error)]);
        }
        departed.listeners.push(listener.into());
        self.take_arrivals(usize::MAX);
        for (stream, peer) in self.shared.inboxes[self.index].close() {
            self.adopt(stream, peer);
        }
        for key in self.connections.keys() {
            if self.connections.get_mut(key).is_some_and(|it| it.connection.is_open()) {
                departed.connections.extend(self.take_out(key));
                self.shared.balance.closed(self.index);
            }
        }
        self.handler.depart();
        if let Some(departures) = self.departures.take() {
            departures.put(departed);
        }
    }

    /// Takes a connection out of everything but the balance, to go on elsewhere.
    fn take_out(&mut self, key: Key) -> Option<Moved> {
        let Resident { connection, .. } = self.let_go(key)?;
        let meters = &self.shared.meters[self.index];
        let (mut stream, held, unsent) = connection.depart(&mut self.buffers, meters);
        // Should that fail, the poll watches in vain until this worker ends.
        let _ = self.poll.registry().deregister(&mut stream);
        Some(Moved { socket: stream.into(), held, unsent })
    }

    /// Gives a connection to the handler, with its place among the connections.
    #[cold]
    pub(super) fn detach(&mut self, key: Key) {
        let seat = ConnectionPlace { shared: Arc::clone(&self.shared), worker: self.index };
        if let Some(Moved { socket, unsent, .. }) = self.take_out(key) {
            self.handler.detached(Detached { socket, unsent, seat });
        }
    }
}

impl<H: Handler> Drop for Worker<H> {
    /// Leaves an empty departure: its reader must not wait for a worker that has ended.
    fn drop(&mut self) {
        if let Some(departures) = self.departures.take() {
            departures.put(Departed::default());
        }
    }
}
