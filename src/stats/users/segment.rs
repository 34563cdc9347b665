//! A segment: 511 slots of an open hash table, in one page.
//!
//! A slot is one word, 0 when empty: the hash's low 32 bits, then where the id lies. Because a slot
//! is read and written whole, a reader without a lock sees an entry or none, never half of one; it
//! compares the id in full, so what it finds is right even while entries move. Only what it does
//! *not* find may be there after all, and is looked for again under the stripe's lock.

#![allow(unsafe_code)] // Views a page of zeros as atomics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::pages::{PAGE_BYTES, Page};

/// Slots of a segment; one word of the page is left for its bookkeeping.
pub const SLOT_COUNT: usize = PAGE_BYTES / size_of::<u64>() - 1;

/// Entries before a segment is split: seven eighths of its slots, where a search that fails still
/// ends within a few cache lines.
pub const ENTRIES_MAX: usize = SLOT_COUNT / 8 * 7;

/// An entry: 32 bits of hash, and where the id lies; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(u64);

impl Entry {
    /// `place` must not be 0.
    pub fn new(fragment: u32, place: u32) -> Self {
        debug_assert!(place != 0);
        Entry(u64::from(fragment) << 32 | u64::from(place))
    }

    /// The bits of the hash.
    #[inline(always)]
    pub fn fragment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where the id lies.
    #[inline(always)]
    pub fn place(self) -> u32 {
        self.0 as u32
    }
}

/// The page, seen as a table.
#[repr(C)]
pub struct Segment {
    /// Bits of the hash that all entries share, and how many entries there are; used by the one who
    /// holds the stripe's lock.
    bookkeeping: AtomicU64,
    slots: [AtomicU64; SLOT_COUNT],
}

const _: () = assert!(size_of::<Segment>() == PAGE_BYTES);

impl Segment {
    /// An empty segment in a page of zeros.
    ///
    /// # Safety
    /// The page is zeroed, used for nothing else, and outlives `'p`.
    pub unsafe fn in_page<'p>(page: Page) -> &'p Segment {
        // SAFETY: zeros are values of all fields, size and alignment fit; the rest is the caller's.
        unsafe { page.cast::<Segment>().as_ref() }
    }

    /// The entry with these bits of the hash for which `is_it` holds.
    #[inline(always)]
    pub fn find(&self, fragment: u32, mut is_it: impl FnMut(Entry) -> bool) -> bool {
        for slot in self.slots_from(fragment) {
            let word = slot.load(Ordering::Acquire);
            if word == 0 {
                return false;
            }
            let entry = Entry(word);
            if entry.fragment() == fragment && is_it(entry) {
                return true;
            }
        }
        false
    }

    /// Puts an entry into the first free slot; only under the stripe's lock, and if not full.
    pub fn insert(&self, entry: Entry) {
        let free = self.slots_from(entry.fragment()).find(|slot| slot.load(Ordering::Relaxed) == 0);
        // With Release, so that whoever sees the entry sees the id.
        free.expect("a segment is split before it is full").store(entry.0, Ordering::Release);
        self.bookkeeping.store(self.bookkeeping.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Entries present.
    pub fn len(&self) -> usize {
        self.bookkeeping.load(Ordering::Relaxed) as u32 as usize
    }

    /// Bits of the hash that decided for this segment.
    pub fn depth(&self) -> u32 {
        (self.bookkeeping.load(Ordering::Relaxed) >> 32) as u32
    }

    /// Moves the entries whose next bit of the hash is set to `sibling`, which is empty.
    ///
    /// `publish` is called when the sibling is ready and before anything leaves this segment.
    pub fn split(&self, sibling: &Segment, publish: impl FnOnce()) {
        let depth = self.depth() + 1;
        sibling.reset(depth);
        let entries: Vec<Entry> = self
            .slots
            .iter()
            .map(|slot| slot.load(Ordering::Relaxed))
            .filter(|&word| word != 0)
            .map(Entry)
            .collect();
        let moves = |entry: &Entry| entry.fragment() >> (u32::BITS - depth) & 1 == 1;
        entries.iter().filter(|entry| moves(entry)).for_each(|&entry| sibling.insert(entry));
        publish();
        self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
        self.reset(depth);
        entries.iter().filter(|entry| !moves(entry)).for_each(|&entry| self.insert(entry));
    }

    /// Asks the processor to have the first slot of a search near.
    #[inline(always)]
    pub fn prefetch(&self, fragment: u32) {
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let slot = &self.slots[first_slot(fragment)];
            // SAFETY: a prefetch has no effect but on caches.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(slot).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = fragment;
    }

    /// No entries, and `depth` shared bits.
    fn reset(&self, depth: u32) {
        self.bookkeeping.store(u64::from(depth) << 32, Ordering::Relaxed);
    }

    /// All slots, from the one where a search begins.
    #[inline(always)]
    fn slots_from(&self, fragment: u32) -> impl Iterator<Item = &AtomicU64> {
        let (before, after) = self.slots.split_at(first_slot(fragment));
        after.iter().chain(before)
    }
}

/// Spreads the low 16 bits over the slots; the high bits choose the segment.
#[inline(always)]
fn first_slot(fragment: u32) -> usize {
    (fragment & 0xffff) as usize * SLOT_COUNT >> 16
}
