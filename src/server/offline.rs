//! One connection without a socket, a poll loop or a clock: bytes in, answers out.
//!
//! Benches measure with it what a request costs in user space. It is the way of a worker's connection,
//! with the same turn and the same commit; only the stream is a piece of memory.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use super::Handler;
use super::buffers::Buffers;
use super::connection::{Connection, Desk, Next, Turn};
use super::meters::Meters;
use super::round::Others;
use super::stream::Stream;
use crate::http::{ContentLimits, Memo};
use crate::limits::TURN_BYTES_MAX;

/// A connection whose client is the caller.
pub struct Offline<H: Handler> {
    handler: H,
    connection: Connection<Wire, H::Draft>,
    memo: Memo,
    input: Vec<u8>,
    output: Vec<u8>,
    others: Others,
    buffers: Buffers,
    meters: Meters,
}

/// The bytes on their way.
#[derive(Debug, Default)]
struct Wire {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

impl<H: Handler> Offline<H> {
    /// Returns a fresh connection to `handler`, whose address is 127.0.0.1:1.
    pub fn new(handler: H, content_limits: impl Into<ContentLimits>) -> Self {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        Offline {
            handler,
            connection: Connection::new(Wire::default(), peer, content_limits.into()),
            memo: Memo::default(),
            input: vec![0; TURN_BYTES_MAX],
            output: Vec::new(),
            others: Others::default(),
            buffers: Buffers::default(),
            meters: Meters::default(),
        }
    }

    /// Gives the connection one turn. It receives as much as a turn takes of `bytes` and of what earlier
    /// turns have left. Returns the bytes that it sends.
    pub fn turn(&mut self, bytes: &[u8]) -> &[u8] {
        let wire = self.connection.stream_mut();
        wire.to_server.extend_from_slice(bytes);
        wire.to_client.clear();
        self.connection.note_input(false);
        let mut desk = Desk {
            handler: &mut self.handler,
            memo: &mut self.memo,
            input: &mut self.input,
            output: &mut self.output,
            others: &mut self.others,
            buffers: &mut self.buffers,
            meters: &self.meters,
            draining: false,
            ready_ns: 0,
        };
        turn_alone(&mut self.connection, &mut desk);
        &self.connection.stream_mut().to_client
    }
}

/// Gives a connection a turn, and its answers after a commit of their own. Returns what comes next.
pub(super) fn turn_alone<H: Handler, S: Stream>(
    connection: &mut Connection<S, H::Draft>,
    desk: &mut Desk<'_, H>,
) -> Next {
    match connection.turn(desk) {
        Turn::Over(next) => next,
        Turn::Owing(debt) => {
            desk.handler.commit();
            let next = connection.answer(&debt, desk);
            desk.others.clear();
            desk.handler.settled();
            next
        }
    }
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.to_server.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.to_server.len().min(room.len());
        room[..count].copy_from_slice(&self.to_server[..count]);
        self.to_server.drain(..count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to_client.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Wire {
    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn untaken_bytes(&self) -> io::Result<usize> {
        Ok(0)
    }

    fn acknowledge_now(&self) {}
}
