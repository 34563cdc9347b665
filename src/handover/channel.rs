//! The channel between a server and its successor: frames over a Unix socket, some with descriptors.
//!
//! ```text
//! frame   kind: 1 byte │ length of the content: 4 bytes, little-endian │ content
//! ```
//!
//! The two ends are one program at two versions, on one machine, and trust each other; what is
//! checked is that they mean the same.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::sys::passing;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who asks, and in what version of these frames.
    Hello,
    /// The successor understands, and has what it needs.
    Ready,
    /// The successor cannot go on; the content says why.
    Refused,
    /// A block of the image of the statistics; with its last, there is no more.
    Image,
    /// Listening sockets.
    Listeners,
    /// Connections, and what they hold.
    Connections,
    /// A frame with descriptors has arrived.
    Arrived,
    /// The successor has taken in everything.
    Prepared,
    /// From now on the successor serves.
    Go,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Hello,
        Kind::Ready,
        Kind::Refused,
        Kind::Image,
        Kind::Listeners,
        Kind::Connections,
        Kind::Arrived,
        Kind::Prepared,
        Kind::Go,
    ];
}

/// One message.
#[derive(Debug)]
pub struct Frame {
    /// What it is about.
    pub kind: Kind,
    /// What it says.
    pub content: Vec<u8>,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// One end.
pub struct Channel {
    stream: UnixStream,
}

const HEADER_BYTES: usize = 5;

impl Channel {
    /// The channel over this socket; neither end waits longer than `patience` for the other.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn new(stream: UnixStream, patience: Duration) -> io::Result<Channel> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Channel { stream })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// Those of send(2); `WouldBlock` when the other end does not read.
    pub fn send(&mut self, kind: Kind, content: &[u8]) -> io::Result<()> {
        self.send_with(kind, content, &[])
    }

    /// Sends a frame with descriptors, and waits until they have arrived: the kernel limits how
    /// many may be on their way.
    ///
    /// # Errors
    /// As [`send`](Self::send), and if the other end says anything but that.
    pub fn send_descriptors(
        &mut self,
        kind: Kind,
        content: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.send_with(kind, content, descriptors)?;
        self.expect(Kind::Arrived).map(drop)
    }

    fn send_with(
        &mut self,
        kind: Kind,
        content: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let length = u32::try_from(content.len()).map_err(|_| ErrorKind::InvalidInput)?;
        let mut header = [0; HEADER_BYTES];
        header[0] = kind as u8;
        header[1..].copy_from_slice(&length.to_le_bytes());
        let sent = passing::send(self.stream.as_fd(), &header, descriptors)?;
        self.stream.write_all(&header[sent..])?;
        self.stream.write_all(content)
    }

    /// Receives a frame.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end has gone, `WouldBlock` when it says nothing in time,
    /// `InvalidData` for what is no frame.
    pub fn receive(&mut self) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        let mut descriptors = Vec::new();
        let received = passing::receive(self.stream.as_fd(), &mut header, &mut descriptors)?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.stream.read_exact(&mut header[received..])?;
        let [kind, length @ ..] = header;
        let kind = *Kind::ALL.get(usize::from(kind)).ok_or(ErrorKind::InvalidData)?;
        let mut content = vec![0; u32::from_le_bytes(length) as usize];
        self.stream.read_exact(&mut content)?;
        Ok(Frame { kind, content, descriptors })
    }

    /// Receives a frame that must be of this kind.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); what the other end says if it refuses.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn pair() -> (Channel, Channel) {
        let (a, b) = UnixStream::pair().unwrap();
        (Channel::new(a, PATIENCE).unwrap(), Channel::new(b, PATIENCE).unwrap())
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
        drop(a);
        assert_eq!(b.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_refusal_is_an_error_with_its_reason() {
        let (mut a, mut b) = pair();
        a.send(Kind::Refused, b"not today").unwrap();
        assert_eq!(b.expect(Kind::Ready).unwrap_err().to_string(), "not today");
        a.send(Kind::Go, b"").unwrap();
        let error = b.expect(Kind::Ready).unwrap_err().to_string();
        assert_eq!(error, "Ready was expected, Go came");
        a.stream.write_all(&[99, 0, 0, 0, 0]).unwrap();
        assert_eq!(b.receive().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
