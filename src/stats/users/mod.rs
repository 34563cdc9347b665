//! The set of distinct user ids, compared in full, shared by all workers.
//!
//! The set has 64 stripes, chosen by the upper bits of a keyed hash, so that workers that insert seldom
//! meet.
//! Each has a table of 64-bit slots ([`segment`]) and the ids' bytes ([`arena`]); both grow by pages
//! of 4 KiB out of one supply ([`pages`]), so that no insertion is ever slow. An id like
//! `user_12345` costs its 10 bytes, 1 for their number, and 9 to 18 of table.
//!
//! The caller passes the hashes, so that tests can make ids collide. An id cannot be removed: a reset
//! replaces the set by an empty one.

#![allow(unsafe_code)] // Stripes and the pages they point into are bound together here.

mod arena;
mod hash;
mod outcome;
mod page_table;
mod pages;
mod prefetch;
mod quota;
mod segment;
mod stripe;

pub use arena::stored_ids;
pub(super) use hash::Keyed;
pub use outcome::Lack;
pub(super) use outcome::Outcome;

use arena::Position;
pub(super) use pages::PAGE_BYTES;
use pages::Pages;
use quota::Quota;
use stripe::Stripe;

/// Holds a set of ids.
pub(super) struct Users {
    /// Before the pages that they point into, since fields are dropped in this order.
    stripes: Box<[Stripe]>,
    pages: Pages,
    quota: Quota,
}

/// A place in the list of ids of each stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions([Position; STRIPE_COUNT]);

impl Positions {
    /// The number of stripes, each of which has a list of ids.
    pub const COUNT: usize = STRIPE_COUNT;
    /// The place before all ids.
    pub const START: Positions = Positions([0; STRIPE_COUNT]);

    /// Returns the places as numbers, which a later call of [`from_words`](Self::from_words) takes.
    pub fn to_words(self) -> [u64; STRIPE_COUNT] {
        self.0
    }

    /// Makes positions of numbers, which may be wrong; [`Users::has_boundaries`] finds out.
    pub fn from_words(words: [u64; STRIPE_COUNT]) -> Positions {
        Positions(words)
    }
}

impl Users {
    /// Makes an empty set for `users_max` ids, any number if `None`. Returns `None` if the system has no
    /// memory for an empty set.
    pub fn try_new(users_max: Option<u64>) -> Option<Users> {
        let pages = Pages::new();
        // SAFETY: the set owns both, drops the pages last, and passes `insert` no others.
        let stripe = |_| unsafe { Stripe::new(&pages) };
        let stripes = (0..STRIPE_COUNT).map(stripe).collect::<Option<_>>()?;
        Some(Users { stripes, pages, quota: Quota::new(users_max) })
    }

    /// Makes an empty set as [`try_new`](Self::try_new) does.
    ///
    /// # Panics
    ///
    /// If the system has no memory for an empty set.
    #[cfg(test)]
    pub fn new(users_max: Option<u64>) -> Users {
        Users::try_new(users_max).expect("memory for an empty set")
    }

    /// Inserts `id`, of 1 to 256 bytes, unless it is an element or must be refused. The same id must
    /// always come with the same hash.
    #[inline]
    pub fn insert(&self, hash: u64, id: &[u8]) -> Outcome {
        let (stripe, fragment) = self.place(hash);
        if stripe.finds(fragment, id) {
            return Outcome::Known;
        }
        stripe.insert(fragment, id, &self.quota, &self.pages)
    }

