//! The bytes of the ids, stored one after another and never moved.
//!
//! An id is one byte of length less one, then its bytes, inside one page; a reference is the
//! page's number and the offset in it, never 0. What a reference names does not change while the
//! arena lives, so that whoever has one reads the id without a lock.

#![allow(unsafe_code)] // Ids are read by address while others are written beside them.

use std::ptr;

use super::page_table::{Arrays, ORDER_MAX, PageTable};
use super::pages::{PAGE_BYTES, Page, Pages};
use crate::limits::USER_ID_BYTES_MAX;

/// What readers see of an arena.
pub struct Arena {
    table: PageTable,
}

/// The place of the next id, in the hands of the one writer.
pub struct ArenaWriter {
    arrays: Arrays,
    page_count: usize,
    /// Bytes used of the last page.
    used: usize,
    /// Bytes used of each page before it.
    full_used: Vec<u16>,
}

/// How far a copy of an arena's ids has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    page: usize,
    offset: usize,
}

/// Where an id stands in its arena; never 0.
pub type Reference = u32;

impl Arena {
    pub fn new() -> (Arena, ArenaWriter) {
        let (table, arrays) = PageTable::new();
        (
            Arena { table },
            ArenaWriter { arrays, page_count: 0, used: PAGE_BYTES, full_used: Vec::new() },
        )
    }

    /// Whether the id at `reference` is `id`.
    ///
    /// # Safety
    ///
    /// `append` returned the reference, and the caller has it from there by Release and Acquire;
    /// the arena's writer and pages still live.
    #[inline]
    pub unsafe fn holds(&self, reference: Reference, id: &[u8]) -> bool {
        // SAFETY: by the caller's promise.
        let start = unsafe { self.address(reference) };
        // SAFETY: `append` wrote the length here, before it returned the reference.
        let length = usize::from(unsafe { start.read() }) + 1;
        // SAFETY: the bytes follow inside the same page.
        let first = unsafe { start.add(1) };
        // SAFETY: `append` wrote so many, and they never change.
        same(unsafe { std::slice::from_raw_parts(first, length) }, id)
    }

    /// Where `reference` points, for reading.
    ///
    /// # Safety
    ///
    /// As for `holds`.
    #[inline]
    unsafe fn address(&self, reference: Reference) -> *const u8 {
        let (number, offset) = (reference as usize / PAGE_BYTES, reference as usize % PAGE_BYTES);
        // SAFETY: the arrays are in the writer, which lives.
        let page = unsafe { self.table.load() }.page(number);
        debug_assert!(!page.is_null());
        // SAFETY: the reference's page is in the table since before the reference was returned,
        // and the offset is inside it.
        unsafe { page.cast::<u8>().add(offset) }
    }

    /// Stores `id`, 1 to 256 bytes; `None` when references or memory have run out.
    ///
    /// # Safety
    ///
    /// The writer is the arena's own, and `pages` outlive both.
    pub unsafe fn append(
        &self,
        writer: &mut ArenaWriter,
        id: &[u8],
        pages: &Pages,
    ) -> Option<Reference> {
        assert!((1..=USER_ID_BYTES_MAX).contains(&id.len()));
        if PAGE_BYTES - writer.used < 1 + id.len() {
            // SAFETY: by the caller's promise.
            unsafe { self.add_page(writer, pages) }?;
        }
        let number = writer.page_count - 1;
        let reference = (number * PAGE_BYTES + writer.used) as Reference;
        // SAFETY: the arrays are in the writer.
        let page: *mut Page = unsafe { self.table.load() }.page(number);
        // SAFETY: `used` is inside the page.
        let start = unsafe { page.cast::<u8>().add(writer.used) };
        // SAFETY: the page has room for the id, checked above, and nobody else looks at bytes that
        // no reference names yet.
        unsafe { start.write((id.len() - 1) as u8) };
        // SAFETY: `add_page` or the check above left room for all of it.
        let first = unsafe { start.add(1) };
        // SAFETY: as before; `id` is the caller's and does not overlap a fresh part of a page.
        unsafe { ptr::copy_nonoverlapping(id.as_ptr(), first, id.len()) };
        writer.used += 1 + id.len();
        Some(reference)
    }

    /// Makes an empty page the last.
    ///
    /// # Safety
    ///
    /// As for `append`.
    unsafe fn add_page(&self, writer: &mut ArenaWriter, pages: &Pages) -> Option<()> {
        if writer.page_count == PAGE_COUNT_MAX {
            return None;
        }
        let page = pages.take()?;
        // SAFETY: the arrays are in the writer, here and below.
        if writer.page_count == 1 << unsafe { self.table.load() }.order() {
            // SAFETY: the writer's arrays are the table's.
            unsafe { self.table.grow_append(&mut writer.arrays) };
        }
        // SAFETY: as above.
        unsafe { self.table.load() }.set(writer.page_count, page);
        if writer.page_count > 0 {
            writer.full_used.push(writer.used as u16);
        }
        // The very first byte stays unused, so that no reference is 0.
        writer.used = usize::from(writer.page_count == 0);
        writer.page_count += 1;
        Some(())
    }

