//! Asking the processor for a cache line before it is needed.

#![allow(unsafe_code)] // A hint is an intrinsic.

/// Begins to fetch the line of `address`, which need not be valid. Nothing where the target has
/// no stable intrinsic for it.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see, and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
