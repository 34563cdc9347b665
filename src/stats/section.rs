//! Batches of writes that a reader sees whole or not at all.
//!
//! Each worker has a *seat*: a lock word on a cache line of its own, and local data under it. The
//! data that all workers share exists once, beside the seats. A worker changes its local data, and uses
//! the shared data, only in a *section*, which lasts for one batch of work. A reader makes an *instant*:
//! a moment when no section is open and none can open.
//!
//! ```text
//! worker   enter   word: 0 → WORKER         compare-and-swap, Acquire
//!          leave   word: clear WORKER       Release
//! reader   1       every word: set READER   Relaxed; from now on no worker can enter
//!          2       every word: wait until WORKER is clear, Acquire
//!                  ── the instant: read or change everything ──
//!          3       every word: clear READER Release
//! ```
//!
//! **Exclusion.** A seat's word is changed by read-modify-write operations only, so its changes
//! stand in one order and each sees the one before. Entering succeeds on 0 only. Once READER
//! stands in the word, no section opens at that seat before step 3; once WORKER is clear as well,
//! none is open. This needs no ordering between different words, hence no fence and no `SeqCst`.
//!
//! **Visibility.** Leaving is a Release, and every later change of the word is a read-modify-write
//! that continues its release sequence; the reader's Acquire in step 2 therefore sees all that
//! was written in every section closed before. A worker's Acquire on entering sees, the same way,
//! all that an instant changed (a reset). Readers are serialised by a mutex.
//!
//! **Linearizable.** Say an instant saw section B, and A was over before B began, be it that a
//! client waited for A's answer before it sent B to another worker. Suppose the instant did not
//! see A. Then A entered by reading what step 3 left, so the instant happened before A; A happened
//! before B; and B's leaving was seen by the instant, so B happened before the instant: a circle.
//! Hence instants and sections stand in one order, which agrees with what clients can observe.
//!
//! **No starvation.** A worker that keeps entering cannot hold a reader up, since READER stops it;
//! a reader waits for one section a seat at the most. A worker waits for an instant, which takes no
//! longer than the longest open section and a copy of the totals.
//!
//! **Cost.** Two uncontended read-modify-writes on a line that is this worker's own.
//!
//! A worker that asked for an instant from inside its own section would wait for itself; the
//! closures keep sections and instants apart in the code of this room's callers.

#![allow(unsafe_code)] // The lock word is what makes the data behind it one thread's.

use super::sync::{AtomicU32, Backoff, Mutex, MutexGuard, Ordering, OwnLine, UnsafeCell, lock};

/// Set while a section is open at the seat.
const WORKER: u32 = 1;
/// Set while a reader keeps the seat from opening a section.
const READER: u32 = 2;

/// The seats of a set of workers, with local data `L` each, and the data `S` they share.
pub(super) struct Sections<L, S> {
    seats: Box<[Seat<L>]>,
    shared: UnsafeCell<S>,
    readers: Mutex<()>,
}

struct Seat<L> {
    word: OwnLine<AtomicU32>,
    local: OwnLine<UnsafeCell<L>>,
}

// SAFETY: the lock words lend `L` to one thread at a time (`Send`), and `S` either to many for
// reading (`Sync`) or to one that may replace it (`Send`).
unsafe impl<L: Send, S: Send + Sync> Sync for Sections<L, S> {}

impl<L, S> Sections<L, S> {
    pub fn new(locals: impl Iterator<Item = L>, shared: S) -> Self {
        let seat = |local| Seat {
            word: OwnLine(AtomicU32::new(0)),
            local: OwnLine(UnsafeCell::new(local)),
        };
        Sections {
            seats: locals.map(seat).collect(),
            shared: UnsafeCell::new(shared),
            readers: Mutex::new(()),
        }
    }

    pub fn seat_count(&self) -> usize {
        self.seats.len()
    }

    /// Runs `work` in a section of seat `seat`: every instant sees all of it or nothing.
    #[inline]
    pub fn enter<R>(&self, seat: usize, work: impl FnOnce(&mut L, &S) -> R) -> R {
        let seat = &self.seats[seat];
        let _open = Open::at(&seat.word.0);
        seat.local.0.with_mut(|local| {
            self.shared.with(|shared| {
                // SAFETY: WORKER is set by us, so that no other section of this seat and no
                // instant is open: the local data is ours alone.
                let local = unsafe { &mut *local };
                // SAFETY: the shared data is changed in instants only, and none is open.
                let shared = unsafe { &*shared };
                work(local, shared)
            })
        })
    }

    /// Runs `work` at an instant: no section is open anywhere. Keep it short, since all workers wait.
    pub fn instant<R>(&self, work: impl FnOnce(&mut Instant<'_, L, S>) -> R) -> R {
        work(&mut Instant::of(self))
    }
}

/// An open section; closed on drop, so also by a panic.
struct Open<'a> {
    word: &'a AtomicU32,
}

impl<'a> Open<'a> {
    #[inline]
    fn at(word: &'a AtomicU32) -> Self {
        let enter = || word.compare_exchange(0, WORKER, Ordering::Acquire, Ordering::Relaxed);
        if enter().is_err() {
            Self::wait(word, enter);
        }
        Open { word }
    }

    #[cold]
    fn wait(word: &AtomicU32, enter: impl Fn() -> Result<u32, u32>) {
        let mut backoff = Backoff::default();
        // Looking before trying leaves the line to the reader, which needs it to let this worker in.
        while word.load(Ordering::Relaxed) != 0 || enter().is_err() {
            backoff.pause();
        }
    }
}

impl Drop for Open<'_> {
    #[inline]
    fn drop(&mut self) {
        self.word.fetch_and(!WORKER, Ordering::Release);
    }
}

