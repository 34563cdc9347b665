//! Sockets and threads: serves whatever implements [`Handler`].
//!
//! N [`worker`]s, each with its own poll loop, [`listener`], connections, buffers and timers, share
//! nothing but the [`balance`] of connections, the [`meters`], and the order to stop. What a request
//! means is the handler's business; each worker has one of its own, so handlers need no locks.

pub mod balance;
mod buffers;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod listener;
pub mod meters;
mod moving;
mod orders;
mod slab;
mod stream;
mod timers;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};

use mio::net::TcpListener;
use mio::{Poll, Waker};

use crate::http::{Refusal, Request};
use crate::log;
use crate::mailbox::Mailbox;
use crate::sys::{affinity, sandbox};
use balance::{Balance, Inbox};
use meters::Meters;
pub use moving::{Departed, Moved};
use orders::{Order, Orders};
pub use timers::Durations;
use worker::{Sockets, Worker};

/// Answers the requests of one worker's connections.
///
/// Answers are appended to `out`, in the order of the requests. A handler may put off answers that
/// are cheaper together until it is asked to [`settle`](Self::settle), but an answer that it does
/// append must come behind all that it owes.
pub trait Handler: Send {
    /// The time, in whole seconds since 1970; called once a round of the poll loop.
    fn tick(&mut self, unix_s: u64);
    /// Answers a request, now or when it next settles, and says what becomes of the connection.
    fn request(&mut self, peer: &SocketAddr, request: &Request<'_>, out: &mut Vec<u8>) -> After;
    /// Takes a connection that [`After::Detach`] was said of, once what was answered has left or is
    /// part of it. The server knows it no more.
    fn detached(&mut self, connection: Detached);
    /// Appends every answer that was put off. Called after the last request of a connection's turn,
    /// before the first answer leaves.
    fn settle(&mut self, out: &mut Vec<u8>);
    /// A round of the poll loop is over: the time for what is cheaper for many requests at once, and
    /// no client waits for.
    fn round_over(&mut self);
    /// Forgets what was not settled: handling a request has panicked, and no answer will be sent.
    fn abandon(&mut self);
    /// Answers a violation of the protocol; the connection will be closed.
    fn refuse(&mut self, peer: &SocketAddr, refusal: Refusal, out: &mut Vec<u8>);
    /// Answers a client for whom there is no room; the connection will be closed.
    fn overloaded(&mut self, out: &mut Vec<u8>);
    /// The server is about to stop: from now on every answer is the last on its connection.
    fn drain(&mut self);
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It goes on, unless the request said otherwise.
    GoOn,
    /// It is the handler's: an answer without an end has begun. Nothing more is read from it.
    Detach,
}

/// A connection that has left the server for an answer without an end.
pub struct Detached {
    /// The socket; it does not block.
    pub socket: OwnedFd,
    /// The part of the answer that the socket has not taken yet.
    pub unsent: Vec<u8>,
    /// Its place among the connections, free again when this is dropped.
    pub seat: Seat,
}

/// A connection's place in the balance of its worker.
pub struct Seat {
    shared: Arc<Shared>,
    worker: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.balance.closed(self.worker);
    }
}

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Worker threads, at least one.
    pub workers: usize,
    /// Whether worker i runs on processor i only.
    pub pin: bool,
    /// Whether workers may do no more than they need, see [`sandbox`].
    pub sandbox: bool,
    /// Length of each worker's listen queue.
    pub backlog: u32,
    /// Connections over all workers; further clients are told `503`.
    pub connections_max: usize,
    /// Bytes of a request's content.
    pub content_bytes_max: usize,
    /// How long to wait for what.
    pub timeouts: Durations,
}

/// What the workers share.
pub struct Shared {
    orders: Orders,
    balance: Balance,
    inboxes: Box<[Inbox]>,
    meters: Arc<[Meters]>,
}

/// A server whose sockets listen, but whose workers do not run yet.
pub struct Bound {
    address: SocketAddr,
    listeners: Vec<TcpListener>,
    arrivals: Vec<Moved>,
}

impl Bound {
    /// Opens one socket a worker.
    ///
    /// # Errors
    /// `AddrInUse` when another process listens on the address, and whatever else the system says
    /// of it.
    pub fn new(address: SocketAddr, config: &Config) -> io::Result<Bound> {
        let listeners = listener::open(address, config.workers, config.backlog)?;
        let address = listeners[0].local_addr()?;
        Ok(Bound { address, listeners, arrivals: Vec::new() })
    }

    /// Takes sockets that listen already, all of them on one address, and the connections that come
    /// with them. Where there are fewer than workers, some workers share one; more workers than
    /// asked for are needed where there are more, since each may have clients in its queue.
    ///
    /// # Errors
    /// If there is none, or one is no listening socket of TCP.
    pub fn adopt(departed: Departed, workers: usize) -> io::Result<Bound> {
        let Departed { listeners: sockets, connections: arrivals } = departed;
        let shared = sockets.iter().cycle().take(workers.max(sockets.len())).skip(sockets.len());
        let shared = shared.map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?;
        let listeners = sockets
            .into_iter()
            .chain(shared)
            .map(listener::adopt)
            .collect::<io::Result<Vec<_>>>()?;
        let first = listeners.first().ok_or(io::ErrorKind::NotFound)?;
        Ok(Bound { address: first.local_addr()?, listeners, arrivals })
    }

