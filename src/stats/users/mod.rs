//! The set of users: compact, striped, and read without locks.
//!
//! Nine of ten events name a user that is known, so finding one writes nothing and scales with the
//! workers: [`stripe`] keeps entries of eight bytes in [`segment`]s, and compares ids in full. A
//! newcomer takes the lock of one stripe in 64. [`pages`] is where all of it lies; an id costs its
//! bytes, one more for its length, and a slot.

mod hash;
mod pages;
mod segment;
mod stripe;

use std::sync::atomic::{AtomicU64, Ordering};

pub use hash::Keys;
use pages::Pages;
use stripe::Stripe;

/// Stripes of the set; newcomers of different stripes do not wait for one another.
const STRIPE_COUNT: usize = 64;

/// What came of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// The user had been there.
    Known,
    /// The user is there now.
    New,
    /// The set is as large as it may be, and the user was not in it.
    Refused,
}

/// A set of user ids that only grows.
pub struct Users {
    stripes: Box<[Stripe]>,
    pages: Pages,
    quota: Option<Quota>,
}

/// A limit of users, exact over all stripes.
struct Quota {
    taken: AtomicU64,
    users_max: u64,
}

impl Users {
    /// An empty set of at most so many users.
    pub fn new(users_max: Option<u64>) -> Self {
        Users {
            stripes: (0..STRIPE_COUNT).map(|_| Stripe::new()).collect(),
            pages: Pages::default(),
            quota: users_max.map(|users_max| Quota { taken: AtomicU64::new(0), users_max }),
        }
    }

    /// Inserts the user with this id, 1 to 256 bytes long, and this hash of it.
    #[inline(always)]
    pub fn insert(&self, hash: u64, id: &[u8]) -> Insertion {
        let (stripe, fragment) = self.locate(hash);
        if stripe.find(fragment, id) {
            return Insertion::Known;
        }
        stripe.insert(&self.pages, fragment, id, || self.quota.as_ref().is_none_or(Quota::take))
    }

    /// Asks the processor to have near what an insertion with this hash will look at.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        let (stripe, fragment) = self.locate(hash);
        stripe.prefetch(fragment);
    }

    /// Whether the set is so large that freeing it takes noticeable time.
    pub fn is_large(&self) -> bool {
        const LARGE_BYTES: usize = 4 << 20;
        self.pages.bytes() > LARGE_BYTES
    }

    /// The stripe, by the highest bits, and the bits that its segments use.
    #[inline(always)]
    fn locate(&self, hash: u64) -> (&Stripe, u32) {
        const { assert!(STRIPE_COUNT.is_power_of_two()) };
        let stripe = hash >> (u64::BITS - STRIPE_COUNT.trailing_zeros());
        (&self.stripes[stripe as usize], hash as u32)
    }
}

impl Quota {
    /// Leave for one more user.
    fn take(&self) -> bool {
        // The number guards no other memory, so no order is needed.
        let more = |taken| (taken < self.users_max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

#[cfg(test)]
mod tests;
