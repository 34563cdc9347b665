//! From one process to its successor, without a refused connection, a lost answer or a lost count.
//!
//! A server that is told to restart starts the program anew and keeps serving while the other
//! gets ready and takes the users known so far. Then its workers stop between two turns; at that
//! instant the statistics are final, and what is left travels: the latest users, the totals, the
//! listening sockets with their queues, and every connection with what it holds ([`Departed`]).
//!
//! ```text
//! server                                         successor
//! Hello   version, workers                 ──►   reads its options
//!                                          ◄──   Ready
//! Image … of users, while workers count    ──►   takes them in
//! ── workers stop: nothing is answered until Go, some milliseconds ──
//! Listeners  Connections  Image … its end  ──►   takes them in, checks the number of users
//!                                          ◄──   Prepared: its workers wait at the start
//! Go                                       ──►   serves
//! waits for clients that read their last answer, and ends
//! ```
//!
//! Until Go is sent, the server has everything still, for a descriptor that is sent is kept as
//! well: when the successor refuses, dies or says nothing in time, the server goes on as if nothing
//! had been. After Go it never serves again. So each event is counted by exactly one of the two,
//! and every snapshot is one of a single process.
//!
//! The successor finds the channel on its standard input, which a server has no other use for.

mod channel;

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use std::{env, mem};

use crate::limits::{HANDOVER_PATIENCE_MS, HANDOVER_ROUNDS_MAX, IMAGE_IDS_BYTES};
use crate::server::{Departed, Moved};
use crate::stats::Statistics;
use crate::stats::image::{self, Damaged};
use crate::sys::children::Child;
use crate::sys::passing::DESCRIPTORS_PER_MESSAGE_MAX;
use channel::{Channel, Frame, Kind};

/// Set in the environment of a successor.
const SUCCESSOR_VARIABLE: &str = "MILLRACE_SUCCESSOR";

/// The version of all that is sent; changes with it.
const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"millrace";

const PATIENCE: Duration = Duration::from_millis(HANDOVER_PATIENCE_MS);

/// The process that is to go on, as its server sees it.
pub struct Successor {
    child: Child,
    channel: Channel,
    /// The statistics on their way.
    image: image::Writer,
}

impl Successor {
    /// Starts `program` with this process's arguments and environment, less the variables `without`,
    /// and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be started, refuses, ends or is not ready in time; then it does not run.
    pub fn start(program: &Path, without: &[&str], workers: usize) -> io::Result<Successor> {
        let (ours, theirs) = UnixStream::pair()?;
        let channel = Channel::new(ours, PATIENCE)?;
        let environment = env::vars_os()
            .filter(|(name, _)| !without.iter().any(|other| name == other))
            .chain([(SUCCESSOR_VARIABLE.into(), "1".into())]);
        let child = Child::start(program.as_os_str(), env::args_os(), environment, theirs.as_fd())?;
        // With this process holding it, the end of the child would not be seen.
        drop(theirs);
        let mut successor = Successor { child, channel, image: image::Writer::new() };
        match successor.greet(workers) {
            Ok(()) => Ok(successor),
            Err(error) => {
                successor.end();
                Err(error)
            }
        }
    }

