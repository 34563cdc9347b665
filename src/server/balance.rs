//! Spreads connections evenly over the workers.
//!
//! The kernel picks one of the SO_REUSEPORT sockets by a hash of the peer's address: of 1,000
//! connections the fullest of 8 workers gets 1.13 times its share, and of 4 connections on 4
//! workers one worker gets none nine times in ten. A client that waits for each answer is then slow
//! for the whole run. So the worker that accepts a connection gives it to the worker with the fewest.
//! Choosing and counting are one step under one lock, so workers never differ by more than one
//! while connections only come. The lock is taken twice in a connection's life.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;
use mio::net::TcpStream;

/// Where a fresh connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// To this worker; its count includes the connection already.
    Worker(usize),
    /// Nowhere: there are as many connections as may be.
    Full,
}

/// How many connections each worker has.
pub struct Balance {
    counts: Mutex<Vec<usize>>,
    connections_max: usize,
}

impl Balance {
    /// Makes a balance without connections, for at most `connections_max` over all workers.
    pub fn new(workers: usize, connections_max: usize) -> Self {
        Balance { counts: Mutex::new(vec![0; workers]), connections_max }
    }

    /// Counts a fresh connection for the worker with the fewest; `accepted_by` wins a tie, since
    /// handing over costs a wake-up.
    pub fn place(&self, accepted_by: usize) -> Placement {
        let mut counts = lock(&self.counts);
        if counts.iter().sum::<usize>() >= self.connections_max {
            return Placement::Full;
        }
        let fewest = *counts.iter().min().expect("there is a worker");
        let worker = if counts[accepted_by] == fewest {
            accepted_by
        } else {
            counts.iter().position(|&count| count == fewest).expect("the minimum is in the list")
        };
        counts[worker] += 1;
        Placement::Worker(worker)
    }

    /// Counts a connection that came with the worker, beyond the limit if need be.
    pub fn came_with(&self, worker: usize) {
        lock(&self.counts)[worker] += 1;
    }

    /// Moves one connection's count, when a hand-over was declined.
    pub fn moved(&self, from: usize, to: usize) {
        let mut counts = lock(&self.counts);
        counts[from] -= 1;
        counts[to] += 1;
    }

    /// Counts a connection of this worker as gone.
    pub fn closed(&self, worker: usize) {
        lock(&self.counts)[worker] -= 1;
    }
}

/// Where other workers leave fresh connections for one worker.
pub struct Inbox {
    /// `None` once the worker takes no more.
    streams: Mutex<Option<Vec<(TcpStream, SocketAddr)>>>,
    waker: Waker,
}

impl Inbox {
    /// An open inbox whose owner polls where `waker` wakes.
    pub fn new(waker: Waker) -> Self {
        Inbox { streams: Mutex::new(Some(Vec::new())), waker }
    }

    /// Leaves a connection; gives it back if the worker takes no more.
    pub fn put(&self, stream: TcpStream, peer: SocketAddr) -> Result<(), (TcpStream, SocketAddr)> {
        match lock(&self.streams).as_mut() {
            Some(streams) => streams.push((stream, peer)),
            None => return Err((stream, peer)),
        }
        self.wake();
        Ok(())
    }

    /// Takes what was left.
    pub fn take(&self) -> Vec<(TcpStream, SocketAddr)> {
        lock(&self.streams).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes what was left, and no more from now on.
    pub fn close(&self) -> Vec<(TcpStream, SocketAddr)> {
        lock(&self.streams).take().unwrap_or_default()
    }

    /// Makes the owner look.
    pub fn wake(&self) {
        // The only failure of an eventfd that is open is a full counter, and that wakes too.
        let _ = self.waker.wake();
    }
}

/// Locks, also after a panic of another thread: a panic leaves these numbers and lists whole, so a
/// poisoned lock does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_never_differ_by_more_than_one_wherever_the_kernel_sends_connections() {
        for workers in 1..9 {
            let balance = Balance::new(workers, usize::MAX);
            for connection in 0..1000usize {
                // A hash that favours the first workers.
                let accepted_by = (connection * connection) % workers;
                assert_ne!(balance.place(accepted_by), Placement::Full);
                let counts = lock(&balance.counts).clone();
                assert!(
                    counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
                    "{counts:?}"
                );
            }
        }
    }

    #[test]
    fn the_one_who_accepts_wins_a_tie_and_the_limit_holds() {
        let balance = Balance::new(2, 3);
        assert_eq!(balance.place(1), Placement::Worker(1));
        assert_eq!(balance.place(1), Placement::Worker(0));
        assert_eq!(balance.place(1), Placement::Worker(1));
        assert_eq!(balance.place(0), Placement::Full);
        balance.closed(1);
        assert_eq!(
            balance.place(1),
            Placement::Worker(1),
            "one each: the tie goes to who accepted"
        );
    }
}
