//! What a worker owes its connections between the two halves of a turn.
//!
//! A turn has two halves, so that one commit can serve many connections:
//!
//! ```text
//! first half    receive, read requests, stage them          for each connection that is ready
//! commit        every staged request gets its verdict       once for all of them
//! second half   write the answers, send                     for each connection that is owed some
//! ```
//!
//! Between the halves a connection is owed a range of staged requests: two numbers, no bytes. The
//! handler writes other answers (statistics, errors, an interim response) at once. They wait in one
//! buffer of the worker, each with the number of the staged request behind which it stands, so that
//! answers leave in the order of the requests.

use std::ops::Range;

use super::Handler;
use super::meters::Closed;

/// What one connection is owed.
#[derive(Debug)]
pub struct Debt {
    /// The staged requests, by their numbers in this round.
    pub staged: Range<u32>,
    /// The other answers, by their places in [`Others`].
    others: Range<u32>,
    /// What was read in this turn.
    pub read: Read,
    /// Why the turn read no further.
    pub stop: Stop,
}

/// The requests of one turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Read {
    /// Their number.
    pub requests: u32,
    /// What they cost together, in events.
    pub cost: u32,
}

/// Why the requests of one turn came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The rest of the input is the start of a request.
    Starved,
    /// The turn's budget is used up, or a large request is not finished.
    Budget,
    /// The connection ends with the last answer.
    End(Closed),
    /// There is no memory for the rest of the input: the connection ends with an answer that says so.
    NoMemory {
        /// Whether that request is a `HEAD`.
        head_only: bool,
    },
    /// The connection is the handler's, with the last answer.
    Detach,
}

/// Answers that wait behind staged requests.
#[derive(Debug, Default)]
pub struct Others {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

/// One or more answers that stand behind the same staged request.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The number of the staged request before which this piece stands.
    before: u32,
    start: usize,
    end: usize,
}

/// The first half of a connection's turn, as far as it is owed something.
#[derive(Debug)]
pub struct Account {
    first: u32,
    piece: u32,
    byte: usize,
}

impl Others {
    /// Opens the account of a connection whose first staged request will be number `first`.
    #[inline]
    pub fn open(&self, first: u32) -> Account {
        Account { first, piece: self.pieces.len() as u32, byte: self.bytes.len() }
    }

    /// Returns the buffer for another answer; [`note`](Self::note) must follow.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Notes that the bytes appended to the buffer since the last call stand before the staged
    /// request that will have the number `before`. Returns how many bytes these are.
    pub fn note(&mut self, account: &Account, before: u32) -> usize {
        let end = self.bytes.len();
        let last = self.pieces.get_mut(account.piece as usize..).and_then(<[Piece]>::last_mut);
        let start = last.as_ref().map_or(account.byte, |last| last.end);
        match last {
            Some(last) if last.before == before => last.end = end,
            _ => self.pieces.push(Piece { before, start, end }),
        }
        end - start
    }

    /// Returns the number of bytes that wait for all connections.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Closes an account behind `staged` requests of this round; `read` is what its turn has read.
    #[inline]
    pub fn close(&self, account: Account, staged: u32, read: Read, stop: Stop) -> Debt {
        let others = account.piece..self.pieces.len() as u32;
        Debt { staged: account.first..staged, others, read, stop }
    }

    /// Forgets the answers of an account whose turn has failed.
    pub fn abandon(&mut self, account: &Account) {
        self.bytes.truncate(account.byte);
        self.pieces.truncate(account.piece as usize);
    }

    /// Appends all answers of a debt to `out`, in the order of their requests.
    #[inline]
    pub fn write<H: Handler>(&self, debt: &Debt, handler: &mut H, out: &mut Vec<u8>) {
        let mut next = debt.staged.start;
        let others = debt.others.start as usize..debt.others.end as usize;
        for piece in &self.pieces[others] {
            if next < piece.before {
                handler.answer(next..piece.before, out);
                next = piece.before;
            }
            out.extend_from_slice(&self.bytes[piece.start..piece.end]);
        }
        if next < debt.staged.end {
            handler.answer(next..debt.staged.end, out);
        }
    }

    /// Forgets everything: the round is settled.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
    }
}

impl Debt {
    /// Returns whether there is nothing to answer and nothing to end.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.staged.is_empty()
            && self.others.is_empty()
            && matches!(self.stop, Stop::Starved | Stop::Budget)
    }
}
