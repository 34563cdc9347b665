//! Descriptors that travel over a Unix socket to another process (`SCM_RIGHTS`, unix(7)).
//!
//! The receiver of a descriptor shares the open file with the sender: a listening socket keeps its
//! queue, a connection its bytes, and neither changes because it has another owner.

#![allow(unsafe_code)] // recv(2) with flags, and sendmsg(2) and recvmsg(2) with control data.

use std::io::{self, ErrorKind};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{ptr, slice};

/// Descriptors that go with one message; the kernel takes 253 (`SCM_MAX_FD`).
pub const DESCRIPTORS_PER_MESSAGE_MAX: usize = 128;

const CONTROL_WORDS: usize = 80;
const FDS_BYTES_MAX: usize = DESCRIPTORS_PER_MESSAGE_MAX * size_of::<RawFd>();
// SAFETY: CMSG_SPACE only computes.
const _: () = assert!(
    unsafe { libc::CMSG_SPACE(FDS_BYTES_MAX as u32) } as usize <= CONTROL_WORDS * size_of::<u64>()
);

/// Room for one control message, aligned as its header has to be.
type Control = [u64; CONTROL_WORDS];

/// Sends at least one byte of `bytes`, which must not be empty, and with it all of `descriptors`;
/// returns how many bytes have left.
///
/// # Errors
/// Those of sendmsg(2). The sender keeps its descriptors in any case.
///
/// # Panics
/// With more than [`DESCRIPTORS_PER_MESSAGE_MAX`] descriptors.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    assert!(!bytes.is_empty() && descriptors.len() <= DESCRIPTORS_PER_MESSAGE_MAX);
    let mut control: Control = [0; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut message = message(&mut part);
    if !descriptors.is_empty() {
        let fds_bytes = descriptors.len() * size_of::<RawFd>();
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE only computes.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(fds_bytes as u32) } as _;
        // SAFETY: the message points to `control`.
        let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
        // SAFETY: the assertion above made sure that there is room for a header.
        let header = unsafe { header.as_mut() }.expect("control data has a header");
        header.cmsg_level = libc::SOL_SOCKET;
        header.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: CMSG_LEN only computes.
        header.cmsg_len = unsafe { libc::CMSG_LEN(fds_bytes as u32) } as _;
        // SAFETY: the header lies in `control`, and its data behind it.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: `control` has room for as many bytes, asserted above, and no other reference to them exists.
        let data = unsafe { slice::from_raw_parts_mut(data, fds_bytes) };
        for (place, descriptor) in data.chunks_exact_mut(size_of::<RawFd>()).zip(descriptors) {
            place.copy_from_slice(&descriptor.as_raw_fd().to_ne_bytes());
        }
    }
    retry(|| {
        // SAFETY: all that the message points to lives for the call, and is only read.
        unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) }
    })
}

/// Receives into `room`, which must not be empty, and appends the descriptors that came with it;
/// returns how many bytes came, 0 at the end.
///
/// # Errors
/// Those of recvmsg(2); `InvalidData` if more descriptors came than may.
pub fn receive(
    socket: BorrowedFd<'_>,
    room: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    assert!(!room.is_empty());
    let mut control: Control = [0; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut message = message(&mut part);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    let received = retry(|| {
        // SAFETY: all that the message points to is ours and lives for the call.
        unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) }
    })?;
    // SAFETY: the kernel has filled the message and its control data.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&message) };
    // SAFETY: a header that is not null lies in `control`.
    while let Some(header) = unsafe { next.as_ref() } {
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: CMSG_LEN only computes.
            let header_bytes = unsafe { libc::CMSG_LEN(0) } as usize;
            #[allow(clippy::unnecessary_cast)] // the type differs between C libraries
            let data_bytes = header.cmsg_len as usize - header_bytes;
            // SAFETY: the header lies in `control`, and its data behind it.
            let data = unsafe { libc::CMSG_DATA(header) };
            // SAFETY: the header has the number of bytes that follow it.
            let data = unsafe { slice::from_raw_parts(data, data_bytes) };
            for fd in data.as_chunks().0 {
                let fd = RawFd::from_ne_bytes(*fd);
                // SAFETY: the kernel has just opened it for us, so this is its only owner.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        // SAFETY: message and header are those that the kernel filled.
        next = unsafe { libc::CMSG_NXTHDR(&message, next) };
    }
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::new(ErrorKind::InvalidData, "descriptors were lost on the way"));
    }
    Ok(received)
}

