//! A queue from many threads to one, that can be waited at.
//!
//! What a channel of std would be, at a twentieth of its machine code: what goes through here are a
//! few messages in the life of a process, or of a dashboard, and not requests.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Messages that wait for one reader, in the order of their coming.
#[derive(Debug)]
pub struct Mailbox<T> {
    messages: Mutex<VecDeque<T>>,
    came: Condvar,
}

impl<T> Mailbox<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Mailbox { messages: Mutex::new(VecDeque::new()), came: Condvar::new() }
    }

    /// Leaves a message.
    pub fn put(&self, message: T) {
        self.lock().push_back(message);
        self.came.notify_one();
    }

    /// Waits for the next message, for ever or until `deadline`; `None` when that is over.
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

    /// A panic elsewhere leaves the queue whole, so poison says nothing here.
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
