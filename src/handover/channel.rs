//! The channel between a server and its successor: frames over a Unix socket, some with descriptors.
//!
//! ```text
//! frame   kind: 1 byte │ length of the content: 4 bytes, little-endian │ content
//! ```
//!
//! The two ends are one program at two versions, on one machine, and trust each other. What is checked
//! is that they mean the same, and that neither waits for ever for the other: each operation ends when
//! the other end has done nothing for the patience, or when the deadline of the hand-over is over.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::limits::{HANDOVER_FRAME_BYTES_MAX, HANDOVER_PATIENCE_MS};
use crate::sys::passing;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server's format, the number of its workers, and the token.
    Hello,
    /// The successor understands the format, and its options are right.
    Ready,
    /// The successor cannot go on; the content is the reason.
    Refused,
    /// A block of the image of the statistics; with its last, there is no more.
    Image,
    /// Listening sockets.
    Listeners,
    /// Open files of the state directory; the content is for the first of these frames.
    Journal,
    /// Connections with the bytes they hold.
    Connections,
    /// The descriptors of a frame have arrived.
    Arrived,
    /// The successor serves.
    Serving,
    /// A connection whose bytes follow.
    Late,
    /// Some bytes of the late connection.
    Bytes,
    /// All late connections have left.
    Left,
    /// The server has got a stop signal, so the successor must stop.
    Stop,
    /// The listening socket for operators.
    OperatorsListener,
    /// A connection of an operator with the bytes it holds.
    OperatorsConnection,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Hello,
        Kind::Ready,
        Kind::Refused,
        Kind::Image,
        Kind::Listeners,
        Kind::Journal,
        Kind::Connections,
        Kind::Arrived,
        Kind::Serving,
        Kind::Late,
        Kind::Bytes,
        Kind::Left,
        Kind::Stop,
        Kind::OperatorsListener,
        Kind::OperatorsConnection,
    ];
}

/// One message.
#[derive(Debug)]
pub struct Frame {
    /// What it is about.
    pub kind: Kind,
    /// What belongs to it.
    pub content: Vec<u8>,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// One end.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    deadline: Option<Instant>,
}

/// Bytes of a frame before its content.
pub const HEADER_BYTES: usize = 5;
/// Bytes of the content that are sent in one message with the header.
const TOGETHER_BYTES: usize = 4 * 1024;
const PATIENCE: Duration = Duration::from_millis(HANDOVER_PATIENCE_MS);

impl Channel {
    /// Makes a channel over this socket. Neither end waits longer than [`HANDOVER_PATIENCE_MS`] for
    /// a sign of the other.
    pub fn new(stream: UnixStream) -> Channel {
        Channel { stream, deadline: None }
    }

    /// Sets the time after which everything fails, besides the patience.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Makes a second handle of this end.
    ///
    /// # Errors
    /// If the limit of descriptors is reached.
    pub fn try_clone(&self) -> io::Result<Channel> {
        Ok(Channel { stream: self.stream.try_clone()?, deadline: self.deadline })
    }

    /// Ends the conversation: both ends, also those that wait at this moment, see its end.
    pub fn hang_up(&self) {
        // A socket that is not connected any more is hung up already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// Those of send(2); `TimedOut` when the other end does not read.
    pub fn send(&mut self, kind: Kind, content: &[u8]) -> io::Result<()> {
        self.send_with(kind, content, &[])
    }

    /// Sends a frame with descriptors, and waits until they have arrived: the kernel limits how
    /// many may be on their way.
    ///
    /// # Errors
    /// As [`send`](Self::send), and if the other end answers anything else.
    pub fn send_descriptors(
        &mut self,
        kind: Kind,
        content: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.send_with(kind, content, descriptors)?;
        self.expect(Kind::Arrived).map(drop)
    }

    /// Sends a frame with descriptors, and does not wait.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with(
        &mut self,
        kind: Kind,
        content: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let length = u32::try_from(content.len()).ok().filter(|_| is_frame_length(content.len()));
        let length = length.ok_or(ErrorKind::InvalidInput)?;
        // The start of the content goes with the header: a reader that looks at what waits, and takes
        // nothing, sees no further than one message with descriptors.
        let (start, rest) = content.split_at(content.len().min(TOGETHER_BYTES));
        let mut message = Vec::with_capacity(HEADER_BYTES + start.len());
        message.push(kind as u8);
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(start);
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        let sent = passing::send(self.stream.as_fd(), &message, descriptors).map_err(in_words)?;
        self.write(&message[sent..])?;
        self.write(rest)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(self.remaining()?))?;
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(in_words(error)),
            }
        }
        Ok(())
    }

    /// Receives a frame.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end has gone, `TimedOut` when it sends nothing in time,
    /// `InvalidData` for what is no frame.
    pub fn receive(&mut self) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        let mut descriptors = Vec::new();
        self.stream.set_read_timeout(Some(self.remaining()?))?;
        let received = passing::receive(self.stream.as_fd(), &mut header, &mut descriptors);
        let received = received.map_err(in_words)?;
        if received == 0 {
            return Err(gone());
        }
        self.read(&mut header[received..])?;
        let [kind, length @ ..] = header;
        let kind = *Kind::ALL.get(usize::from(kind)).ok_or_else(malformed)?;
        let length = u32::from_le_bytes(length) as usize;
        if !is_frame_length(length) {
            return Err(malformed());
        }
        let mut content = vec![0; length];
        self.read(&mut content)?;
        Ok(Frame { kind, content, descriptors })
    }

    fn read(&mut self, mut room: &mut [u8]) -> io::Result<()> {
        while !room.is_empty() {
            self.stream.set_read_timeout(Some(self.remaining()?))?;
            match self.stream.read(room) {
                Ok(0) => return Err(gone()),
                Ok(count) => room = &mut room[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(in_words(error)),
            }
        }
        Ok(())
    }

    /// Receives a frame that must be of this kind.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); the reason of the other end if it refuses.
    pub fn expect(&mut self, kind: Kind) -> io::Result<Frame> {
        let frame = self.receive()?;
        match frame.kind {
            found if found == kind => Ok(frame),
            Kind::Refused => Err(io::Error::other(String::from_utf8_lossy(&frame.content))),
            found => Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("{kind:?} was expected, {found:?} came"),
            )),
        }
    }

    /// Waits without a limit of time until something comes, or the other end has gone.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn wait(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(None)?;
        passing::wait(self.stream.as_fd())
    }

    /// Returns how long the next operation may take.
    fn remaining(&self) -> io::Result<Duration> {
        let Some(deadline) = self.deadline else { return Ok(PATIENCE) };
        let remaining = deadline.saturating_duration_since(Instant::now()).min(PATIENCE);
        if remaining.is_zero() { Err(late()) } else { Ok(remaining) }
    }
}

