//! The concurrency primitives of this room: those of std, or of loom while a model is checked.

#[cfg(not(all(test, loom)))]
pub use plain::*;

#[cfg(all(test, loom))]
pub use loom::{
    cell::{ConstPtr, MutPtr, UnsafeCell},
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering},
    sync::{Mutex, MutexGuard},
    thread::yield_now,
};

#[cfg(not(all(test, loom)))]
mod plain {
    #![allow(unsafe_code)] // The duties of these are those of loom's, which checks them.

    pub use std::hint::spin_loop;
    pub use std::sync::atomic::{AtomicU32, Ordering};
    pub use std::sync::{Mutex, MutexGuard};
    pub use std::thread::yield_now;

    /// `std::cell::UnsafeCell` with the interface of loom's.
    #[derive(Debug)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A cell that holds `value`.
        pub fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        /// A pointer to read through.
        #[inline(always)]
        pub fn get(&self) -> ConstPtr<T> {
            ConstPtr(self.0.get())
        }

        /// A pointer to write through.
        #[inline(always)]
        pub fn get_mut(&self) -> MutPtr<T> {
            MutPtr(self.0.get())
        }
    }

    /// A pointer into an [`UnsafeCell`], to read through.
    #[derive(Debug)]
    pub struct ConstPtr<T>(*const T);

    impl<T> ConstPtr<T> {
        /// The value.
        ///
        /// # Safety
        /// The cell lives on, and nobody writes to it while the reference lives.
        #[inline(always)]
        pub unsafe fn deref(&self) -> &T {
            // SAFETY: the pointer comes from a cell, and the caller upholds the rest.
            unsafe { &*self.0 }
        }
    }

    /// A pointer into an [`UnsafeCell`], to write through.
    #[derive(Debug)]
    pub struct MutPtr<T>(*mut T);

    impl<T> MutPtr<T> {
        /// The value.
        ///
        /// # Safety
        /// The cell lives on, and nobody else reads or writes it while the reference lives.
        #[inline(always)]
        #[allow(clippy::mut_from_ref)] // As loom has it; exclusiveness is the caller's duty.
        pub unsafe fn deref(&self) -> &mut T {
            // SAFETY: the pointer comes from a cell, and the caller upholds the rest.
            unsafe { &mut *self.0 }
        }
    }
}
