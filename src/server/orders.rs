//! The main thread's order to all workers: serve, drain, depart or end.

use std::sync::atomic::{AtomicU8, Ordering};

/// The order that stands.
pub struct Orders(AtomicU8);

/// An order, each stronger than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Serve.
    Run,
    /// Give up the listening socket and all connections that go on, then end.
    Depart,
    /// Accept what waits, answer what is under way, then end.
    Drain,
    /// End now.
    Cut,
}

impl Orders {
    /// [`Order::Run`].
    pub fn new() -> Self {
        Orders(AtomicU8::new(Order::Run as u8))
    }

    /// Gives the order, unless a stronger one stands.
    pub fn give(&self, order: Order) {
        self.0.fetch_max(order as u8, Ordering::Release);
    }

    /// The order that stands.
    pub fn read(&self) -> Order {
        match self.0.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Depart,
            2 => Order::Drain,
            _ => Order::Cut,
        }
    }
}
