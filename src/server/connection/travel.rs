//! How a connection comes from another server, and how it leaves for one.

use std::mem;
use std::net::SocketAddr;

use super::{Connection, HeldBegins, Input};
use crate::http::{ContentLimits, Replay};
use crate::server::buffers::Buffers;
use crate::server::meters::Meters;
use crate::server::stream::Stream;

impl<S: Stream, D> Connection<S, D> {
    /// A connection that comes from another server; its held bytes are due a turn.
    pub fn arrive(
        stream: S,
        peer: SocketAddr,
        content_limits: ContentLimits,
        held: Vec<u8>,
        unsent: Vec<u8>,
    ) -> Self {
        let mut connection = Connection::new(stream, peer, content_limits);
        if !held.is_empty() {
            connection.held_begins = HeldBegins::WithWhole;
        }
        let untaken_bytes = connection.stream.untaken_bytes().unwrap_or(0);
        connection.owed_bytes = untaken_bytes + unsent.len();
        // Their memory is kept: a body of many bytes would take long to copy.
        connection.held = held.into();
        connection.unsent = unsent.into();
        connection.input = Input::Waiting;
        connection
    }

    /// What an open connection consists of between two turns; its buffers go back.
    pub fn depart(mut self, buffers: &mut Buffers, meters: &Meters) -> (S, Replay, Vec<u8>) {
        // Most bytes are given away with their memory: a long body would take long to copy.
        let held = self.exchange.replay(mem::take(&mut self.held).into());
        let unsent = mem::take(&mut self.unsent).into();
        self.release(buffers, meters);
        (self.stream, held, unsent)
    }
}
