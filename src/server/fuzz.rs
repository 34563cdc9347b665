//! A whole connection against a scripted peer: real state machine, real handler, no kernel.
//!
//! The script decides how many bytes arrive at a time and how many of the answers the peer takes
//! at a time. Readiness is edge-triggered as epoll's is: a turn is due only after new input, after
//! room for writing where a write was refused, or when the connection itself asked for one. So a
//! connection that forgets an edge gets stuck, and that is found.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use super::Handler;
use super::buffers::Buffers;
use super::connection::{Connection, Desk, Next};
use super::meters::{Closed, Meters};
use super::offline::turn_alone;
use super::round::Others;
use super::stream::Stream;
use crate::http::{ContentLimits, Memo};
use crate::limits::{
    HEADER_SECTION_BYTES_MAX, LENT_BUFFER_BYTES, REQUEST_LINE_BYTES_MAX, TURN_ANSWER_BYTES_MAX,
};

/// How a peer behaves.
pub struct Script {
    /// Bytes the worker receives at most in one turn.
    pub turn_bytes: usize,
    /// The size of the next piece that arrives; at least 1.
    pub piece_bytes: Box<dyn FnMut() -> usize>,
    /// How many bytes of answers the peer makes room for next; at least 1.
    pub room_bytes: Box<dyn FnMut() -> usize>,
}

/// What came of a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// All answers.
    pub answers: Vec<u8>,
    /// Why it ended.
    pub closed: Closed,
}

/// The peer's side, as the connection's socket shows it.
struct Peer<'i> {
    /// All that it will send.
    input: &'i [u8],
    received: usize,
    arrived: usize,
    closed: bool,
    room_bytes: usize,
    taken: Vec<u8>,
    /// A write was refused, so that room makes an edge.
    write_refused: bool,
    shut_down: Cell<bool>,
}

impl Read for &mut Peer<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut waiting = &self.input[self.received..self.arrived];
        if waiting.is_empty() && !self.closed {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = waiting.read(room)?;
        self.received += count;
        Ok(count)
    }
}

impl Write for &mut Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.shut_down.get(), "an answer after the FIN");
        assert!(!self.closed, "an answer that only the peer's FIN brought about");
        if self.room_bytes == 0 {
            self.write_refused = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.room_bytes.min(bytes.len());
        self.room_bytes -= count;
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for &mut Peer<'_> {
    fn shutdown_write(&self) -> io::Result<()> {
        assert!(!self.shut_down.replace(true), "two FINs");
        Ok(())
    }

    fn untaken_bytes(&self) -> io::Result<usize> {
        Ok(0)
    }

    fn acknowledge_now(&self) {}
}

/// Sends `input` to a fresh connection as the script says, until the connection ends.
///
/// # Panics
/// If the connection gets stuck, or holds more than its bounds.
pub fn converse<H: Handler>(
    handler: &mut H,
    content_limits: ContentLimits,
    input: &[u8],
    script: &mut Script,
) -> Outcome {
    let held_bytes_max = REQUEST_LINE_BYTES_MAX
        + HEADER_SECTION_BYTES_MAX
        + content_limits.most()
        + 2 * script.turn_bytes.max(LENT_BUFFER_BYTES);
    let unsent_bytes_max = 2 * TURN_ANSWER_BYTES_MAX;
    let (meters, mut buffers, mut memo) = (Meters::default(), Buffers::default(), Memo::default());
    let (mut output, mut room) = (Vec::new(), vec![0; script.turn_bytes]);
    let mut others = Others::default();
    let mut peer = Peer {
        input,
        received: 0,
        arrived: 0,
        closed: false,
        room_bytes: 0,
        taken: Vec::new(),
        write_refused: false,
        shut_down: Cell::new(false),
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    meters.activities[0].add(1);
    let mut connection = Connection::new(&mut peer, address, content_limits);
    let closed = loop {
        // What happens next: room for writing, more input, both, or the peer's FIN.
        let piece_bytes = (script.piece_bytes)();
        let peer = &mut **connection.stream_mut();
        let writable = std::mem::take(&mut peer.write_refused);
        if writable {
            peer.room_bytes = (script.room_bytes)();
        }
        if !writable || piece_bytes.is_multiple_of(2) {
            assert!(writable || peer.received == peer.arrived, "stuck with input to receive");
            assert!(writable || !peer.closed, "stuck after the end");
            let finished = peer.arrived == input.len() && !writable;
            peer.arrived = input.len().min(peer.arrived + piece_bytes);
            peer.closed |= finished;
            connection.note_input(finished);
        }
        let mut turns = 0;
        let next = loop {
            let mut desk = Desk {
                handler,
                memo: &mut memo,
                input: &mut room,
                output: &mut output,
                others: &mut others,
                buffers: &mut buffers,
                meters: &meters,
                draining: false,
                ready_ns: 0,
            };
            let next = turn_alone(&mut connection, &mut desk);
            let (held_bytes, unsent_bytes) = connection.lent_bytes();
            assert!(held_bytes <= held_bytes_max, "{held_bytes} bytes held");
            assert!(unsent_bytes <= unsent_bytes_max, "{unsent_bytes} bytes unsent");
            turns += 1;
            assert!(turns <= input.len() + 16, "it spins");
            if !matches!(next, Next::Again { .. }) {
                break next;
            }
        };
        match next {
            Next::Close(closed) => break closed,
            Next::Detach => {
                let (peer, _, unsent) = connection.depart(&mut buffers, &meters);
                let answers = [&peer.taken[..], &unsent].concat();
                return Outcome { answers, closed: Closed::AfterAnswer };
            }
            Next::Wait { .. } | Next::Again { .. } => {}
        }
    };
    connection.release(&mut buffers, &meters);
    assert_eq!(connection.lent_bytes(), (0, 0), "a buffer was kept");
    assert!(meters.activities.iter().all(|count| count.read() == 0), "an activity goes on");
    drop(connection);
    Outcome { answers: peer.taken, closed }
}
