//! Memory of the set of users: pages of 4 KiB, cut from large blocks and freed all at once.
//!
//! Segments and ids both live in such pages. Nothing is ever freed alone, so whoever found a page
//! by its address may go on using it for as long as the set exists. Blocks come zeroed from the
//! system, and pages that nobody has written to take no memory.

#![allow(unsafe_code)] // Zeroed, aligned blocks; given out as raw pages.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Bytes of a page, and its alignment.
pub const PAGE_BYTES: usize = 4096;

/// Pages of a block: 1 MiB, so that a system call and a lock are paid once for 256 pages.
const BLOCK_PAGES: usize = 256;

const BLOCK: Layout = match Layout::from_size_align(BLOCK_PAGES * PAGE_BYTES, PAGE_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a block is not larger than memory"),
};

/// A zeroed page; valid until its [`Pages`] are dropped.
pub type Page = NonNull<[u8; PAGE_BYTES]>;

/// Hands out pages.
#[derive(Default)]
pub struct Pages {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blocks: Vec<NonNull<u8>>,
    /// Pages of the last block that have been handed out.
    used: usize,
}

// SAFETY: the blocks belong to the state alone; what is done with pages is their users' affair.
unsafe impl Send for State {}

impl Pages {
    /// A page of zeros. Ends the process when memory is exhausted, as all allocation does.
    pub fn take(&self) -> Page {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.used == BLOCK_PAGES || state.blocks.is_empty() {
            // SAFETY: the layout is not of size zero.
            let block = unsafe { alloc_zeroed(BLOCK) };
            state.blocks.push(NonNull::new(block).unwrap_or_else(|| handle_alloc_error(BLOCK)));
            state.used = 0;
        }
        let block = *state.blocks.last().expect("there is a block");
        // SAFETY: fewer than BLOCK_PAGES pages of it have been handed out, so this one lies in it.
        let page = unsafe { block.add(state.used * PAGE_BYTES) };
        state.used += 1;
        page.cast()
    }

    /// Bytes of all blocks.
    pub fn bytes(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).blocks.len() * BLOCK.size()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        for block in &self.state.get_mut().unwrap_or_else(PoisonError::into_inner).blocks {
            // SAFETY: it was allocated with this layout, and nobody uses a page any more.
            unsafe { dealloc(block.as_ptr(), BLOCK) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zeroed_aligned_and_distinct() {
        let pages = Pages::default();
        let count = if cfg!(miri) { 2 } else { 2 * BLOCK_PAGES + 1 };
        let mut addresses: Vec<usize> = (0..count)
            .map(|_| {
                let page = pages.take();
                // SAFETY: the page is fresh, and nobody else knows it.
                let bytes = unsafe { &mut *page.as_ptr() };
                assert!(bytes.iter().all(|&byte| byte == 0));
                bytes.fill(0xff);
                bytes.as_ptr() as usize
            })
            .collect();
        addresses.sort_unstable();
        assert!(addresses.windows(2).all(|pair| pair[0] + PAGE_BYTES <= pair[1]));
        assert!(addresses.iter().all(|address| address % PAGE_BYTES == 0));
        assert_eq!(pages.bytes(), count.div_ceil(BLOCK_PAGES) * BLOCK.size());
    }
}