/// Fills `room` with the first bytes that wait at descriptor `number`, and leaves them there. Returns
/// false if that is no socket, or if fewer bytes wait.
pub fn peek(number: RawFd, room: &mut [u8]) -> bool {
    let received = retry(|| {
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: the kernel writes into `room`, which lives for the call, and no further; a number
        // that is no socket makes the call fail.
        unsafe { libc::recv(number, room.as_mut_ptr().cast(), room.len(), flags) }
    });
    received.is_ok_and(|count| count == room.len())
}

/// Waits until something can be received, or the other end has gone.
///
/// # Errors
/// Those of recv(2).
pub fn wait(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut room = [0_u8; 1];
    let number = socket.as_raw_fd();
    retry(|| {
        // SAFETY: the kernel writes one byte at the most, into `room`, which lives for the call.
        unsafe { libc::recv(number, room.as_mut_ptr().cast(), 1, libc::MSG_PEEK) }
    })
    .map(drop)
}

/// A message of one part and without control data.
fn message(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: numbers and pointers, for all of which zeros are a value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = ptr::from_mut(part);
    message.msg_iovlen = 1;
    message
}

fn retry(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(count) => return Ok(count),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write, pipe};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_waits_is_seen_and_stays() {
        let (mut from, to) = UnixStream::pair().unwrap();
        let mut room = [0; 3];
        assert!(!peek(to.as_raw_fd(), &mut room), "nothing waits");
        from.write_all(b"ab").unwrap();
        assert!(!peek(to.as_raw_fd(), &mut room), "too little waits");
        from.write_all(b"cd").unwrap();
        for _ in 0..2 {
            assert!(peek(to.as_raw_fd(), &mut room) && room == *b"abc");
            wait(to.as_fd()).unwrap();
        }
        drop(from);
        wait(to.as_fd()).unwrap();
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"abc").unwrap();
        assert!(!peek(reader.as_raw_fd(), &mut room), "a pipe is no socket");
        assert!(!peek(-1, &mut room) && !peek(RawFd::MAX, &mut room));
    }

    #[test]
    fn a_descriptor_that_has_travelled_is_the_same_open_file() {
        let (from, to) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = pipe().unwrap();
        writer.write_all(b"before ").unwrap();
        let many = [reader.as_fd(); DESCRIPTORS_PER_MESSAGE_MAX];
        assert_eq!(send(from.as_fd(), b"xy", &many).unwrap(), 2);
        assert_eq!(send(from.as_fd(), b"z", &[]).unwrap(), 1);
        drop(from);
        let (mut room, mut received) = ([0; 2], Vec::new());
        assert_eq!(receive(to.as_fd(), &mut room, &mut received).unwrap(), 2);
        assert_eq!((&room, received.len()), (b"xy", DESCRIPTORS_PER_MESSAGE_MAX));
        assert_eq!(receive(to.as_fd(), &mut room, &mut received).unwrap(), 1);
        assert_eq!(receive(to.as_fd(), &mut room, &mut received).unwrap(), 0);
        assert_eq!(received.len(), DESCRIPTORS_PER_MESSAGE_MAX);
        writer.write_all(b"after").unwrap();
        drop(writer);
        reader.read_exact(&mut [0; 7]).unwrap();
        let mut text = String::new();
        std::fs::File::from(received.pop().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "after");
    }
}
