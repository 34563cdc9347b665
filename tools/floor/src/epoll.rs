//! epoll, which the standard library does not have. With mio, its cost would be hidden in the floor.
//!
//! A connection is edge-triggered and watched for both directions from the start, so that it never
//! costs a second `epoll_ctl`: the kernel reports room to write only after a write found none. The
//! listener is level-triggered, so that an `accept` that failed is tried again.
#![allow(unsafe_code)] // System calls.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// An epoll instance.
pub struct Epoll(OwnedFd);

/// A descriptor is ready.
#[derive(Clone, Copy)]
pub struct Event {
    /// The token that it was added with.
    pub token: u64,
    /// The peer will send no more. Bytes that it sent before may still wait to be read.
    pub peer_ended: bool,
}

impl Epoll {
    /// Makes an instance that watches nothing.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is used.
        let raw = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made, and has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Watches for clients; the events carry `token`.
    pub fn add_listener(&self, listener: &TcpListener, token: u64) -> io::Result<()> {
        self.add(listener, token, libc::EPOLLIN)
    }

    /// Watches a connection; its events carry `token`.
    pub fn add_connection(&self, stream: &TcpStream, token: u64) -> io::Result<()> {
        let edges = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        self.add(stream, token, edges)
    }

    /// Waits until something is ready, and returns it.
    pub fn wait<'a>(
        &self,
        events: &'a mut Events,
    ) -> io::Result<impl Iterator<Item = Event> + use<'a>> {
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
        const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        let ready = events.0[..count as usize].iter();
        Ok(ready.map(|event| Event { token: event.u64, peer_ended: event.events & ENDED != 0 }))
    }

    fn add(&self, source: &impl AsRawFd, token: u64, events: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        let (epoll, source) = (self.0.as_raw_fd(), source.as_raw_fd());
        // SAFETY: `event` lives for the call, and the kernel keeps no pointer to it.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, source, &mut event) })?;
        Ok(())
    }
}

/// Room for the events of one wait.
pub struct Events(Vec<libc::epoll_event>);

impl Events {
    /// Makes room for `count_max` events.
    pub fn new(count_max: usize) -> Self {
        Self(vec![libc::epoll_event { events: 0, u64: 0 }; count_max])
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
