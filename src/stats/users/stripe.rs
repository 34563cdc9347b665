//! One of the sets that the users are divided into, each with a writer of its own.
//!
//! Extendible hashing: a directory indexed by the upper bits of the fragment leads to segments;
//! a full segment is split in two, and the directory doubles when it has no bit left to tell the
//! two apart. So growth moves a page's worth of entries at a time, wherever the set stands.
//!
//! A thread finds a known user without a lock and without writing: directory, segment, id. If it does
//! not find a user, the user may be new, or its entry may be moving. So the thread takes the writer's
//! mutex and looks again. No entry moves then, so the second result is final.

#![allow(unsafe_code)] // The directory's pages are segments.

use std::ptr::NonNull;

use super::arena::{Arena, ArenaWriter, Position};
use super::outcome::{Lack, Outcome};
use super::page_table::{Arrays, ORDER_MAX, PageArray, PageTable};
use super::pages::{Page, Pages};
use super::prefetch::prefetch;
use super::quota::Quota;
use super::segment::{Fragment, Segment};
use crate::stats::sync::{Mutex, OwnLine, lock};

/// A set of ids, in pages of a supply that outlives it.
pub struct Stripe {
    readers: OwnLine<ReadSide>,
    /// On a cache line of its own, so that inserting does not slow down threads that only read.
    writer: OwnLine<Mutex<Writer>>,
}

/// The writer changes these only when it replaces an array.
struct ReadSide {
    directory: PageTable,
    arena: Arena,
}

struct Writer {
    directory: Arrays,
    arena: ArenaWriter,
}

impl Stripe {
    /// Returns an empty set, or `None` if the system has no more memory.
    ///
    /// # Safety
    ///
    /// `pages`, here and in `insert`, outlive the set.
    pub unsafe fn new(pages: &Pages) -> Option<Stripe> {
        let (directory, directory_arrays) = PageTable::new();
        let (arena, arena_writer) = Arena::new();
        // SAFETY: a fresh page.
        let segment = unsafe { Segment::make(pages.take()?, 0) };
        // SAFETY: the arrays are on this stack.
        unsafe { directory.load() }.set(0, segment.cast());
        Some(Stripe {
            readers: OwnLine(ReadSide { directory, arena }),
            writer: OwnLine(Mutex::new(Writer {
                directory: directory_arrays,
                arena: arena_writer,
            })),
        })
    }

    /// Returns whether `id` is in the set. True is final; false may mean that it is being inserted or moved.
    #[inline(always)]
    pub fn finds(&self, fragment: Fragment, id: &[u8]) -> bool {
        self.segment(fragment).find(fragment, |reference| {
            // SAFETY: the segment's entries are of this arena, and `find` acquired what `insert`
            // released; the writer lives in `self` and the pages longer, by `new`'s condition.
            unsafe { self.readers.0.arena.holds(reference, id) }
        })
    }

    /// Begins to fetch the slot where the search for `fragment` starts.
    #[inline]
    pub fn prefetch(&self, fragment: Fragment) {
        prefetch(self.segment(fragment).slot_address(fragment));
    }

    /// Inserts `id` unless it is in the set or must be refused.
    #[cold]
    #[inline(never)]
    pub fn insert(&self, fragment: Fragment, id: &[u8], quota: &Quota, pages: &Pages) -> Outcome {
        let mut writer = lock(&self.writer.0);
        if self.finds(fragment, id) {
            return Outcome::Known;
        }
        if !quota.take() {
            return Outcome::Refused(Lack::Place);
        }
        let entry = self.segment_with_room(&mut writer, fragment, pages).and_then(|segment| {
            // SAFETY: `new` made the two together; the pages outlive `self` by its condition.
            let reference = unsafe { self.readers.0.arena.append(&mut writer.arena, id, pages) };
            Some((segment, reference?))
        });
        let Some((segment, reference)) = entry else {
            quota.give_back(1);
            return Outcome::Refused(Lack::Memory);
        };
        segment.insert(fragment, reference);
        Outcome::New
    }

    /// Returns the place behind the last id.
    pub fn end(&self) -> Position {
        Arena::end(&lock(&self.writer.0).arena)
    }

    /// Appends to `out` the ids between `from` and `to` that stand in one page, as the arena stores
    /// them, and returns the place behind them; `None` if there are none. Ids may be inserted
    /// meanwhile: the lock is held for the look-up of the page alone.
    pub fn copy_ids(&self, from: Position, to: Position, out: &mut Vec<u8>) -> Option<Position> {
        let writer = lock(&self.writer.0);
        // SAFETY: `new` made the two together, and the pages outlive `self` by its condition.
        let found = unsafe { self.readers.0.arena.page_of_ids(&writer.arena, from, to) };
        drop(writer);
        let (ids, end) = found?;
        out.extend_from_slice(ids);
        Some(end)
    }

    /// Returns whether `position` is a place between two ids of this stripe.
    pub fn has_boundary(&self, position: Position) -> bool {
        let writer = lock(&self.writer.0);
        // SAFETY: `new` made the two together, and the pages outlive `self` by its condition.
        unsafe { self.readers.0.arena.has_boundary(&writer.arena, position) }
    }

    #[inline]
    fn segment(&self, fragment: Fragment) -> &Segment {
        let directory = self.directory();
        let page = directory.page(prefix(fragment, directory.order()));
        debug_assert!(!page.is_null());
        // SAFETY: the directory's entries are segments, set before the directory was published,
        // whose pages live longer than `self`.
        unsafe { &*page.cast::<Segment>() }
    }

    #[inline]
    fn directory(&self) -> PageArray<'_> {
        // SAFETY: the arrays live in `self.writer`.
        unsafe { self.readers.0.directory.load() }
    }

    /// Splits until the segment of `fragment` has room. Returns `None` if memory has run out, or when more
    /// ids agree in all bits of a keyed hash that count than a segment has places, which does not
    /// happen before memory runs out.
    fn segment_with_room(
        &self,
        writer: &mut Writer,
        fragment: Fragment,
        pages: &Pages,
    ) -> Option<&Segment> {
        loop {
            let segment = self.segment(fragment);
            if !segment.is_full() {
                return Some(segment);
            }
            self.split(writer, segment, fragment, pages)?;
        }
    }

    fn split(
        &self,
        writer: &mut Writer,
        segment: &Segment,
        fragment: Fragment,
        pages: &Pages,
    ) -> Option<()> {
        let depth = segment.depth();
        if depth == ORDER_MAX {
            return None;
        }
        // SAFETY: a fresh page.
        let sibling: NonNull<Segment> = unsafe { Segment::make(pages.take()?, depth + 1) };
        if depth == self.directory().order() {
            // SAFETY: `new` made the two together.
            unsafe { self.readers.0.directory.grow_spread(&mut writer.directory) };
        }
        // The segment's entries in the directory are a run; its upper half is the sibling's.
        let directory = self.directory();
        let half = 1 << (directory.order() - depth - 1);
        let first = prefix(fragment, depth) * 2 * half;
        let publish = || {
            (first + half..first + 2 * half)
                .for_each(|index| directory.set(index, sibling.cast::<Page>()));
        };
        // SAFETY: made above; no page is freed before the set.
        segment.split(unsafe { sibling.as_ref() }, publish);
        Some(())
    }
}

/// The upper `bits` bits.
#[inline]
fn prefix(fragment: Fragment, bits: u32) -> usize {
    (u64::from(fragment) << bits >> 32) as usize
}
