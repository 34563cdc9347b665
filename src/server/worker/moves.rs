//! How connections enter a worker from another server, and leave it whole: all of them to another
//! server, or one to the handler.

use std::sync::Arc;

use mio::net::TcpStream;

use super::Worker;
use crate::log;
use crate::server::connection::Connection;
use crate::server::moving::{Departed, Moved};
use crate::server::slab::Key;
use crate::server::{Detached, Handler, Seat};

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
        let bytes_max = self.config.content_bytes_max;
        let connection = Connection::arrive(stream, peer, bytes_max, &held, &unsent);
        if let Some(key) = self.own(connection) {
            // What it holds makes no edge.
            self.connections.get_mut(key).expect("it is owned").queued = true;
            self.due.push(key);
        }
    }

    /// Gives up the listener, whose queue stays as it is, and every connection that goes on; those
    /// that have seen their last request stay until their peers have read the answer.
    ///
    /// What departs must be taken out of the poll: an open file is watched for as long as anybody
    /// has it, and the next server will.
    pub(super) fn depart(&mut self) {
        let Some(mut listener) = self.listener.take() else { return };
        self.accept_retry_at = None;
        let mut departed = Departed::default();
        let registry = self.poll.registry();
        if let Err(error) = registry.deregister(&mut listener) {
            log::warn("a listening socket is still watched", &[("error", &error)]);
        }
        departed.listeners.push(listener.into());
        for (stream, peer) in self.shared.inboxes[self.index].close() {
            self.adopt(stream, peer);
        }
        for key in self.connections.keys() {
            if self.connections.get_mut(key).is_some_and(|connection| connection.is_open()) {
                departed.connections.extend(self.let_go(key));
                self.shared.balance.closed(self.index);
            }
        }
        self.departures.put(departed);
        self.departed = true;
    }

    /// Takes a connection out of everything but the balance.
    fn let_go(&mut self, key: Key) -> Option<Moved> {
        self.timers.disarm(key.index);
        let connection = self.connections.remove(key)?;
        let meters = &self.shared.meters[self.index];
        let (mut stream, held, unsent) = connection.depart(&mut self.buffers, meters);
        meters.connections.subtract(1);
        // Should that fail, the poll watches in vain until this worker ends.
        let _ = self.poll.registry().deregister(&mut stream);
        Some(Moved { socket: stream.into(), held, unsent })
    }

    /// Gives a connection to the handler, with its place among the connections.
    #[cold]
    pub(super) fn detach(&mut self, key: Key) {
        let seat = Seat { shared: Arc::clone(&self.shared), worker: self.index };
        if let Some(Moved { socket, unsent, .. }) = self.let_go(key) {
            self.handler.detached(Detached { socket, unsent, seat });
        }
    }
}

impl<H> Drop for Worker<H> {
    /// Whoever waits for what departs must not wait for a worker that has ended.
    fn drop(&mut self) {
        if !self.departed {
            self.departures.put(Departed::default());
        }
    }
}
