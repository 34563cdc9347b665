//! The sockets that leave one server and enter another, in this process or the next: listening sockets
//! with their queues, and connections with the received part of a request and the unsent part of their
//! answers.
//!
//! A connection moves between two of its turns. Its state is then bytes alone: those received
//! since the last whole request, in a form that a fresh connection understands
//! ([`Exchange::replay`](crate::http::Exchange::replay)), and those that its peer has not taken yet. So no
//! client notices, neither one that waits for an answer nor one in the middle of a request.
//!
//! What stays behind are connections that have seen their last request: they only wait for their
//! peer to read the answer.

use std::os::fd::OwnedFd;

pub use crate::http::Replay;

/// A connection without a server.
#[derive(Debug)]
pub struct Moved {
    /// The socket.
    pub socket: OwnedFd,
    /// Received and not yet answered.
    pub held: Replay,
    /// Answered and not yet sent.
    pub unsent: Vec<u8>,
}

/// What one worker, or all of them, gave up.
#[derive(Debug, Default)]
pub struct Departed {
    /// Listening sockets, which keep their queues.
    pub listeners: Vec<OwnedFd>,
    /// Connections that go on.
    pub connections: Vec<Moved>,
}
