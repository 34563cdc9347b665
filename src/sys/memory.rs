//! Memory that may be refused, and that goes back to the system.

#![allow(unsafe_code)] // A zeroed allocation that may fail, and mallopt(3), are not in std.

use std::alloc::{Layout, alloc_zeroed};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Blocks from this size on are mapped one by one (glibc), so each goes back to the system when it is
/// freed. Otherwise glibc raises the size with the first large block that is freed, and keeps what was
/// freed for later: after a wave of large requests, nearly all of their memory.
const MAPPED_BYTES_MIN: i32 = 16 * 1024;

/// Address space that is left for allocations that cannot fail without ending the process, such as a
/// name of 24 bytes.
const RESERVE_BYTES: usize = 8 << 20;
/// Bytes of blocks after which it is looked whether the reserve is still there. All threads together
/// take no more than twice as much between two looks, which is a part of the reserve.
const LOOK_BYTES: usize = 1 << 20;

/// Bytes of blocks since the last look.
static TAKEN_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Returns `bytes` zeros. Returns `None` if a limit of the process (`RLIMIT_AS`) forbids it, or would then
/// forbid the reserve. A large block takes pages of memory only where it is written to.
pub fn try_zeroed(bytes: usize) -> Option<Box<[u8]>> {
    if TAKEN_BYTES.fetch_add(bytes, Relaxed).saturating_add(bytes) >= LOOK_BYTES {
        let is_there = reserve_is_there();
        // Without the reserve the next block is looked at as well.
        TAKEN_BYTES.store(if is_there { 0 } else { LOOK_BYTES }, Relaxed);
        if !is_there {
            return None;
        }
    }
    if bytes == 0 {
        return Some(Box::default());
    }
    let layout = Layout::array::<u8>(bytes).ok()?;
    // SAFETY: the layout has a size above zero.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        return None;
    }
    let block = ptr::slice_from_raw_parts_mut(start, bytes);
    // SAFETY: the block is of the global allocator, has the layout of the slice, is initialized, and has
    // no other owner.
    Some(unsafe { Box::from_raw(block) })
}

/// Returns whether the reserve could be had: takes it and gives it back.
fn reserve_is_there() -> bool {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at a place that the kernel chooses concerns no other memory.
    let place = unsafe { libc::mmap(ptr::null_mut(), RESERVE_BYTES, protection, flags, -1, 0) };
    if place == libc::MAP_FAILED {
        return false;
    }
    // SAFETY: the mapping was made above, and nothing refers to it.
    unsafe { libc::munmap(place, RESERVE_BYTES) };
    true
}

/// Makes the allocator give large blocks back when they are freed; to be called before there are threads.
/// musl's allocator does so by itself.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) changes a setting of the allocator; no other thread allocates meanwhile.
    unsafe {
        // It fails for a value out of range only, and then nothing changes.
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = MAPPED_BYTES_MIN;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_or_nothing() {
        for bytes in [0, 1, 4_096, 1 << 20] {
            let block = try_zeroed(bytes).expect("memory");
            assert!(block.len() == bytes && block.iter().all(|&byte| byte == 0));
        }
        assert!(try_zeroed(isize::MAX as usize / 2).is_none());
    }
}
