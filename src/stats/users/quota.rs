//! How many more users may come, exactly, across all workers.

use crate::stats::sync::{AtomicU64, Ordering};

/// A number of places. Without a limit it costs nothing.
pub struct Quota {
    left: Option<AtomicU64>,
}

impl Quota {
    /// `places` to take; unlimited if `None`.
    pub fn new(places: Option<u64>) -> Self {
        Quota { left: places.map(AtomicU64::new) }
    }

    /// Takes a place if one is left.
    // Relaxed: the number guards no other memory, and its own changes stand in one order.
    pub fn take(&self) -> bool {
        let take_one = |left: u64| left.checked_sub(1);
        self.left.as_ref().is_none_or(|left| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one).is_ok()
        })
    }

    /// Takes a place if one is left, for somebody who is let in in any case.
    pub fn take_any(&self) {
        // Without one, those who ask later are refused, as they should be.
        let _ = self.take();
    }

    /// Gives back a place that was taken in vain.
    pub fn give_back(&self) {
        if let Some(left) = &self.left {
            left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are() {
        let quota = Quota::new(Some(2));
        assert_eq!([(); 3].map(|()| quota.take()), [true, true, false]);
        quota.give_back();
        assert_eq!([(); 2].map(|()| quota.take()), [true, false]);
        assert!(!Quota::new(Some(0)).take());
        assert!(Quota::new(None).take());
    }
}
