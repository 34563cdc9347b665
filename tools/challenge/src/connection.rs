//! One connection of a thread: requests on their way out, and requests whose answers are due.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

/// How long an attempt to connect may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A request that has been given to the connection and not been answered.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    /// The event it sends.
    pub index: u64,
    /// When it was sent, or was due to be.
    pub since: Instant,
    /// Where it begins in the bytes of this connection, counted from its start.
    begins_at: u64,
}

/// A connection, perhaps one after another.
pub struct Connection {
    stream: TcpStream,
    outgoing: Vec<u8>,
    /// Bytes of the connection that the kernel has taken, and that have been given to it in all.
    written: u64,
    queued: u64,
    in_flight: VecDeque<InFlight>,
    /// The start of an answer.
    pub incoming: Vec<u8>,
}

/// What became of the requests of a connection that is no more.
#[derive(Debug, Default, PartialEq)]
pub struct Lost {
    /// Events of which at least a byte was sent: they may have been counted.
    pub unanswered: u64,
    /// Events of which nothing was sent: they can be sent elsewhere.
    pub unsent: Vec<u64>,
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
            written: 0,
            queued: 0,
            in_flight: VecDeque::new(),
            incoming: Vec::new(),
        })
    }

    /// The socket, to register it.
    pub fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Requests given to it and not answered.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The request that has waited longest.
    pub fn oldest(&self) -> Option<&InFlight> {
        self.in_flight.front()
    }

    /// Gives it a request, which `write` appends.
    pub fn push(&mut self, index: u64, since: Instant, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.outgoing.len();
        write(&mut self.outgoing);
        self.in_flight.push_back(InFlight { index, since, begins_at: self.queued });
        self.queued += (self.outgoing.len() - before) as u64;
    }

    /// The request that the next answer belongs to.
    pub fn pop(&mut self) -> Option<InFlight> {
        self.in_flight.pop_front()
    }

    /// Sends what the kernel takes.
    pub fn send(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            if sent == self.outgoing.len() {
                break Ok(());
            }
            match self.stream.write(&self.outgoing[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.written += sent as u64;
        self.outgoing.drain(..sent);
        result
    }

    /// Receives once; `None` if there is nothing now.
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

    /// Closes it, and says what became of its requests.
    pub fn close(self) -> Lost {
        lost(self.in_flight, self.written)
    }
}

fn lost(in_flight: VecDeque<InFlight>, written: u64) -> Lost {
    let mut lost = Lost::default();
    for request in in_flight {
        if request.begins_at < written {
            lost.unanswered += 1;
        } else {
            lost.unsent.push(request.index);
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_which_a_byte_was_sent_is_not_sent_again() {
        let since = Instant::now();
        let requests = [(0, 0), (1, 100), (2, 200)].map(|(index, begins_at)| InFlight {
            index,
            since,
            begins_at,
        });
        for (written, unanswered, unsent) in [
            (0, 0, vec![0, 1, 2]),
            (1, 1, vec![1, 2]),
            (100, 1, vec![1, 2]),
            (101, 2, vec![2]),
            (300, 3, vec![]),
        ] {
            assert_eq!(lost(requests.into(), written), Lost { unanswered, unsent });
        }
    }
}