    /// Appends to `out` what `position`'s page holds behind it, each id as it is stored, and moves
    /// the position there; false if there was nothing.
    ///
    /// # Safety
    ///
    /// The writer is the arena's own, the position comes from this arena, and the pages live.
    pub unsafe fn copy_page(
        &self,
        writer: &ArenaWriter,
        position: &mut Position,
        out: &mut Vec<u8>,
    ) -> bool {
        let used_of =
            |page: usize| writer.full_used.get(page).map_or(writer.used, |&used| usize::from(used));
        if position.page < writer.full_used.len() && position.offset == used_of(position.page) {
            *position = Position { page: position.page + 1, offset: 0 };
        }
        let Position { page: number, offset } = *position;
        // The very first byte is no id's.
        let start = offset.max(usize::from(number == 0));
        if writer.page_count == 0 || start == used_of(number) {
            return false;
        }
        let length = used_of(number) - start;
        // SAFETY: the arrays are in the writer.
        let page: *mut Page = unsafe { self.table.load() }.page(number);
        // SAFETY: `start` is inside the page.
        let first = unsafe { page.cast::<u8>().add(start) };
        // SAFETY: `append` wrote so many, and they never change.
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(first, length) });
        position.offset = used_of(number);
        true
    }
}

/// Equality, for short ids without a call: two words from the front and the back, overlapping.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.len(), a.first_chunk::<8>(), b.first_chunk::<8>()) {
        (..=16, Some(a_front), Some(b_front)) => {
            a_front == b_front && a.last_chunk::<8>() == b.last_chunk::<8>()
        }
        _ => a == b,
    }
}

/// Pages a reference of 32 bits can name: 4 GiB of ids.
const PAGE_COUNT_MAX: usize = 1 << ORDER_MAX;
const _: () = assert!((PAGE_COUNT_MAX * PAGE_BYTES - 1) as u64 == Reference::MAX as u64);
// The length less one is a byte, and an id fits a page with it.
const _: () = assert!(USER_ID_BYTES_MAX == 256 && USER_ID_BYTES_MAX + 2 <= PAGE_BYTES);
const _: () = assert!(PAGE_BYTES <= u16::MAX as usize);

/// The ids in bytes that [`Arena::copy_page`] has written, or `None` where they end in half an id.
pub fn stored_ids(mut bytes: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (&length, rest) = bytes.split_first()?;
        let id = rest.split_at_checked(usize::from(length) + 1);
        bytes = id.map_or(&[], |(_, rest)| rest);
        Some(id.map(|(id, _)| id))
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_length_stand_where_they_were_put() {
        let pages = Pages::new();
        let (arena, mut writer) = Arena::new();
        let id = |length: usize, seed: usize| -> Vec<u8> {
            (0..length).map(|i| (i * 7 + length + seed) as u8).collect()
        };
        let rounds = if cfg!(miri) { 1 } else { 40 };
        let all = || (0..rounds).flat_map(|seed| (1..=256).map(move |length| (length, seed)));
        // SAFETY: the arena's own writer, and pages that live to the end of the test.
        let mut append = |id: &[u8]| unsafe { arena.append(&mut writer, id, &pages) };
        let references: Vec<_> =
            all().map(|(length, seed)| append(&id(length, seed)).unwrap()).collect();
        for ((length, seed), &reference) in all().zip(&references) {
            assert_ne!(reference, 0);
            let id = id(length, seed);
            // SAFETY: the reference comes from this arena, which lives.
            let holds = |id: &[u8]| unsafe { arena.holds(reference, id) };
            assert!(holds(&id));
            assert!(!holds(&id[1..]) && !holds(&id[..length - 1]));
            for place in [0, length / 2, length - 1] {
                let mut other = id.clone();
                other[place] ^= 1;
                assert!(!holds(&other));
            }
        }
    }

    #[test]
    fn a_copy_made_while_ids_are_added_has_each_of_them_once() {
        let pages = Pages::new();
        let (arena, mut writer) = Arena::new();
        let (mut position, mut copy) = (Position::default(), Vec::new());
        let mut expected = Vec::new();
        let rounds = if cfg!(miri) { 2 } else { 40 };
        for round in 0..rounds {
            for length in (1..=256).step_by(1 + round % 7) {
                let id = vec![(round * length % 3) as u8; length];
                // SAFETY: the arena's own writer, and pages that live to the end of the test.
                assert!(unsafe { arena.append(&mut writer, &id, &pages) }.is_some());
                expected.push(id);
                if length % 50 == round % 50 {
                    // SAFETY: as above, and the position is this arena's.
                    unsafe { arena.copy_page(&writer, &mut position, &mut copy) };
                }
            }
        }
        // SAFETY: as above.
        while unsafe { arena.copy_page(&writer, &mut position, &mut copy) } {}
        let copied: Vec<_> = stored_ids(&copy).map(|id| id.expect("whole").to_vec()).collect();
        assert_eq!(copied, expected);
        assert_eq!(stored_ids(&[0, b'a', 2, b'b']).collect::<Vec<_>>(), [Some(&b"a"[..]), None]);
    }

    #[test]
    fn exhausted_references_are_refused_and_never_wrap() {
        let pages = Pages::new();
        let (arena, mut writer) = Arena::new();
        writer.page_count = PAGE_COUNT_MAX;
        // SAFETY: the arena's own writer, and pages that live to the end of the test.
        let appended = unsafe { arena.append(&mut writer, b"one too many", &pages) };
        assert_eq!(appended, None);
    }
}