    /// Workers needed, one for each listening socket.
    pub fn workers(&self) -> usize {
        self.listeners.len()
    }

    /// The address, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts a thread for each worker, which waits for [`Server::begin`]: whatever can fail has not
    /// failed then. `handler` makes a handler for each; `done` is called when the last has ended.
    ///
    /// # Errors
    /// Those of epoll_create(2), eventfd(2) and of starting threads.
    pub fn start<H: Handler + 'static>(
        self,
        config: Config,
        meters: Arc<[Meters]>,
        mut handler: impl FnMut(usize) -> H,
        done: impl FnOnce() + Send + 'static,
    ) -> io::Result<Server> {
        assert_eq!([meters.len(), self.listeners.len()], [config.workers; 2]);
        let polls = (0..config.workers).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let inboxes = polls
            .iter()
            .map(|poll| Waker::new(poll.registry(), worker::WAKER).map(Inbox::new))
            .collect::<io::Result<_>>()?;
        let balance = Balance::new(config.workers, config.connections_max);
        let shared = Arc::new(Shared { orders: Orders::new(), balance, inboxes, meters });
        let departures = Arc::new(Mailbox::new());
        let mut arrivals = deal(self.arrivals, config.workers).into_iter();
        let workers = polls
            .into_iter()
            .zip(self.listeners)
            .enumerate()
            .map(|(index, (poll, listener))| {
                let arrivals = arrivals.next().unwrap_or_default();
                let sockets = Sockets { listener, arrivals, departures: Arc::clone(&departures) };
                Worker::new(index, Arc::clone(&shared), config, poll, sockets, handler(index))
            })
            .collect::<io::Result<Vec<_>>>()?;
        let start = Arc::new(Barrier::new(config.workers + 1));
        let mut threads = Vec::new();
        for (index, worker) in workers.into_iter().enumerate() {
            let start = Arc::clone(&start);
            threads.push(thread::Builder::new().name(format!("worker-{index}")).spawn(
                move || {
                    start.wait();
                    if config.pin
                        && let Err(error) = affinity::pin(index)
                    {
                        log::warn(
                            "a worker could not be pinned to its processor",
                            &[("worker", &index), ("error", &error)],
                        );
                    }
                    if config.sandbox {
                        confine(&format!("worker-{index}"));
                    }
                    if let Err(error) = worker.run() {
                        log::error("a worker had to end", &[("worker", &index), ("error", &error)]);
                    }
                },
            )?);
        }
        let waiter = thread::Builder::new().name("join".into()).spawn(move || {
            for thread in threads {
                // A worker that panicked outside a request has said so; the others go on.
                let _ = thread.join();
            }
            done();
        })?;
        Ok(Server { shared, waiter: Some(waiter), start, departures })
    }
}

/// Confines the calling thread, see [`sandbox`], or says that this kernel cannot. For every thread that
/// has to do with clients.
pub fn confine(thread: &str) {
    if let Err(error) = sandbox::confine_thread() {
        log::warn(
            "a thread keeps system calls that it does not need",
            &[("thread", &thread), ("error", &error)],
        );
    }
}

/// Deals connections out to so many workers, in turn.
fn deal(connections: Vec<Moved>, workers: usize) -> Vec<Vec<Moved>> {
    let mut hands: Vec<Vec<Moved>> = (0..workers).map(|_| Vec::new()).collect();
    for (i, moved) in connections.into_iter().enumerate() {
        hands[i % workers].push(moved);
    }
    hands
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    /// Until it was joined.
    waiter: Option<JoinHandle<()>>,
    start: Arc<Barrier>,
    departures: Arc<Mailbox<Departed>>,
}

impl Server {
    /// Lets the workers serve; to be called once.
    pub fn begin(&self) {
        self.start.wait();
    }

    /// Takes listening sockets and connections from the workers, to go on elsewhere. When this
    /// returns, no worker answers any further request; they end when their last clients have read
    /// what they were answered before.
    pub fn depart(&self) -> Departed {
        self.order(Order::Depart);
        let mut all = Departed::default();
        // Each leaves something once, also one that had to end before.
        for departed in (0..self.shared.inboxes.len()).filter_map(|_| self.departures.take(None)) {
            all.listeners.extend(departed.listeners);
            all.connections.extend(departed.connections);
        }
        all
    }

    /// Stops accepting, lets what is under way be answered, and then ends the workers.
    pub fn drain(&self) {
        self.order(Order::Drain);
    }

    /// Ends the workers at once.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    /// Waits until all workers have ended, which they do after [`depart`](Self::depart),
    /// [`drain`](Self::drain) or [`cut`](Self::cut).
    pub fn join(&mut self) {
        // The thread only joins others, which cannot panic.
        let _ = self.waiter.take().map(JoinHandle::join);
    }

    /// Makes every worker go round its loop once, which its [`Meters::rounds`] then shows.
    pub fn rouse(&self) {
        for inbox in &self.shared.inboxes {
            inbox.wake();
        }
    }

    fn order(&self, order: Order) {
        self.shared.orders.give(order);
        self.rouse();
    }
}

#[cfg(test)]
mod tests;