    /// Takes a place for each of `ids` that is not in the set. An id that comes twice needs one place.
    ///
    /// # Errors
    /// If there are not enough places, or not enough memory, for all of them.
    pub fn reserve<'i>(
        &self,
        ids: impl Iterator<Item = (u64, &'i [u8])>,
    ) -> Result<Places<'_>, Lack> {
        let mut places = 0;
        if self.quota.is_limited() {
            let unknown = ids.filter(|&(hash, id)| {
                let (stripe, fragment) = self.place(hash);
                !stripe.finds(fragment, id)
            });
            let mut unknown: Vec<_> = unknown.collect();
            unknown.sort_unstable();
            unknown.dedup();
            places = unknown.len() as u64;
        }
        if !self.pages.has_room() {
            return Err(Lack::Memory);
        }
        if !self.quota.take_all(places) {
            return Err(Lack::Place);
        }
        Ok(Places { users: self, left: places })
    }

    /// Returns whether `id` is an element. If it is not, another worker may be inserting it.
    #[inline]
    pub fn has(&self, hash: u64, id: &[u8]) -> bool {
        let (stripe, fragment) = self.place(hash);
        stripe.finds(fragment, id)
    }

    /// Takes a place for a new user, if there is one.
    pub fn take_place(&self) -> bool {
        self.quota.take()
    }

    /// Gives back places that were not needed.
    pub fn give_back_places(&self, count: u64) {
        self.quota.give_back(count);
    }

    /// Returns whether there is memory for the new users of the largest batch.
    pub fn has_room(&self) -> bool {
        self.pages.has_room()
    }

    /// Inserts `id`, for which a place was taken. Returns whether it was new.
    ///
    /// # Panics
    ///
    /// If memory has run out since [`has_room`](Self::has_room).
    pub fn insert_with_place(&self, hash: u64, id: &[u8]) -> bool {
        let (stripe, fragment) = self.place(hash);
        match stripe.insert(fragment, id, &Quota::new(None), &self.pages) {
            Outcome::Known => false,
            Outcome::New => true,
            // A kept batch cannot be taken back, and a wrong count is worse than none.
            Outcome::Refused(_) => panic!("no memory for the users of a batch that is kept"),
        }
    }

    /// Inserts `id`, also beyond the limit of users. The limit applies to later users.
    pub fn insert_carried(&self, hash: u64, id: &[u8]) -> Outcome {
        let (stripe, fragment) = self.place(hash);
        let outcome = stripe.insert(fragment, id, &Quota::new(None), &self.pages);
        if outcome == Outcome::New {
            self.quota.take_any();
        }
        outcome
    }

    /// Returns the place behind the last id of each stripe.
    pub fn ends(&self) -> Positions {
        Positions(std::array::from_fn(|index| self.stripes[index].end()))
    }

    /// Appends to `out` some ids between `from` and `to`, a page of them at the most, each as one
    /// byte, its length less one, and its bytes. Moves `from` behind them. Returns false if there
    /// are none. Ids may be inserted meanwhile.
    pub fn copy_ids(&self, from: &mut Positions, to: &Positions, out: &mut Vec<u8>) -> bool {
        let stripes = self.stripes.iter().zip(&mut from.0).zip(&to.0);
        for ((stripe, from), &to) in stripes.filter(|((_, from), to)| **from < **to) {
            if let Some(end) = stripe.copy_ids(*from, to, out) {
                *from = end;
                return true;
            }
        }
        false
    }

    /// Returns whether each position is a place between two ids of this set.
    pub fn has_boundaries(&self, positions: &Positions) -> bool {
        self.stripes.iter().zip(&positions.0).all(|(stripe, &place)| stripe.has_boundary(place))
    }

    /// Begins to fetch what `insert` will look at first for each of `hashes`, if the set is larger
    /// than a cache.
    // Worth it from the second hash on: of 16 known users, each took 41 ns of 1 million and 123 of
    // 10 million without, 38 and 83 with it; of 75,000, 20 and 19. Fetching the ids behind the
    // slots too gains another 15 ns at 10 million, but costs 8 at 75,000.
    #[inline]
    pub fn prefetch(&self, hashes: impl Iterator<Item = u64>) {
        if self.pages.taken() < PREFETCH_PAGES_MIN {
            return;
        }
        for hash in hashes {
            let (stripe, fragment) = self.place(hash);
            stripe.prefetch(fragment);
        }
    }

    /// Returns the bytes of all pages in use.
    pub fn page_bytes(&self) -> usize {
        self.pages.taken() * PAGE_BYTES
    }

    #[inline]
    fn place(&self, hash: u64) -> (&Stripe, u32) {
        (&self.stripes[(hash >> (64 - STRIPE_BITS)) as usize], hash as u32)
    }
}

/// Holds places for the users of one group. Gives back on drop those that are left over.
pub(super) struct Places<'u> {
    users: &'u Users,
    left: u64,
}

impl Places<'_> {
    /// Inserts `id`. Returns whether it was new.
    ///
    /// # Panics
    ///
    /// If memory has run out since [`Users::reserve`].
    #[inline]
    pub fn insert(&mut self, hash: u64, id: &[u8]) -> bool {
        let (stripe, fragment) = self.users.place(hash);
        if stripe.finds(fragment, id) {
            return false;
        }
        match stripe.insert(fragment, id, &Quota::new(None), &self.users.pages) {
            Outcome::Known => false,
            Outcome::New => {
                self.left = self.left.saturating_sub(1);
                true
            }
            // Half of a group cannot be taken back, and a wrong count is worse than none.
            Outcome::Refused(_) => panic!("no memory for the rest of a group of events"),
        }
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.users.quota.give_back(self.left);
    }
}

/// 4 MiB: a set of 150,000 users. A smaller one is in the second-level cache as a whole, or nearly.
const PREFETCH_PAGES_MIN: usize = 1024;

const STRIPE_BITS: u32 = if cfg!(loom) { 1 } else { 6 };
const STRIPE_COUNT: usize = 1 << STRIPE_BITS;

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_model;
