//! What a connection asks of its socket, and how it receives and sends.
//!
//! A trait, so that the state machine of a connection can be tested against a scripted peer that
//! splits, delays and refuses wherever it likes; the server's own socket is mio's.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;

use mio::net::TcpStream;
use socket2::SockRef;

use super::meters::Meters;
use crate::http::refusal::is_head;
use crate::sys::sockets;

/// A non-blocking stream.
pub trait Stream: Read + Write {
    /// Sends our FIN; what the peer sends can still be read.
    fn shutdown_write(&self) -> io::Result<()>;
    /// Bytes given to the stream that the peer has not taken yet.
    fn untaken_bytes(&self) -> io::Result<usize>;
    /// Acknowledges at once what has arrived, as far as the kernel does so.
    fn acknowledge_now(&self);
}

impl Stream for TcpStream {
    fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn untaken_bytes(&self) -> io::Result<usize> {
        sockets::unacknowledged_bytes(self.as_fd())
    }

    fn acknowledge_now(&self) {
        // The client only waits longer if this fails.
        let _ = SockRef::from(self).set_tcp_quickack(true);
    }
}

/// Receives once; `None` if there is nothing now.
#[inline(always)]
pub fn receive(
    stream: &mut impl Stream,
    room: &mut [u8],
    meters: &Meters,
) -> io::Result<Option<usize>> {
    loop {
        return match stream.read(room) {
            Ok(received) => {
                meters.received_bytes.add(received as u64);
                Ok(Some(received))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

/// Receives once, and returns whether a `HEAD` has come, to which an answer has no content. Nothing is
/// waited for: a request that has not come yet is taken for another one.
pub fn has_sent_head(stream: &mut impl Stream, room: &mut [u8], meters: &Meters) -> bool {
    let received = receive(stream, room, meters).ok().flatten();
    is_head(&room[..received.unwrap_or(0)])
}

/// Sends as much as the socket takes. After a short send it tries again until the socket refuses,
/// since only a refusal makes an edge for writing.
#[inline(always)]
pub fn send(stream: &mut impl Stream, bytes: &[u8], meters: &Meters) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    meters.sent_bytes.add(sent as u64);
    Ok(sent)
}
