//! The process that served until now, as its successor sees it.

use std::env;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::channel::{Channel, Frame, HEADER_BYTES, Kind};
use super::greeting::{CHANNEL_DESCRIPTOR, MAGIC, OLD_VARIABLE, read_hello};
use super::luggage::{self, Arriving, Doors};
use crate::server::{Departed, Moved};
use crate::stats::Statistics;
use crate::stats::image;
use crate::sys::oom::Expendable;
use crate::sys::token::Token;
use crate::sys::{descriptors, passing};

/// The process that has started this one to be its successor.
pub struct Predecessor {
    channel: Channel,
    token: Token,
    /// How many workers it has.
    pub workers: usize,
    /// Until this process serves, it is the one that the kernel ends when memory runs out.
    expendable: Option<Expendable>,
}

/// What a predecessor sends after its successor serves.
pub enum Word {
    /// A connection.
    Connection(Moved),
    /// There are no more connections.
    Left,
    /// It was told to stop, and so is the service.
    Stop,
}

/// The state directory of a predecessor: what its room needs to go on, and its open files.
#[derive(Debug, Default)]
pub struct JournalLuggage {
    /// Bytes of the journal.
    pub bytes: Vec<u8>,
    /// Its open files, in the journal's order.
    pub files: Vec<OwnedFd>,
}

impl Predecessor {
    /// Finds the process that has started this one to be its successor, if it was so started: the
    /// greeting of a predecessor waits at a certain descriptor. Must be called before this process
    /// opens a descriptor.
    ///
    /// # Errors
    /// If the predecessor hands over in another format, which it is told.
    pub fn find() -> io::Result<Option<Predecessor>> {
        if env::var_os(OLD_VARIABLE).is_some() {
            return Err(io::Error::other(
                "the running server is older and hands over in another way: stop it and start this one",
            ));
        }
        let mut greeting = [0; HEADER_BYTES + MAGIC.len()];
        let peeked = passing::peek(CHANNEL_DESCRIPTOR, &mut greeting);
        if !peeked || greeting[HEADER_BYTES..] != *MAGIC {
            return Ok(None);
        }
        // Where /proc is missing, the kernel ends the larger one of the two, as it always does.
        let expendable = Expendable::begin().ok();
        let stream = UnixStream::from(descriptors::inherited(CHANNEL_DESCRIPTOR)?);
        let mut channel = Channel::new(stream);
        let Frame { content, descriptors, .. } = channel.expect(Kind::Hello)?;
        match (read_hello(&content), descriptors.into_iter().next()) {
            (Ok(workers), Some(token)) => {
                Ok(Some(Predecessor { channel, token: token.into(), workers, expendable }))
            }
            (hello, _) => {
                let message = hello.err().unwrap_or_else(|| "the token is missing".to_owned());
                channel.send(Kind::Refused, message.as_bytes())?;
                Err(io::Error::other(message))
            }
        }
    }

    /// Takes in the statistics, which must be zero, and returns the sockets, and bytes and files of the
    /// state directory if there is one. `is_stopped` is asked
    /// now and then whether this process was told to stop.
    ///
    /// # Errors
    /// Those of the channel; if what comes is not whole; if this process was told to stop.
    pub fn receive(
        &mut self,
        statistics: &Statistics,
        is_stopped: impl Fn() -> bool,
    ) -> io::Result<(Doors, Option<JournalLuggage>)> {
        let mut journal: Option<JournalLuggage> = None;
        self.channel.send(Kind::Ready, b"")?;
        let (mut departed, mut image) = (Doors::default(), image::Reader::new(statistics));
        loop {
            let Frame { kind, content, descriptors } = self.channel.receive()?;
            if is_stopped() {
                return Err(stopped());
            }
            let malformed = |why: &str| {
                let message = format!("the successor cannot take in {kind:?}: {why}");
                io::Error::new(ErrorKind::InvalidData, message)
            };
            match kind {
                Kind::Image => {
                    let complete = image.take(&content);
                    if complete.map_err(|damaged| malformed(damaged.0))? {
                        return Ok((departed, journal));
                    }
                }
                Kind::Listeners | Kind::OperatorsListener => {
                    departed.of(kind).listeners.extend(descriptors);
                    self.channel.send(Kind::Arrived, b"")?;
                }
                Kind::Journal => {
                    let journal = journal.get_or_insert_default();
                    journal.bytes.extend_from_slice(&content);
                    journal.files.extend(descriptors);
                    self.channel.send(Kind::Arrived, b"")?;
                }
                Kind::Connections | Kind::OperatorsConnection => {
                    let connections = luggage::read_early(&content, descriptors);
                    let connections =
                        connections.ok_or_else(|| malformed("connections are not whole"))?;
                    departed.of(kind).connections.extend(connections);
                    self.channel.send(Kind::Arrived, b"")?;
                }
                _ => return Err(malformed("it does not belong here")),
            }
        }
    }

    /// Takes the service over. This is the last step that can fail: from here on, this process has
    /// the state, and must serve at once.
    ///
    /// # Errors
    /// If the predecessor has withdrawn its offer, or if this process was told to stop.
    pub fn take_over(&mut self, is_stopped: impl Fn() -> bool) -> io::Result<()> {
        if is_stopped() {
            return Err(stopped());
        }
        if !self.token.take()? {
            return Err(io::Error::other("the running server goes on by itself"));
        }
        // If the predecessor has ended, this process serves all the same.
        let _ = self.channel.send(Kind::Serving, b"");
        Ok(())
    }

    /// Ends the time in which this process is the one that the kernel ends when memory runs out.
    ///
    /// # Errors
    /// If the kernel does not allow it.
    pub fn settle_in(&mut self) -> io::Result<()> {
        self.expendable.take().map_or(Ok(()), Expendable::end)
    }

    /// Says why this process cannot go on.
    pub fn refuse(&mut self, message: &str) {
        // If this does not arrive, the end of this process tells as much.
        let _ = self.channel.send(Kind::Refused, message.as_bytes());
    }

    /// Gives everything to `act` that the predecessor sends until it ends.
    pub fn follow(mut self, mut act: impl FnMut(Word)) {
        let mut arriving: Option<Arriving> = None;
        while let Ok(Frame { kind, content, mut descriptors }) = self.next_frame() {
            match kind {
                Kind::Stop => act(Word::Stop),
                Kind::Left => act(Word::Left),
                Kind::Late => {
                    let socket = descriptors.pop();
                    arriving = socket.and_then(|socket| Arriving::begin(&content, socket));
                    if arriving.is_none() {
                        return;
                    }
                }
                Kind::Bytes if arriving.as_mut().is_some_and(|it| it.take(&content)) => {}
                _ => return,
            }
            if arriving.as_ref().is_some_and(Arriving::is_complete) {
                let connection = arriving.take().and_then(Arriving::finish);
                connection.into_iter().for_each(|connection| act(Word::Connection(connection)));
                if self.channel.send(Kind::Arrived, b"").is_err() {
                    return;
                }
            }
        }
    }

    /// Waits for the next frame without a limit of time.
    fn next_frame(&mut self) -> io::Result<Frame> {
        self.channel.wait()?;
        self.channel.receive()
    }
}

impl Doors {
    /// Returns the part to which a frame of this kind belongs.
    fn of(&mut self, kind: Kind) -> &mut Departed {
        match kind {
            Kind::OperatorsListener | Kind::OperatorsConnection => &mut self.operators,
            _ => &mut self.clients,
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the successor was told to stop")
}
