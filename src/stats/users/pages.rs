//! Pages of 4 KiB for tables and arenas, given back all at once.
//!
//! Growing by pages keeps every step of growth short, and lets 64 stripes grow side by side with
//! little of each unused. Pages are cut from large blocks of zeros that the allocator maps straight
//! from the system: a page that was never written to costs no resident memory, and dropping the
//! set returns all of it at once.

#![allow(unsafe_code)] // Raw memory from the allocator.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::stats::sync::{Mutex, lock};

/// Bytes of a page, and its alignment.
pub const PAGE_BYTES: usize = 4096;

/// A page of raw memory; its user decides what it holds.
#[repr(C, align(4096))]
pub struct Page([u8; PAGE_BYTES]);

/// Supplies pages, which live as long as the supply.
pub struct Pages {
    supply: Mutex<Supply>,
}

struct Supply {
    blocks: Vec<Block>,
    /// Pages handed out of the last block.
    used: usize,
    /// The block after the last, if it was taken from the system ahead of time.
    next: Option<Block>,
}

/// Memory for `BLOCK_PAGES` aligned pages.
struct Block(NonNull<u8>);

// SAFETY: a block is memory and bound to no thread.
unsafe impl Send for Block {}

impl Pages {
    pub fn new() -> Self {
        Pages { supply: Mutex::new(Supply { blocks: Vec::new(), used: BLOCK_PAGES, next: None }) }
    }

    /// Returns a page of zeros, or `None` if the system has no more memory.
    pub fn take(&self) -> Option<NonNull<Page>> {
        let mut supply = lock(&self.supply);
        if supply.used == BLOCK_PAGES {
            let block = supply.next.take().or_else(Block::new)?;
            supply.blocks.push(block);
            supply.used = 0;
        }
        let index = supply.used;
        supply.used += 1;
        supply.blocks.last().map(|block| block.page(index))
    }

    /// Returns whether there is memory for at least [`ROOM_PAGES`] more pages. Takes it from the
    /// system ahead of time where there is not.
    pub fn has_room(&self) -> bool {
        let mut supply = lock(&self.supply);
        if supply.used + ROOM_PAGES <= BLOCK_PAGES || supply.next.is_some() {
            return true;
        }
        supply.next = Block::new();
        supply.next.is_some()
    }

    /// Returns the number of pages taken so far.
    pub fn taken(&self) -> usize {
        let supply = lock(&self.supply);
        supply.blocks.len() * BLOCK_PAGES + supply.used - BLOCK_PAGES
    }
}

impl Block {
    /// Alignment that every allocator gives by itself: for more, std fills the memory with
    /// zeros itself, which would make every page of it resident.
    const LAYOUT: Layout = match Layout::from_size_align((BLOCK_PAGES + 1) * PAGE_BYTES, 16) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };

    fn new() -> Option<Block> {
        // SAFETY: the layout's size is not zero.
        NonNull::new(unsafe { alloc_zeroed(Self::LAYOUT) }).map(Block)
    }

    fn page(&self, index: usize) -> NonNull<Page> {
        assert!(index < BLOCK_PAGES);
        let offset = self.0.align_offset(PAGE_BYTES) + index * PAGE_BYTES;
        // SAFETY: aligning skips less than the one page the block has to spare, so that the offset
        // and the page behind it are inside the block.
        unsafe { self.0.add(offset) }.cast()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, in `new`.
        unsafe { dealloc(self.0.as_ptr(), Self::LAYOUT) }
    }
}

/// Pages of a block: 64 MiB. glibc serves up to 32 MiB from its heap once a block was freed, where
/// memory is filled by hand and may stay behind; above, always by a mapping of its own. Address
/// space is not memory: only pages in use count.
const BLOCK_PAGES: usize = if cfg!(any(miri, loom)) { 256 } else { 64 << 20 >> 12 };

/// More pages than the largest group of events can need (an id needs room in at most one page, and a
/// split for it one more), with the groups of other workers at the same time.
const ROOM_PAGES: usize = BLOCK_PAGES / 2;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn pages_are_apart_aligned_and_zero() {
        let pages = Pages::new();
        assert_eq!(pages.taken(), 0);
        let mut seen = HashSet::new();
        for count in 1..=BLOCK_PAGES + 3 {
            let page = pages.take().unwrap();
            assert!(page.is_aligned());
            assert!(seen.insert(page));
            assert_eq!(pages.taken(), count);
        }
        for page in seen.iter().take(20) {
            // SAFETY: the page is ours and lives as long as `pages`.
            let bytes = unsafe { page.cast::<[u8; PAGE_BYTES]>().as_ref() };
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
    }
}