    /// Says what is to come, and waits until it is ready for it.
    fn greet(&mut self, workers: usize) -> io::Result<()> {
        let mut hello = MAGIC.to_vec();
        hello.extend_from_slice(&VERSION.to_le_bytes());
        hello.extend_from_slice(&(workers as u32).to_le_bytes());
        self.channel.send(Kind::Hello, &hello)?;
        self.channel.expect(Kind::Ready).map(drop)
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the users that are known by now, as long as that is getting shorter.
    ///
    /// # Errors
    /// Those of the channel.
    pub fn send_users_ahead(&mut self, statistics: &Statistics) -> io::Result<()> {
        for _ in 0..HANDOVER_ROUNDS_MAX {
            let sent_bytes =
                self.image.ids(statistics.cut(), |block| self.channel.send(Kind::Image, block))?;
            if sent_bytes < IMAGE_IDS_BYTES {
                break;
            }
        }
        Ok(())
    }

    /// Sends all that is left, after the workers have stopped, and waits until the successor is
    /// prepared to serve.
    ///
    /// # Errors
    /// Those of the channel, or what the successor says.
    pub fn send_rest(&mut self, statistics: &Statistics, departed: &Departed) -> io::Result<()> {
        for sockets in departed.listeners.chunks(DESCRIPTORS_PER_MESSAGE_MAX) {
            let sockets: Vec<BorrowedFd> = sockets.iter().map(AsFd::as_fd).collect();
            self.channel.send_descriptors(Kind::Listeners, b"", &sockets)?;
        }
        for connections in departed.connections.chunks(DESCRIPTORS_PER_MESSAGE_MAX) {
            let sockets: Vec<BorrowedFd> =
                connections.iter().map(|moved| moved.socket.as_fd()).collect();
            let content = write_connections(connections);
            self.channel.send_descriptors(Kind::Connections, &content, &sockets)?;
        }
        let image = mem::take(&mut self.image);
        image.end(statistics.cut(), |block| self.channel.send(Kind::Image, block))?;
        self.channel.expect(Kind::Prepared).map(drop)
    }

    /// Lets it serve. After this, this process must not.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn go(&mut self) -> io::Result<()> {
        self.channel.send(Kind::Go, b"")
    }

    /// Ends it.
    pub fn end(self) {
        self.child.end();
    }
}

/// The process that served until now, as its successor sees it.
pub struct Predecessor {
    channel: Channel,
    /// How many workers it has.
    pub workers: usize,
}

impl Predecessor {
    /// The process that has started this one to be its successor, if it was so started.
    ///
    /// # Errors
    /// If it speaks another version, which it is told.
    pub fn find() -> io::Result<Option<Predecessor>> {
        if env::var_os(SUCCESSOR_VARIABLE).is_none() {
            return Ok(None);
        }
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut channel = Channel::new(stream, PATIENCE)?;
        let hello = channel.expect(Kind::Hello)?.content;
        match read_hello(&hello) {
            Ok(workers) => Ok(Some(Predecessor { channel, workers })),
            Err(message) => {
                channel.send(Kind::Refused, message.as_bytes())?;
                Err(io::Error::other(message))
            }
        }
    }

    /// Takes in the statistics, which must be zero, and returns the sockets.
    ///
    /// # Errors
    /// Those of the channel; if what comes is not whole, which the other process is told.
    pub fn receive(&mut self, statistics: &Statistics) -> io::Result<Departed> {
        self.channel.send(Kind::Ready, b"")?;
        let (mut departed, mut image) = (Departed::default(), image::Reader::new(statistics));
        loop {
            let Frame { kind, content, descriptors } = self.channel.receive()?;
            let taken = match kind {
                Kind::Image => image.take(&content),
                Kind::Listeners => {
                    departed.listeners.extend(descriptors);
                    self.channel.send(Kind::Arrived, b"")?;
                    Ok(false)
                }
                Kind::Connections => {
                    let connections = read_connections(&content, descriptors);
                    self.channel.send(Kind::Arrived, b"")?;
                    connections.map(|connections| {
                        departed.connections.extend(connections);
                        false
                    })
                }
                _ => Err(Damaged("a frame of another kind was expected")),
            };
            match taken {
                Ok(false) => {}
                Ok(true) => return Ok(departed),
                Err(damaged) => {
                    let message = format!("the successor cannot take in {kind:?}: {damaged}");
                    self.refuse(&message);
                    return Err(io::Error::new(ErrorKind::InvalidData, message));
                }
            }
        }
    }

