//! Sockets and threads: serves any type that implements [`Handler`].
//!
//! This file is the contract between a server and its handler; [`start`] has the life of a server.
//! Each of N workers has its own poll loop, listener, connections, buffers, timers and handler. The
//! workers share the `balance` of connections, the [`meters`], and the order to stop.
//!
//! The server calls a handler in this order, in rounds:
//!
//! | call | when |
//! |---|---|
//! | [`tick`](Handler::tick) | once, at the start of a round |
//! | [`turn`](Handler::turn) | before the requests of each connection that is ready |
//! | [`request`](Handler::request), [`refuse`](Handler::refuse) | for each request of each connection that is ready |
//! | [`commit`](Handler::commit) | once, behind the requests of one or more connections |
//! | [`answer`](Handler::answer) | for each of these connections, in the order of their requests |
//! | [`settled`](Handler::settled) | once, behind the last of these answers; then requests may follow again |
//! | [`round_over`](Handler::round_over) | once, at the end of a round |

pub mod balance;
mod buffers;
mod config;
mod confine;
mod connection;
mod control;
mod door;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod listener;
pub mod meters;
mod moving;
pub mod offline;
mod orders;
mod round;
mod slab;
pub mod start;
mod stream;
pub mod streams;
mod timers;
mod worker;

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;

use crate::http::{Refusal, Request};
pub use config::Config;
pub use confine::confine;
pub use control::{ConnectionPlace, Server};
pub use moving::{Departed, Moved, Replay};
pub use start::Bound;
pub use timers::Durations;

/// Answers the requests of one worker's connections.
///
/// A request is either *staged*, to be answered after the next commit, or answered at once. A large one
/// is first done in parts, one in each turn of its connection ([`Reply::Large`]). The server keeps the
/// answers of a connection in the order of its requests. Each staged request has a
/// number: 0 for the first one after the last call of [`settled`](Self::settled).
pub trait Handler: Send {
    /// The work done so far on a large request, see [`Part::Unfinished`].
    type Draft: Send;
    /// Takes the time, in whole seconds since 1970.
    fn tick(&mut self, unix_s: u64);
    /// Begins a turn: the requests of one connection, all of which have been received before.
    fn turn(&mut self);
    /// Stages a request, or appends its answer to `out`, or calls it large.
    fn request(&mut self, peer: &SocketAddr, request: &Request<'_>, out: &mut Vec<u8>) -> Reply;
    /// Does a part of a large request, and keeps what it has done in `draft`, which is its connection's and
    /// is `None` at first. After the last part it stages or answers the request.
    fn request_large(
        &mut self,
        peer: &SocketAddr,
        request: &Request<'_>,
        draft: &mut Option<Box<Self::Draft>>,
        out: &mut Vec<u8>,
    ) -> Part;
    /// Returns how many requests are staged: the number that the next one will have.
    fn staged(&self) -> u32;
    /// Returns whether a commit is so costly that it should serve all connections of a round.
    /// Otherwise the server commits as soon as a connection has had its turn.
    fn commits_once_a_round(&self) -> bool;
    /// Gives every staged request its verdict. A handler may do so earlier by itself.
    fn commit(&mut self);
    /// Appends the answers of some committed requests.
    fn answer(&mut self, staged: Range<u32>, out: &mut Vec<u8>);
    /// Forgets the verdicts: every staged request was answered, or its connection is gone.
    fn settled(&mut self);
    /// Does what is cheaper for many requests at once, and for which no client waits.
    fn round_over(&mut self);
    /// Forgets the staged requests from number `from` on that were not committed yet: handling a
    /// request has panicked, and no answer will be sent.
    fn abandon(&mut self, from: u32);
    /// Appends the answer to a violation of the protocol; the connection will be closed.
    fn refuse(&mut self, peer: &SocketAddr, refusal: Refusal, out: &mut Vec<u8>);
    /// Appends the answer to a client for which there is no room; the connection will be closed.
    /// The answer has no content with `head_only`.
    fn overloaded(&mut self, head_only: bool, out: &mut Vec<u8>);
    /// Appends the answer to a client for whose request there is no memory; the connection will be closed.
    /// The answer has no content with `head_only`.
    fn lacking_memory(&mut self, head_only: bool, out: &mut Vec<u8>);
    /// Takes a connection for which [`request`](Self::request) returned [`Reply::Detach`], after the
    /// bytes that were answered. The server has no part in it any more.
    fn detached(&mut self, connection: Detached);
    /// Learns that no further request comes: the worker has given up its connections.
    fn depart(&mut self);
    /// Learns that the server is about to stop: from now on every answer is the last on its connection.
    fn drain(&mut self);
}

/// What a handler did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request is staged; its answer follows the commit.
    Staged,
    /// The answer is written.
    Answered {
        /// What the request cost, without the bytes of its answer; an event costs 1. A connection
        /// that asks for much has few requests answered in one turn.
        cost: u32,
    },
    /// The request is large, and nothing is done yet: [`request_large`](Handler::request_large) follows.
    Large,
    /// The beginning of an answer without an end is written. The connection is the handler's: the
    /// server reads nothing more from it.
    Detach,
}

/// What a handler did with a part of a large request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It was the last part, and the request is staged.
    Staged,
    /// It was the last part, and the answer is written.
    Answered,
    /// Nothing is staged or written. The connection has another turn after the others have had theirs; the
    /// same request comes then, with the same draft.
    Unfinished {
        /// What this part cost; an event costs 1.
        cost: u32,
    },
}

/// A connection that has left the server for an answer without an end.
pub struct Detached {
    /// The socket; it does not block.
    pub socket: OwnedFd,
    /// The part of the answer that the socket has not taken yet.
    pub unsent: Vec<u8>,
    /// Its place among the connections, free again when this is dropped.
    pub seat: ConnectionPlace,
}

#[cfg(test)]
mod tests;
