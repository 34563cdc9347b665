//! From one process to its successor, without a refused connection, a lost answer or a lost count.
//!
//! A server that is told to restart starts the program anew and keeps serving while the other process
//! gets ready and takes the users known so far. Then its workers stop between two turns. At that
//! instant the statistics are final, and the rest travels: the latest users, the totals, the listening
//! sockets with their queues, and every connection with the bytes that it holds.
//!
//! ```text
//! server                                         successor
//! Hello   format, workers, token           ──►   is expendable; reads its options
//!                                          ◄──   Ready
//! Image … of users, while workers count    ──►   takes them in
//! ── workers stop: nothing is answered for some milliseconds ──
//! Listeners  Connections  Image … its end  ──►   takes them in; its workers wait at the start
//!                                                takes the token
//!                                          ◄──   Serving; its workers begin in the same moment
//! Late  Bytes …  Left                      ──►   takes in the connections that hold many bytes
//! Stop, if it is told to stop              ──►   stops
//! waits for clients that read their last answer, and ends
//! ```
//!
//! The listening socket and the connections of operators (`--admin-listen`) travel with those of clients, in
//! frames of their own. They are few and hold little, so none of them is late.
//!
//! # Which of the two serves
//!
//! Either process may end, hang, or be told to stop at any moment. Two rules decide, and need no
//! answer from the other process:
//!
//! - *The token* ([`Token`](crate::sys::token::Token)) is there once, and both processes hold it. The
//!   successor serves only if it has taken the token, which it does when nothing can fail any more.
//!   The server goes on only if it has taken the token itself (because the successor refused, did
//!   nothing in time, or the server was told to stop), or by the second rule.
//! - *Serving* is in the channel before the first worker of the successor begins. If the successor
//!   has taken the token, and the channel has ended without this word, the successor never served,
//!   so the server goes on.
//!
//! The server keeps everything until then, for a descriptor that is sent is kept as well. So the
//! following always holds, and `model` checks it for every order of events:
//!
//! - Never do both serve, so each event is counted by exactly one of the two, and every snapshot is
//!   one of a single process.
//! - As long as a process lives that has the state, the service goes on. If the server is killed, a
//!   successor that has everything takes the token and serves; one that has not ends, and what the
//!   server had counted ends with the server.
//! - A stop happens once, in the process that has the state. If a server is told to stop, it takes
//!   the token and stops; if the token is gone, it passes the word on. A successor that is told to
//!   stop before it has taken the token ends, and the server goes on.
//!
//! # How the successor finds the channel
//!
//! At descriptor 3, where the greeting waits already. There is no variable and no argument, so a
//! process looks the same after any number of restarts.

mod channel;
mod greeting;
mod luggage;
#[cfg(test)]
mod model;
mod predecessor;
mod successor;

pub use greeting::CHANNEL_DESCRIPTOR;
pub use luggage::Doors;
pub use predecessor::{JournalLuggage, Predecessor, Word};
pub use successor::{Journal, Offer, Successor};