    /// Says that everything stands ready, and waits for the word to go.
    ///
    /// # Errors
    /// If it does not come: the other process goes on.
    pub fn take_over(&mut self) -> io::Result<()> {
        self.channel.send(Kind::Prepared, b"")?;
        self.channel.expect(Kind::Go).map(drop)
    }

    /// Says why it cannot go on.
    pub fn refuse(&mut self, message: &str) {
        // If this does not arrive, the end of this process says enough.
        let _ = self.channel.send(Kind::Refused, message.as_bytes());
    }
}

fn read_hello(content: &[u8]) -> Result<usize, String> {
    let numbers = content.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<4>());
    let Some((&version, rest)) = numbers else {
        return Err("this is no hand-over of millrace".to_owned());
    };
    match (u32::from_le_bytes(version), <[u8; 4]>::try_from(rest)) {
        (VERSION, Ok(workers)) => Ok(u32::from_le_bytes(workers) as usize),
        (version, _) => Err(format!(
            "the running server hands over in format {version}, the new program takes {VERSION}: stop the one and start the other"
        )),
    }
}

/// Of each connection two lengths, then the bytes it holds and those it has not sent.
fn write_connections(connections: &[Moved]) -> Vec<u8> {
    let mut content = Vec::new();
    for Moved { held, unsent, .. } in connections {
        for part in [held, unsent] {
            content.extend_from_slice(&(part.len() as u64).to_le_bytes());
        }
        content.extend_from_slice(held);
        content.extend_from_slice(unsent);
    }
    content
}

fn read_connections(mut content: &[u8], sockets: Vec<OwnedFd>) -> Result<Vec<Moved>, Damaged> {
    let mut read = |socket| {
        let [held_bytes, unsent_bytes] = [take_u64(&mut content)?, take_u64(&mut content)?];
        let held = take(&mut content, held_bytes)?.to_vec();
        let unsent = take(&mut content, unsent_bytes)?.to_vec();
        Some(Moved { socket, held, unsent })
    };
    let connections = sockets.into_iter().map(&mut read).collect::<Option<_>>();
    connections.filter(|_| content.is_empty()).ok_or(Damaged("connections are not whole"))
}

fn take<'b>(content: &mut &'b [u8], count: u64) -> Option<&'b [u8]> {
    let (taken, rest) = content.split_at_checked(usize::try_from(count).ok()?)?;
    *content = rest;
    Some(taken)
}

fn take_u64(content: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = content.split_first_chunk()?;
    *content = rest;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_arrive_as_they_left() {
        let socket = || OwnedFd::from(UnixStream::pair().unwrap().0);
        let moved = |held: &[u8], unsent: &[u8]| Moved {
            socket: socket(),
            held: held.to_vec(),
            unsent: unsent.to_vec(),
        };
        let connections = [moved(b"", b""), moved(b"POST /ev", b""), moved(b"x", b"HTTP/1.1 2")];
        let content = write_connections(&connections);
        let sockets = || (0..3).map(|_| socket()).collect::<Vec<_>>();
        let read = read_connections(&content, sockets()).unwrap();
        let bytes = |moved: &Moved| (moved.held.clone(), moved.unsent.clone());
        assert!(read.iter().map(bytes).eq(connections.iter().map(bytes)));
        assert!(read_connections(&content[..content.len() - 1], sockets()).is_err());
        assert!(read_connections(&content, sockets().split_off(1)).is_err());
    }

    #[test]
    fn another_version_is_told_so() {
        let hello =
            |version: u32| [&MAGIC[..], &version.to_le_bytes(), &7_u32.to_le_bytes()].concat();
        assert_eq!(read_hello(&hello(VERSION)), Ok(7));
        assert!(read_hello(&hello(VERSION + 1)).unwrap_err().contains("stop the one"));
        assert!(read_hello(b"GET / HT").is_err());
        assert!(read_hello(&hello(VERSION)[..10]).is_err());
    }
}
