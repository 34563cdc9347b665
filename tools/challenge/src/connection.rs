//! One connection: requests that are on their way out, and requests whose answers are due.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use crate::plan::Slice;

/// How long an attempt to connect may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A request: its events, and its number if a producer counts its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub slice: Slice,
    /// From 1; 0 without a producer.
    pub number: u64,
}

/// A request that was given to the connection and has no answer yet.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    pub request: Request,
    /// When it was sent, or was due to be.
    pub since: Instant,
    /// Where it begins in the bytes of this connection, counted from its start.
    begins_at: u64,
}

/// A connection.
pub struct Connection {
    stream: TcpStream,
    outgoing: Vec<u8>,
    /// Bytes of `outgoing` that the kernel has taken.
    outgoing_sent: usize,
    /// Bytes of the connection that the kernel has taken, and bytes that were given to it in all.
    written: u64,
    queued: u64,
    in_flight: VecDeque<InFlight>,
    /// The start of an answer.
    pub incoming: Vec<u8>,
}

/// The requests of a connection that has ended, in their order.
#[derive(Debug, Default, PartialEq)]
pub struct Lost {
    /// Requests of which at least a byte was sent: they may have been counted.
    pub unanswered: Vec<Request>,
    /// Requests of which nothing was sent.
    pub unsent: Vec<Request>,
}

impl Connection {
    /// Connects, and waits until that is done.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream: TcpStream::from_std(stream),
            outgoing: Vec::new(),
            outgoing_sent: 0,
            written: 0,
            queued: 0,
            in_flight: VecDeque::new(),
            incoming: Vec::new(),
        })
    }

    /// Returns the socket, to register it.
    pub fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Returns the number of requests without an answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns the request that has waited longest.
    pub fn oldest(&self) -> Option<&InFlight> {
        self.in_flight.front()
    }

    /// Adds a request, whose bytes `write` appends.
    pub fn push(&mut self, request: Request, since: Instant, write: impl FnOnce(&mut Vec<u8>)) {
        if self.outgoing_sent > self.outgoing.len() / 2 {
            self.outgoing.drain(..self.outgoing_sent);
            self.outgoing_sent = 0;
        }
        let before = self.outgoing.len();
        write(&mut self.outgoing);
        self.in_flight.push_back(InFlight { request, since, begins_at: self.queued });
        self.queued += (self.outgoing.len() - before) as u64;
    }

    /// Takes the request that the next answer belongs to.
    pub fn pop(&mut self) -> Option<InFlight> {
        self.in_flight.pop_front()
    }

    /// Sends as much as the kernel takes.
    pub fn send(&mut self) -> io::Result<()> {
        while self.outgoing_sent < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.outgoing_sent..]) {
                Ok(count) => {
                    self.outgoing_sent += count;
                    self.written += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing.clear();
        self.outgoing_sent = 0;
        Ok(())
    }

    /// Receives once. Returns `None` if there is nothing now.
    pub fn receive(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            return match self.stream.read(room) {
                Ok(count) => Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Closes the connection, and returns the requests that have no answer.
    pub fn close(self) -> Lost {
        lost(self.in_flight, self.written)
    }
}

fn lost(in_flight: VecDeque<InFlight>, written: u64) -> Lost {
    let mut lost = Lost::default();
    for InFlight { request, begins_at, .. } in in_flight {
        let list = if begins_at < written { &mut lost.unanswered } else { &mut lost.unsent };
        list.push(request);
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_which_a_byte_was_sent_is_told_apart() {
        let since = Instant::now();
        let request = |first| Request { slice: Slice { first, count: 1 }, number: 0 };
        let in_flight = [(0, 0), (1, 100), (2, 200)].map(|(first, begins_at)| InFlight {
            request: request(first),
            since,
            begins_at,
        });
        for (written, unanswered, unsent) in [
            (0, vec![], vec![0, 1, 2]),
            (1, vec![0], vec![1, 2]),
            (100, vec![0], vec![1, 2]),
            (101, vec![0, 1], vec![2]),
            (300, vec![0, 1, 2], vec![]),
        ] {
            let [unanswered, unsent] =
                [unanswered, unsent].map(|all| all.into_iter().map(request).collect());
            assert_eq!(lost(in_flight.into(), written), Lost { unanswered, unsent });
        }
    }
}
