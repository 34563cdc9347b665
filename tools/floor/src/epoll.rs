//! The two system interfaces the standard library does not have: epoll and a second `listen`.
//!
//! Level-triggered, which lets a turn stop after one `recv` without losing anything.
#![allow(unsafe_code)] // System calls; mio would hide a cost of the floor instead of showing it.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What to be told of.
#[derive(Clone, Copy)]
pub enum Interest {
    Read,
    Write,
}

/// An epoll instance.
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An instance that watches nothing yet.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is used.
        let raw = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made, and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Watches `source`; its events carry `token`.
    pub fn add(&self, source: &impl AsRawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, token, interest)
    }

    /// Watches `source` for something else from now on.
    pub fn change(&self, source: &impl AsRawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, source, token, interest)
    }

    /// The tokens of what is ready; waits until there is one.
    pub fn wait<'a>(&self, events: &'a mut Events) -> io::Result<impl Iterator<Item = u64> + 'a> {
        let count = loop {
            let room = events.0.len() as i32;
            // SAFETY: the kernel writes at most `room` events to a buffer of that many.
            let result = check(unsafe {
                libc::epoll_wait(self.0.as_raw_fd(), events.0.as_mut_ptr(), room, -1)
            });
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        Ok(events.0[..count as usize].iter().map(|event| event.u64))
    }

    fn control(
        &self,
        operation: i32,
        source: &impl AsRawFd,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let events = match interest {
            Interest::Read => libc::EPOLLIN,
            Interest::Write => libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` lives for the call, and the kernel keeps no pointer to it.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), operation, source.as_raw_fd(), &mut event)
        })?;
        Ok(())
    }
}

/// Room for what one wait reports.
pub struct Events(Vec<libc::epoll_event>);

impl Events {
    /// Room for `count_max` events.
    pub fn new(count_max: usize) -> Self {
        Self(vec![libc::epoll_event { events: 0, u64: 0 }; count_max])
    }
}

/// Lengthens the queue of a listening socket; the standard library's holds 128, and a burst of
/// 1,000 connects would lose some SYNs to it for a second each.
pub fn set_backlog(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers; `listen` on a listening socket only changes the length of its queue.
    check(unsafe { libc::listen(listener.as_raw_fd(), backlog) })?;
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
