//! Sections: workers change what they share in short sections, and a reader finds an instant at
//! which no section is open.
//!
//! ```text
//! worker   enter: word 0 → WORKER       change its own part, and the shared part
//!          leave: clear WORKER
//! reader   1  set READER in every word: no section opens any more
//!          2  wait until each WORKER is clear: no section is open          ← the instant
//!             read or replace everything
//!          3  clear READER in every word
//! ```
//!
//! **Why a reader sees one state at one instant.** Between steps 2 and 3 every word holds READER
//! without WORKER. A section opens only by changing its word from 0 to WORKER in one atomic step,
//! so none is open and none opens: what the reader sees is the effect of all sections closed
//! before, and of nothing else. What a section did is visible, because leaving it clears WORKER
//! with Release and the reader sees that with Acquire, and what a reader replaced is visible to the
//! next section, because step 3 clears READER with Release and entering is an Acquire. Each word is
//! handled by single atomic operations on that word alone; no argument needs an order between two
//! words, so nothing needs to be sequentially consistent. `tests::loom` checks it.
//!
//! **Why that makes the statistics linearizable.** An event's `200` leaves after its section is
//! closed, and a request for statistics enters step 1 after it has arrived. So an answer holds all
//! events that were answered before it was asked for. If event B was sent after the answer to A,
//! then A's section was closed before B's was opened, so no instant has B without A. Readers, and a
//! reset among them, take turns by a lock, in the order of their instants.
//!
//! **Cost.** A section is two atomic operations on a cache line that no other worker touches, paid
//! once for all the events of a batch. A reader cannot be starved: step 1 never waits for a worker.
//! A worker waits for a reader only while the reader waits for sections that were open (each some
//! hundred nanoseconds) and copies (some hundred bytes a worker).

#![allow(unsafe_code)] // Gives out references into cells that the words protect.

use std::sync::PoisonError;

use super::sync::{
    AtomicU32, ConstPtr, MutPtr, Mutex, MutexGuard, Ordering, UnsafeCell, spin_loop, yield_now,
};

/// A section is open.
const WORKER: u32 = 1;
/// A reader lets no section open.
const READER: u32 = 2;

/// Looks at a word before the processor is given to somebody who may be in the way.
const SPINS_BEFORE_YIELD: u32 = 64;

/// A part for each worker, and one that all share, changed in sections.
pub struct Sections<L, S> {
    locals: Box<[Local<L>]>,
    shared: UnsafeCell<S>,
    /// Held by the reader whose turn it is.
    reader: Mutex<()>,
}

/// One worker's word and part, on cache lines of their own: 128 bytes, since processors fetch lines
/// of 64 in pairs.
#[repr(align(128))]
struct Local<L> {
    word: AtomicU32,
    value: UnsafeCell<L>,
}

// SAFETY: a part is touched by the one whose section is open, or by the one reader; both may be any
// thread, hence Send. The shared part is read by many sections at once, hence Sync.
unsafe impl<L: Send, S: Send + Sync> Sync for Sections<L, S> {}

impl<L, S> Sections<L, S> {
    /// No section is open.
    pub fn new(locals: impl IntoIterator<Item = L>, shared: S) -> Self {
        let local = |value| Local { word: AtomicU32::new(0), value: UnsafeCell::new(value) };
        Sections {
            locals: locals.into_iter().map(local).collect(),
            shared: UnsafeCell::new(shared),
            reader: Mutex::new(()),
        }
    }

    /// Opens the section of worker `index`; waits while a reader reads.
    #[inline]
    pub fn enter(&self, index: usize) -> Section<'_, L, S> {
        let local = &self.locals[index];
        let mut spins = 0;
        while local
            .word
            .compare_exchange_weak(0, WORKER, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            pause(&mut spins);
        }
        Section { word: &local.word, local: local.value.get_mut(), shared: self.shared.get() }
    }

    /// Waits for an instant at which no section is open, and holds it.
    pub fn exclude(&self) -> Exclusion<'_, L, S> {
        // Poison says nothing here: the parts are whole whenever no section is open.
        let turn = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        for local in &self.locals {
            local.word.fetch_or(READER, Ordering::Relaxed);
        }
        for local in &self.locals {
            let mut spins = 0;
            while local.word.load(Ordering::Acquire) & WORKER != 0 {
                pause(&mut spins);
            }
        }
        Exclusion { sections: self, _turn: turn }
    }
}

fn pause(spins: &mut u32) {
    *spins += 1;
    // A model has no time that could be spent spinning.
    if cfg!(all(test, loom)) || *spins > SPINS_BEFORE_YIELD {
        yield_now();
    } else {
        spin_loop();
    }
}

/// An open section; closed when dropped, also by a panic.
pub struct Section<'s, L, S> {
    word: &'s AtomicU32,
    local: MutPtr<L>,
    shared: ConstPtr<S>,
}

