//! The primitives with which this room shares memory. Each has one name for two types: std's, or loom's
//! in a model.
//!
//! A model (`RUSTFLAGS="--cfg loom"`) runs the code that is shipped. Only the types behind
//! these names differ. `UnsafeCell` lends its contents to a closure, so that loom sees when an access
//! begins and ends.

#[cfg(not(all(test, loom)))]
pub(super) use self::real::*;
#[cfg(all(test, loom))]
pub(super) use loom::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering},
    },
    thread::yield_now,
};

#[cfg(not(all(test, loom)))]
mod real {
    pub use std::hint::spin_loop;
    pub use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
    pub use std::sync::{Mutex, MutexGuard};
    pub use std::thread::yield_now;

    /// [`std::cell::UnsafeCell`] with the interface of loom's.
    #[derive(Debug)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub const fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline]
        pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

/// Takes a mutex, also after a thread has panicked while holding it. No code in this room leaves the data
/// behind a mutex half changed, so poison would only spread one panic to all threads.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits for another thread to finish something short.
#[derive(Default)]
pub(super) struct Backoff {
    turns: u32,
}

impl Backoff {
    /// Turns spent spinning, a few microseconds in all, before the processor is given up: by then
    /// the other thread is more likely waiting for a processor than using one.
    const SPIN_TURNS_MAX: u32 = 128;

    pub fn pause(&mut self) {
        if self.turns < Self::SPIN_TURNS_MAX {
            self.turns += 1;
            spin_loop();
        } else {
            yield_now();
        }
    }
}

/// Keeps what one thread writes off the cache lines that another uses. 128 bytes: on x86-64 the
/// prefetcher fetches lines of 64 bytes in pairs, and several ARM cores have lines of 128.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct OwnLine<T>(pub T);
