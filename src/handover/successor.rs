//! The process that is to go on, as its server sees it.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::slice;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::channel::{Channel, Kind};
use super::greeting::write_hello;
use super::luggage::{self, Doors};
use crate::limits::{HANDOVER_PAUSE_MS, HANDOVER_ROUNDS_MAX, HANDOVER_TIMEOUT_MS, IMAGE_IDS_BYTES};
use crate::server::Moved;
use crate::stats::Statistics;
use crate::stats::image;
use crate::sys::passing::DESCRIPTORS_PER_MESSAGE_MAX;
use crate::sys::starter::{Started, Starter};
use crate::sys::token::Token;

/// An offer of the service to another process. One thread carries it out, see [`Successor`]; any
/// thread may withdraw it as long as the other process does not serve.
pub struct Offer {
    token: Token,
    state: Mutex<State>,
    /// The other end of the channel, until the successor has it.
    theirs: Mutex<Option<UnixStream>>,
}

struct State {
    withdrawn: bool,
    /// A handle of the channel.
    channel: Channel,
}

impl Offer {
    /// Prepares an offer.
    ///
    /// # Errors
    /// If the system gives no channel or no token.
    pub fn new() -> io::Result<Offer> {
        let (ours, theirs) = UnixStream::pair()?;
        let state = State { withdrawn: false, channel: Channel::new(ours) };
        Ok(Offer {
            token: Token::new()?,
            state: Mutex::new(state),
            theirs: Mutex::new(Some(theirs)),
        })
    }

    /// Takes the offer back, unless the successor has taken the service. Returns whether the offer
    /// is withdrawn: if so, the successor can never serve.
    pub fn withdraw(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A token that cannot be read is no token that the successor could take.
        state.withdrawn = state.withdrawn || self.token.take().unwrap_or(true);
        if state.withdrawn {
            state.channel.hang_up();
        }
        state.withdrawn
    }

    /// Orders a successor that serves to stop.
    ///
    /// # Errors
    /// If it has ended.
    pub fn stop(&self) -> io::Result<()> {
        self.send(Kind::Stop, b"", &[])
    }

    /// Sends a frame whole, also when two threads send.
    fn send(&self, kind: Kind, content: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.channel.send_with(kind, content, sockets)
    }
}

/// The state directory on its way: what its room needs to go on, and its open files.
pub struct Journal<'j> {
    /// For the first frame.
    pub bytes: &'j [u8],
    /// At least one.
    pub files: &'j [BorrowedFd<'j>],
}

/// A process that gets ready to serve.
pub struct Successor<'o> {
    offer: &'o Offer,
    process: Started<'o>,
    channel: Channel,
    /// The statistics on their way.
    image: image::Writer,
}

impl<'o> Successor<'o> {
    /// Lets `starter` start the program that is to go on, and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be started, refuses, ends or is not ready in time; then it does not run.
    pub fn start(
        offer: &'o Offer,
        starter: &'o Starter,
        workers: usize,
    ) -> io::Result<Successor<'o>> {
        let theirs = offer.theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let theirs = theirs.ok_or(io::ErrorKind::InvalidInput)?;
        let state = offer.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut channel = state.channel.try_clone()?;
        drop(state);
        channel.set_deadline(Some(Instant::now() + Duration::from_millis(HANDOVER_TIMEOUT_MS)));
        // Before the process starts, so that it finds the greeting in the channel at once.
        channel.send_with(Kind::Hello, &write_hello(workers), &[offer.token.as_fd()])?;
        let process = starter.start(theirs.as_fd())?;
        // As long as this process holds that end, the end of the child would not be seen.
        drop(theirs);
        let mut successor = Successor { offer, process, channel, image: image::Writer::new() };
        match successor.channel.expect(Kind::Ready) {
            Ok(_) => Ok(successor),
            Err(error) => {
                successor.end();
                Err(error)
            }
        }
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Sends the users that are known by now, while the workers count, as long as that is getting
    /// shorter.
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