impl<L, S> Section<'_, L, S> {
    /// The worker's own part, and the shared one.
    #[inline(always)]
    pub fn parts(&mut self) -> (&mut L, &S) {
        // SAFETY: WORKER is set by this section, so no other section of this worker and no reader
        // touches its part until the section is dropped.
        let local = unsafe { self.local.deref() };
        // SAFETY: other sections only read the shared part, and no reader replaces it while WORKER
        // is set.
        let shared = unsafe { self.shared.deref() };
        (local, shared)
    }
}

impl<L, S> Drop for Section<'_, L, S> {
    #[inline]
    fn drop(&mut self) {
        // A reader may have set READER meanwhile, so the word is not simply 0.
        self.word.fetch_and(!WORKER, Ordering::Release);
    }
}

/// An instant at which no section is open; it ends when this is dropped.
pub struct Exclusion<'s, L, S> {
    sections: &'s Sections<L, S>,
    _turn: MutexGuard<'s, ()>,
}

impl<L, S> Exclusion<'_, L, S> {
    /// Does something with each worker's part, in the order of the workers.
    pub fn for_each_local(&mut self, mut work: impl FnMut(&mut L)) {
        for local in &self.sections.locals {
            let pointer = local.value.get_mut();
            // SAFETY: no section is open or can open, and this is the only reader.
            work(unsafe { pointer.deref() });
        }
    }

    /// Does something with the shared part.
    pub fn with_shared<R>(&mut self, work: impl FnOnce(&mut S) -> R) -> R {
        let pointer = self.sections.shared.get_mut();
        // SAFETY: as for the workers' parts.
        work(unsafe { pointer.deref() })
    }
}

impl<L, S> Drop for Exclusion<'_, L, S> {
    fn drop(&mut self) {
        for local in &self.sections.locals {
            // The word holds READER alone: no section can have opened.
            local.word.store(0, Ordering::Release);
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two workers and a reader: every event changes its worker's part twice, and the reader sees
    /// whole events only, at least those that ended before it began, and B never without A.
    #[test]
    fn loom_snapshot_is_an_instant() {
        loom::model(|| {
            let sections = Arc::new(Sections::new([(0u32, 0u32), (0, 0)], ()));
            let answered = Arc::new(AtomicU32::new(0));
            let first = {
                let (sections, answered) = (Arc::clone(&sections), Arc::clone(&answered));
                thread::spawn(move || {
                    let mut section = sections.enter(0);
                    let (local, ()) = section.parts();
                    local.0 += 1;
                    local.1 += 1;
                    drop(section);
                    answered.store(1, Ordering::Release);
                })
            };
            let second = {
                let (sections, answered) = (Arc::clone(&sections), Arc::clone(&answered));
                thread::spawn(move || {
                    let after_first = answered.load(Ordering::Acquire) == 1;
                    let mut section = sections.enter(1);
                    let (local, ()) = section.parts();
                    local.0 += 1;
                    local.1 += 1;
                    after_first
                })
            };
            let asked_after_first = answered.load(Ordering::Acquire) == 1;
            let mut seen = Vec::new();
            sections.exclude().for_each_local(|local| seen.push(*local));
            assert!(seen.iter().all(|&(a, b)| a == b), "half an event");
            assert!(!asked_after_first || seen[0].0 == 1, "an answered event is missing");
            first.join().unwrap();
            let second_after_first = second.join().unwrap();
            assert!(!second_after_first || seen[1].0 == 0 || seen[0].0 == 1, "B without A");
        });
    }

    /// A reset and a section exclude one another, and the section sees what the reset left.
    #[test]
    fn loom_reset_is_an_instant() {
        loom::model(|| {
            let sections = Arc::new(Sections::new([0u32], 0u32));
            let worker = {
                let sections = Arc::clone(&sections);
                thread::spawn(move || {
                    for _ in 0..2 {
                        let mut section = sections.enter(0);
                        let (local, &shared) = section.parts();
                        assert!(*local == 0 || *local == shared + 1 || shared == 0);
                        *local = shared + 1;
                    }
                })
            };
            let mut exclusion = sections.exclude();
            exclusion.for_each_local(|local| *local = 0);
            exclusion.with_shared(|shared| *shared = 7);
            drop(exclusion);
            worker.join().unwrap();
            sections.exclude().for_each_local(|local| assert!([0, 1, 8].contains(local)));
        });
    }

    /// Two readers take turns.
    #[test]
    fn loom_readers_take_turns() {
        loom::model(|| {
            let sections = Arc::new(Sections::new([0u32], 0u32));
            let other = {
                let sections = Arc::clone(&sections);
                thread::spawn(move || sections.exclude().with_shared(|shared| *shared += 1))
            };
            sections.exclude().with_shared(|shared| *shared += 1);
            other.join().unwrap();
            assert_eq!(sections.exclude().with_shared(|shared| *shared), 2);
        });
    }
}
