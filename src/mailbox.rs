//! A queue from many threads to one thread, which can wait for a message.
//!
//! A channel of std does the same with twenty times the machine code. Only a few messages go through
//! this queue in the life of a process or of a dashboard, and no requests.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Holds messages for one reader, in the order of their arrival.
#[derive(Debug)]
pub struct Mailbox<T> {
    messages: Mutex<VecDeque<T>>,
    came: Condvar,
}

impl<T> Mailbox<T> {
    /// Returns an empty mailbox.
    pub const fn new() -> Self {
        Mailbox { messages: Mutex::new(VecDeque::new()), came: Condvar::new() }
    }

    /// Leaves a message.
    pub fn put(&self, message: T) {
        self.lock().push_back(message);
        self.came.notify_one();
    }

    /// Waits for the next message, until `deadline` if there is one. Returns `None` after the deadline.
    pub fn take(&self, deadline: Option<Instant>) -> Option<T> {
        let mut messages = self.lock();
        loop {
            if let Some(message) = messages.pop_front() {
                return Some(message);
            }
            messages = match deadline {
                None => self.came.wait(messages).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let remaining = deadline.saturating_duration_since(Instant::now());
                    if remaining == Duration::ZERO {
                        return None;
                    }
                    let waited = self.came.wait_timeout(messages, remaining);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes the lock, also after a panic of another thread: a panic leaves the queue whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Mailbox::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn messages_come_in_order_and_waiting_ends() {
        let mailbox = Mailbox::new();
        thread::scope(|scope| {
            scope.spawn(|| (0..100).for_each(|i| mailbox.put(i)));
            let taken: Vec<i32> = (0..100).filter_map(|_| mailbox.take(None)).collect();
            assert!(taken.into_iter().eq(0..100));
        });
        let start = Instant::now();
        let deadline = start + Duration::from_millis(20);
        assert_eq!(mailbox.take(Some(deadline)), None);
        assert!(start.elapsed() >= Duration::from_millis(20));
        mailbox.put(7);
        assert_eq!(mailbox.take(Some(start)), Some(7), "what is there comes at once");
    }
}