    /// Sends the state, after the workers have stopped, and waits until the successor serves. The
    /// connections that it has not got yet are taken out of `departed`, to be sent by
    /// [`send_late`](Self::send_late).
    ///
    /// # Errors
    /// Those of the channel, or the reason of the successor. Then it does not run, and `departed` is
    /// complete.
    pub fn hand_over(
        &mut self,
        statistics: &Statistics,
        journal: Option<Journal<'_>>,
        departed: &mut Doors,
    ) -> io::Result<Vec<Moved>> {
        self.channel.set_deadline(Some(Instant::now() + Duration::from_millis(HANDOVER_PAUSE_MS)));
        let clients = &mut departed.clients;
        let (early, late) = luggage::divide(mem::take(&mut clients.connections));
        clients.connections = early;
        let sent = self.send_state(statistics, journal, departed);
        let serving = sent.and_then(|()| self.channel.expect(Kind::Serving).map(drop));
        match serving.or_else(|error| self.settle(error)) {
            Ok(()) => Ok(late),
            Err(error) => {
                departed.clients.connections.extend(late);
                Err(error)
            }
        }
    }

    fn send_state(
        &mut self,
        statistics: &Statistics,
        journal: Option<Journal<'_>>,
        departed: &Doors,
    ) -> io::Result<()> {
        if let Some(Journal { bytes, files }) = journal {
            for (i, files) in files.chunks(DESCRIPTORS_PER_MESSAGE_MAX).enumerate() {
                let bytes = if i == 0 { bytes } else { b"" };
                self.channel.send_descriptors(Kind::Journal, bytes, files)?;
            }
        }
        let Doors { clients, operators } = departed;
        for sockets in clients.listeners.chunks(DESCRIPTORS_PER_MESSAGE_MAX) {
            let sockets: Vec<BorrowedFd> = sockets.iter().map(AsFd::as_fd).collect();
            self.channel.send_descriptors(Kind::Listeners, b"", &sockets)?;
        }
        for connections in clients.connections.chunks(DESCRIPTORS_PER_MESSAGE_MAX) {
            let sockets: Vec<BorrowedFd> =
                connections.iter().map(|moved| moved.socket.as_fd()).collect();
            let content = luggage::write_early(connections);
            self.channel.send_descriptors(Kind::Connections, &content, &sockets)?;
        }
        for socket in &operators.listeners {
            self.channel.send_descriptors(Kind::OperatorsListener, b"", &[socket.as_fd()])?;
        }
        // They are few, and hold little, so none is late. One frame for each has room for all it holds.
        for moved in &operators.connections {
            let content = luggage::write_early(slice::from_ref(moved));
            let sockets = [moved.socket.as_fd()];
            self.channel.send_descriptors(Kind::OperatorsConnection, &content, &sockets)?;
        }
        let image = mem::take(&mut self.image);
        image.end(statistics.cut(), |block| self.channel.send(Kind::Image, block))
    }

    /// Decides after an error which of the two processes serves: this one, with the error, if the
    /// offer can be withdrawn. Otherwise the successor has taken the token, and announces that it
    /// serves as its very next step; if it ends before, it never served.
    fn settle(&mut self, error: io::Error) -> io::Result<()> {
        if !self.offer.withdraw() {
            self.channel.set_deadline(None);
            loop {
                match self.channel.wait().and_then(|()| self.channel.receive()) {
                    Ok(frame) if frame.kind == Kind::Serving => return Ok(()),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        self.kill();
        Err(error)
    }

    /// Ends the successor, which does not serve: the offer is withdrawn.
    pub fn end(&mut self) {
        self.offer.withdraw();
        self.kill();
    }

    /// Ends the process. If the starter is gone, the process ends by itself, since the channel has
    /// ended.
    fn kill(&mut self) {
        let _ = self.process.end();
    }

    /// Sends connections to the successor that serves, and closes them here.
    ///
    /// # Errors
    /// Those of the channel. The connections that were not sent are closed.
    pub fn send_late(&mut self, late: Vec<Moved>) -> io::Result<()> {
        self.channel.set_deadline(None);
        for moved in late {
            let lengths = luggage::write_lengths(&moved);
            self.offer.send(Kind::Late, &lengths, &[moved.socket.as_fd()])?;
            for piece in luggage::pieces(&moved) {
                self.offer.send(Kind::Bytes, piece, &[])?;
            }
            self.channel.expect(Kind::Arrived)?;
        }
        self.offer.send(Kind::Left, b"", &[])
    }
}
