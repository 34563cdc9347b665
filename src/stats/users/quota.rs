//! The number of users that may still be added, exact across all workers.

use crate::stats::sync::{AtomicU64, Ordering};

/// Counts the places that are left. Without a limit it costs nothing.
pub struct Quota {
    left: Option<AtomicU64>,
}

impl Quota {
    /// Returns a quota of `places`, or one without a limit.
    pub fn new(places: Option<u64>) -> Self {
        Quota { left: places.map(AtomicU64::new) }
    }

    /// Takes a place if one is left.
    // Relaxed: the number guards no other memory, and its own changes stand in one order.
    pub fn take(&self) -> bool {
        self.take_all(1)
    }

    /// Takes a place if one is left, for a user that is inserted in any case.
    pub fn take_any(&self) {
        // If none is left, later users are refused, as they should be.
        let _ = self.take();
    }

    /// Returns whether the number of places is limited.
    pub fn is_limited(&self) -> bool {
        self.left.is_some()
    }

    /// Takes `count` places if that number is left, otherwise none.
    pub fn take_all(&self, count: u64) -> bool {
        let take = |left: u64| left.checked_sub(count);
        self.left.as_ref().is_none_or(|left| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
        })
    }

    /// Gives back `count` places that were not needed.
    pub fn give_back(&self, count: u64) {
        if let Some(left) = &self.left {
            left.fetch_add(count, Ordering::Relaxed);
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
        quota.give_back(1);
        assert_eq!([(); 2].map(|()| quota.take()), [true, false]);
        assert!(!Quota::new(Some(0)).take());
        assert!(Quota::new(None).take() && Quota::new(None).take_all(u64::MAX));
        let quota = Quota::new(Some(3));
        assert_eq!(
            [2, 2, 1, 0, 1].map(|count| quota.take_all(count)),
            [true, false, true, true, false]
        );
    }
}