fn is_frame_length(length: usize) -> bool {
    length <= HANDOVER_FRAME_BYTES_MAX
}

/// Returns the error with a message that explains what it means for the hand-over. Without it an operator
/// would read the system's words for a time-out, "Resource temporarily unavailable".
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => late(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => gone(),
        _ => error,
    }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the other process does not answer in time")
}

fn malformed() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        "the other process sends what is no frame of a hand-over",
    )
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the other process has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (a, b) = UnixStream::pair().unwrap();
        (Channel::new(a), Channel::new(b))
    }

    #[test]
    fn frames_arrive_as_they_were_sent() {
        let (mut a, mut b) = pair();
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i, "ALL follows the declaration");
            a.send(kind, &vec![i as u8; i * 1_000]).unwrap();
            let frame = b.receive().unwrap();
            assert_eq!((frame.kind, frame.content), (kind, vec![i as u8; i * 1_000]));
            assert!(frame.descriptors.is_empty());
        }
        a.send_with(Kind::Late, b"x", &[io::stderr().as_fd()]).unwrap();
        assert_eq!(b.receive().unwrap().descriptors.len(), 1);
        drop(a);
        assert_eq!(b.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(b.send(Kind::Ready, b"").unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_refusal_is_an_error_with_its_reason() {
        let (mut a, mut b) = pair();
        a.send(Kind::Refused, b"not today").unwrap();
        assert_eq!(b.expect(Kind::Ready).unwrap_err().to_string(), "not today");
        a.send(Kind::Serving, b"").unwrap();
        let error = b.expect(Kind::Ready).unwrap_err().to_string();
        assert_eq!(error, "Ready was expected, Serving came");
        a.stream.write_all(&[99, 0, 0, 0, 0]).unwrap();
        assert_eq!(b.receive().unwrap_err().kind(), ErrorKind::InvalidData);
        a.stream.write_all(&[0, 255, 255, 255, 255]).unwrap();
        assert_eq!(b.receive().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_sent() {
        let (mut a, _b) = pair();
        let content = vec![0; HANDOVER_FRAME_BYTES_MAX + 1];
        assert_eq!(a.send(Kind::Bytes, &content).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_deadline_ends_both_directions_also_while_bytes_trickle() {
        let (mut a, mut b) = pair();
        let start = Instant::now();
        a.set_deadline(Some(start + Duration::from_millis(100)));
        // Half a frame, and then a byte at a time.
        b.stream.write_all(&[Kind::Bytes as u8, 0, 1, 0, 0]).unwrap();
        let trickle = std::thread::spawn(move || {
            while b.stream.write_all(&[0]).is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let late = a.receive().unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        assert_eq!(late.to_string(), "the other process does not answer in time");
        assert!(start.elapsed() >= Duration::from_millis(100));
        assert_eq!(a.send(Kind::Bytes, b"").unwrap_err().kind(), ErrorKind::TimedOut);
        drop(a);
        trickle.join().unwrap();
    }

    #[test]
    fn hanging_up_wakes_both_ends() {
        let (mut a, mut b) = pair();
        let other = a.try_clone().unwrap();
        let waiting = std::thread::spawn(move || a.receive().unwrap_err().kind());
        other.hang_up();
        assert_eq!(waiting.join().unwrap(), ErrorKind::UnexpectedEof);
        assert_eq!(b.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
