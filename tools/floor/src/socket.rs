//! What the standard library's sockets lack: a long listen queue, options that accepted sockets
//! inherit, and `accept4`, which saves two system calls for each connection.
#![allow(unsafe_code)] // System calls.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

/// Lengthens the queue of a listening socket. The standard library's holds 128: in a burst of 1,000
/// connects some SYNs would be dropped, and come again after a second.
pub fn set_backlog(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers; `listen` on a listening socket only changes the length of its queue.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

/// Turns Nagle's algorithm off for every connection that is accepted from now on.
pub fn set_nodelay_of_accepted(listener: &TcpListener) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one `c_int`, which lives for the call.
    check(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Accepts the next connection, non-blocking. Fails with `WouldBlock` if none waits.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (no_address, no_length) = (std::ptr::null_mut(), std::ptr::null_mut());
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: null pointers ask for no peer address.
    let raw = check(unsafe { libc::accept4(listener.as_raw_fd(), no_address, no_length, flags) })?;
    // SAFETY: the descriptor was just made, is a TCP socket, and has no other owner.
    Ok(unsafe { TcpStream::from_raw_fd(raw) })
}

fn check(result: i32) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
