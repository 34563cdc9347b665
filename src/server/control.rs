//! A running server as its owner sees it: orders to the workers, and their end.

use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use super::balance::{Balance, Inbox};
use super::meters::Meters;
use super::moving::{Departed, Moved};
use super::orders::{Order, Orders};
use crate::mailbox::Mailbox;

/// What the workers share.
pub struct WorkersShared {
    pub(super) orders: Orders,
    pub(super) balance: Balance,
    pub(super) inboxes: Box<[Inbox]>,
    /// Connections of another server that come while the workers run.
    pub(super) arrivals: Mailbox<Moved>,
    pub(super) meters: Arc<[Meters]>,
}

impl WorkersShared {
    pub(super) fn new(
        balance: Balance,
        inboxes: Box<[Inbox]>,
        meters: Arc<[Meters]>,
    ) -> Arc<WorkersShared> {
        let (orders, arrivals) = (Orders::new(), Mailbox::new());
        Arc::new(WorkersShared { orders, balance, inboxes, arrivals, meters })
    }
}

/// A connection's place in the balance of its worker.
pub struct ConnectionPlace {
    pub(super) shared: Arc<WorkersShared>,
    pub(super) worker: usize,
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.shared.balance.closed(self.worker);
    }
}

/// A running server.
pub struct Server {
    pub(super) shared: Arc<WorkersShared>,
    /// The thread that joins the workers; `None` once it was joined.
    pub(super) waiter: Option<JoinHandle<()>>,
    pub(super) start: Arc<Barrier>,
    pub(super) departures: Arc<Mailbox<Departed>>,
}

impl Server {
    /// Lets the workers serve; to be called once.
    pub fn begin(&self) {
        self.start.wait();
    }

    /// Takes in a connection of another server; the worker that is awake first goes on with it.
    pub fn arrive(&self, moved: Moved) {
        self.shared.arrivals.put(moved);
        self.rouse();
    }

    /// Takes listening sockets and connections from the workers, to go on elsewhere. When this
    /// returns, no worker answers any further request; they end when their last clients have read
    /// the answers that were given before.
    pub fn depart(&self) -> Departed {
        self.order(Order::Depart);
        let mut all = Departed::default();
        // Each worker leaves something once, also one that had to end before.
        for departed in (0..self.shared.inboxes.len()).filter_map(|_| self.departures.take(None)) {
            all.listeners.extend(departed.listeners);
            all.connections.extend(departed.connections);
        }
        all
    }

    /// Stops accepting, lets the requests under way be answered, and then ends the workers.
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