/// A moment when no section is open and none can open; ends on drop, so also by a panic.
pub(super) struct Instant<'a, L, S> {
    sections: &'a Sections<L, S>,
    /// Given back after the seats are free again, since fields are dropped after `drop`.
    _turn: MutexGuard<'a, ()>,
}

impl<'a, L, S> Instant<'a, L, S> {
    fn of(sections: &'a Sections<L, S>) -> Self {
        let turn = lock(&sections.readers);
        for seat in &sections.seats {
            seat.word.0.fetch_or(READER, Ordering::Relaxed);
        }
        for seat in &sections.seats {
            let mut backoff = Backoff::default();
            while seat.word.0.load(Ordering::Acquire) & WORKER != 0 {
                backoff.pause();
            }
        }
        Instant { sections, _turn: turn }
    }

    /// Passes each seat's local data to `visit`, in the order of the seats.
    pub fn for_each_local(&mut self, mut visit: impl FnMut(&mut L)) {
        for seat in &self.sections.seats {
            seat.local.0.with_mut(|local| {
                // SAFETY: READER is set and WORKER clear at every seat, and `readers` is ours, so
                // no other thread uses the data; `&mut self` keeps this one from doing so twice.
                visit(unsafe { &mut *local })
            });
        }
    }

    /// Passes the shared data to `look`.
    pub fn with_shared<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        self.sections.shared.with(|shared| {
            // SAFETY: as in `for_each_local`; the data is not changed while `self` is borrowed.
            look(unsafe { &*shared })
        })
    }

    /// Replaces the shared data by `shared`, and returns the former data.
    pub fn replace_shared(&mut self, shared: S) -> S {
        self.sections.shared.with_mut(|place| {
            // SAFETY: as in `for_each_local`; sections hold references to the shared data no
            // longer than they are open.
            std::mem::replace(unsafe { &mut *place }, shared)
        })
    }
}

impl<L, S> Drop for Instant<'_, L, S> {
    fn drop(&mut self) {
        for seat in &self.sections.seats {
            seat.word.0.fetch_and(!READER, Ordering::Release);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_panic_closes_the_section_and_the_instant() {
        let sections = Sections::new([0, 0].into_iter(), ());
        let panicked = catch_unwind(AssertUnwindSafe(|| sections.enter(1, |_, ()| panic!("once"))));
        assert!(panicked.is_err());
        let panicked = catch_unwind(AssertUnwindSafe(|| sections.instant(|_| panic!("twice"))));
        assert!(panicked.is_err());
        sections.enter(1, |local, ()| *local += 1);
        let mut seen = Vec::new();
        sections.instant(|instant| instant.for_each_local(|local| seen.push(*local)));
        assert_eq!(seen, [0, 1]);
    }
}

/// Every interleaving and every permitted reordering of two workers and a reader.
#[cfg(all(test, loom))]
mod loom_model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// Two local counters each, so that a torn batch shows.
    type Model = Sections<[u32; 2], u32>;

    fn model() -> Arc<Model> {
        Arc::new(Sections::new([[0; 2]; 2].into_iter(), 7))
    }

    fn add(model: &Model, seat: usize) -> u32 {
        model.enter(seat, |local, shared| {
            local[0] += 1;
            local[1] += 1;
            *shared
        })
    }

    fn read(model: &Model) -> Vec<u32> {
        let mut seen = Vec::new();
        model.instant(|instant| {
            instant.for_each_local(|local| {
                assert_eq!(local[0], local[1], "a batch is seen whole");
                seen.push(local[0]);
            });
        });
        seen
    }

    #[test]
    fn loom_batches_are_whole_and_causes_come_before_effects() {
        loom::model(|| {
            let model = model();
            let writer = {
                let model = Arc::clone(&model);
                // One client: its second event leaves after the first was answered, and reaches
                // another worker. What links the two in the program is only the seats' words.
                thread::spawn(move || {
                    add(&model, 0);
                    add(&model, 1);
                })
            };
            let seen = read(&model);
            assert!(seen[0] >= seen[1], "no effect without its cause: {seen:?}");
            writer.join().unwrap();
            assert_eq!(read(&model), [1, 1], "what was answered is in it");
        });
    }

    #[test]
    fn loom_two_workers_and_a_reader() {
        loom::model(|| {
            let model = model();
            let writers = [0, 1].map(|seat| {
                let model = Arc::clone(&model);
                thread::spawn(move || add(&model, seat))
            });
            read(&model);
            writers.into_iter().for_each(|writer| _ = writer.join().unwrap());
        });
    }

    #[test]
    fn loom_readers_take_turns() {
        loom::model(|| {
            let model = model();
            let other = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    add(&model, 0);
                    read(&model)
                })
            };
            let first = read(&model);
            let second = read(&model);
            assert!(first[0] <= second[0], "counts never go back");
            assert_eq!(other.join().unwrap(), [1, 0], "a reader sees what it did itself");
        });
    }

    #[test]
    fn loom_a_reset_is_an_instant() {
        loom::model(|| {
            let model = model();
            let writer = {
                let model = Arc::clone(&model);
                thread::spawn(move || [add(&model, 0), add(&model, 0)])
            };
            let old = model.instant(|instant| {
                instant.for_each_local(|local| *local = [0; 2]);
                instant.replace_shared(8)
            });
            assert_eq!(old, 7);
            let shared = writer.join().unwrap();
            assert!(shared[0] <= shared[1], "the new set, once seen, stays");
            let after_reset = shared.iter().filter(|&&set| set == 8).count() as u32;
            assert_eq!(read(&model), [after_reset, 0], "what met the new set is what is counted");
        });
    }
}
