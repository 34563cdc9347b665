//! A piece of a stripe's table: one page of slots with linear probing.
//!
//! A slot is a word: 32 bits of the id's hash, its *fragment*, above the id's reference; 0 is an
//! empty slot. The fragment tells nearly all ids apart without a look at their bytes, and suffices
//! to move an entry when its segment is split, so that growth never reads an id again.
//!
//! Readers run while the one writer inserts and splits. A slot holds either 0 or an entry of this
//! stripe, so an id that a reader finds is in the set, even while the segment is being rebuilt. If a
//! reader does not find an id, it must take the writer's lock and look again.

#![allow(unsafe_code)] // A segment is a view of a page.

use std::ptr::NonNull;

use super::arena::Reference;
use super::pages::{PAGE_BYTES, Page};
use crate::stats::sync::{AtomicU32, AtomicU64, Ordering};

/// The upper bits of a hash choose the segment, the lower ones the first slot.
pub type Fragment = u32;

/// Slots for the ids whose fragments begin with the same `depth` bits.
#[repr(C)]
pub struct Segment {
    // Only the writer reads and writes these.
    depth: AtomicU32,
    used: AtomicU32,
    slots: [AtomicU64; SLOT_COUNT],
}

const _: () = assert!(cfg!(loom) || size_of::<Segment>() == PAGE_BYTES);

impl Segment {
    /// Makes an empty segment of a page of zeros.
    ///
    /// # Safety
    ///
    /// The page is the caller's alone, and all zeros.
    pub unsafe fn make(page: NonNull<Page>, depth: u32) -> NonNull<Segment> {
        let segment = page.cast::<Segment>();
        // The atomics of a loom model must be built; the real ones may begin as zeros.
        #[cfg(all(test, loom))]
        {
            let empty = Segment {
                depth: AtomicU32::new(0),
                used: AtomicU32::new(0),
                slots: std::array::from_fn(|_| AtomicU64::new(0)),
            };
            const { assert!(size_of::<Segment>() <= PAGE_BYTES) };
            // SAFETY: the page is large enough, aligned and ours.
            unsafe { segment.write(empty) };
        }
        // SAFETY: zeros are a segment of empty slots, and the page is ours.
        unsafe { segment.as_ref() }.depth.store(depth, Ordering::Relaxed);
        segment
    }

    /// Looks for an entry with `fragment` whose reference `is_it` accepts.
    #[inline]
    pub fn find(&self, fragment: Fragment, is_it: impl Fn(Reference) -> bool) -> bool {
        let mut index = first_slot(fragment);
        for _ in 0..SLOT_COUNT {
            // Partner of the Release in `put`: a thread that sees the entry sees the id's bytes.
            let slot = self.slots[index].load(Ordering::Acquire);
            if slot == EMPTY {
                return false;
            }
            if (slot >> 32) as u32 == fragment && is_it(slot as u32) {
                return true;
            }
            index = next_slot(index);
        }
        false
    }

    /// Returns the first slot of the search for `fragment`, to be fetched ahead.
    #[inline]
    pub fn slot_address(&self, fragment: Fragment) -> *const u8 {
        (&raw const self.slots[first_slot(fragment)]).cast()
    }

    pub fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    /// Returns whether one more entry would make probing slow; then it is time to split.
    pub fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= USED_MAX
    }

    /// Adds an entry; the segment must not be full. For the one writer.
    pub fn insert(&self, fragment: Fragment, reference: Reference) {
        assert!(!self.is_full() && reference != 0);
        self.put(u64::from(fragment) << 32 | u64::from(reference));
    }

    /// Moves what belongs to `sibling`, an empty segment one deeper, into it; `publish` must lead
    /// readers to the sibling and is called in between. For the one writer.
    pub fn split(&self, sibling: &Segment, publish: impl FnOnce()) {
        let depth = self.depth();
        let moves = |slot: u64| slot << depth >> 63 == 1;
        let mut staying = [EMPTY; SLOT_COUNT];
        for (slot, staying) in self.slots.iter().zip(&mut staying) {
            let slot = slot.load(Ordering::Relaxed);
            match slot != EMPTY && moves(slot) {
                true => sibling.put(slot),
                false => *staying = slot,
            }
        }
        publish();
        self.depth.store(depth + 1, Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
        for slot in &self.slots {
            slot.store(EMPTY, Ordering::Relaxed);
        }
        for slot in staying.into_iter().filter(|&slot| slot != EMPTY) {
            self.put(slot);
        }
    }

    fn put(&self, slot: u64) {
        let mut index = first_slot((slot >> 32) as u32);
        while self.slots[index].load(Ordering::Relaxed) != EMPTY {
            index = next_slot(index);
        }
        self.slots[index].store(slot, Ordering::Release);
        self.used.store(self.used.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// Spreads the fragment's lower 16 bits over the slots; the upper ones have chosen the segment.
#[inline]
fn first_slot(fragment: Fragment) -> usize {
    ((fragment & 0xffff) as usize * SLOT_COUNT) >> 16
}

#[inline]
fn next_slot(index: usize) -> usize {
    if index + 1 == SLOT_COUNT { 0 } else { index + 1 }
}

const EMPTY: u64 = 0;

/// The rest of the page after a header as large as a slot.
const SLOT_COUNT: usize = if cfg!(loom) { 3 } else { PAGE_BYTES / 8 - 1 };

/// 7/8 of the page's words: a known id is found within 4.5 slots on average even then, a new one's
/// place within 32, and a segment that was just split still uses 18 bytes an entry at the most.
const USED_MAX: u32 = if cfg!(loom) { 2 } else { (PAGE_BYTES / 8 * 7 / 8) as u32 };

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stats::users::pages::Pages;

    fn segment(pages: &Pages, depth: u32) -> &Segment {
        // SAFETY: the page is fresh.
        let segment = unsafe { Segment::make(pages.take().unwrap(), depth) };
        // SAFETY: the page lives as long as `pages`.
        unsafe { segment.as_ref() }
    }

    #[test]
    fn equal_fragments_stand_side_by_side() {
        let pages = Pages::new();
        let segment = segment(&pages, 0);
        for reference in 1..=USED_MAX {
            assert!(!segment.is_full());
            segment.insert(u32::MAX, reference);
        }
        assert!(segment.is_full());
        for reference in 1..=USED_MAX {
            assert!(segment.find(u32::MAX, |found| found == reference));
        }
        assert!(!segment.find(u32::MAX, |_| false));
        assert!(!segment.find(u32::MAX - 1, |_| true));
    }

    #[test]
    fn a_split_loses_nothing() {
        let pages = Pages::new();
        let (lower, upper) = (segment(&pages, 3), segment(&pages, 4));
        let fragment = |i: u32| 0b101 << 29 | i.wrapping_mul(0x9e37_79b9) >> 3;
        (1..=USED_MAX).for_each(|i| lower.insert(fragment(i), i));
        lower.split(upper, || {
            let found = |i| upper.find(fragment(i), |found| found == i);
            let moved = (1..=USED_MAX).filter(|&i| found(i)).count();
            assert!(moved > 100, "the sibling is complete before it is published");
        });
        assert_eq!((lower.depth(), upper.depth()), (4, 4));
        for i in 1..=USED_MAX {
            let (place, other) =
                if fragment(i) >> 28 & 1 == 1 { (upper, lower) } else { (lower, upper) };
            assert!(place.find(fragment(i), |found| found == i));
            assert!(!other.find(fragment(i), |found| found == i));
        }
        let used = |segment: &Segment| segment.used.load(Ordering::Relaxed);
        assert_eq!(used(lower) + used(upper), USED_MAX);
    }
}
