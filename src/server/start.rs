//! How a server comes to be: sockets that listen, then a thread for each worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};

use mio::net::TcpListener;
use mio::{Poll, Waker};

use super::balance::{Balance, Inbox};
use super::config::Config;
use super::confine::confine;
use super::control::{Server, WorkersShared};
use super::meters::Meters;
use super::moving::{Departed, Moved};
use super::worker::{self, Sockets, Worker};
use super::{Handler, listener};
use crate::log;
use crate::mailbox::Mailbox;
use crate::sys::affinity;
use crate::sys::sandbox::Rights;

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
    /// `AddrInUse` when another process listens on the address; those of socket(2), bind(2) and
    /// listen(2).
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

    /// Makes the workers and starts a thread for each. The threads wait for [`Server::begin`]:
    /// everything that can fail fails here. `handler` makes a handler for each worker; `done` is
    /// called when the last worker has ended.
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
        let shared = WorkersShared::new(balance, inboxes, meters);
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
        let threads = workers
            .into_iter()
            .map(|worker| run(worker, config, Arc::clone(&start)))
            .collect::<io::Result<Vec<_>>>()?;
        let waiter = thread::Builder::new().name("join".into()).spawn(move || {
            if config.sandbox {
                confine("join", &Rights::default());
            }
            for thread in threads {
                // A worker that panicked outside a request has logged that; the others go on.
                let _ = thread.join();
            }
            done();
        })?;
        Ok(Server { shared, waiter: Some(waiter), start, departures })
    }
}

/// Starts the thread of a worker, which waits for `start`.
fn run<H: Handler + 'static>(
    worker: Worker<H>,
    config: Config,
    start: Arc<Barrier>,
) -> io::Result<JoinHandle<()>> {
    let index = worker.index();
    let name = format!("{}-{index}", config.threads);
    thread::Builder::new().name(name.clone()).spawn(move || {
        start.wait();
        if config.pin
            && let Err(error) = affinity::pin(index)
        {
            log::warn(
                "a worker could not be pinned to its processor",
                &[("worker", &name), ("error", &error)],
            );
        }
        if config.sandbox {
            let journal = config.journal.map(|(lowest, highest)| lowest..=highest);
            confine(&name, &Rights { journal, ..Rights::default() });
        }
        if let Err(error) = worker.run() {
            log::error("a worker had to end", &[("worker", &name), ("error", &error)]);
        }
    })
}

/// Deals connections out to `workers` workers, in turn.
fn deal(connections: Vec<Moved>, workers: usize) -> Vec<Vec<Moved>> {
    let mut hands: Vec<Vec<Moved>> = (0..workers).map(|_| Vec::new()).collect();
    for (i, moved) in connections.into_iter().enumerate() {
        hands[i % workers].push(moved);
    }
    hands
}
