//! A property of sockets that neither mio nor socket2 can read.

#![allow(unsafe_code)] // ioctl(2) is not in std.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Returns the number of bytes in a TCP socket's send queue that the peer has not acknowledged
/// (`SIOCOUTQ`, tcp(7)). A peer's system acknowledges what it has room for, so a queue that does not
/// shrink belongs to a peer that does not read.
///
/// # Errors
/// `EINVAL` for a socket that listens.
pub fn unacknowledged_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: for this request the kernel writes one `c_int`, which lives for the call.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if status == -1 { Err(io::Error::last_os_error()) } else { Ok(bytes.max(0) as usize) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_queue_is_as_long_as_what_the_peer_has_no_room_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged_bytes(sender.as_fd()).unwrap(), 0);
        sender.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = sender.write(&[0; 65_536]) {
            sent += count;
        }
        let queued = unacknowledged_bytes(sender.as_fd()).unwrap();
        assert!(queued > 0 && queued <= sent, "{queued} of {sent}");
        drop(sender);
        let mut received = Vec::new();
        receiver.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), sent);
    }
}
