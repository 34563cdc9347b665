//! The bytes of the ids, stored one after another and never moved.
//!
//! An id is stored as one byte, its length less one, and then its bytes, all inside one page. A
//! reference is the page's number and the offset in it, never 0. The bytes that a reference names
//! do not change while the arena lives, so a thread that has a reference reads the id without a
//! lock.
//!
//! The order of the ids never changes either. A [`Position`] is therefore a lasting mark: the ids
//! before it stay the same, and an id that is stored later stands behind it.

#![allow(unsafe_code)] // Ids are read by address while others are written beside them.

use std::ptr;

use super::page_table::{Arrays, ORDER_MAX, PageTable};
use super::pages::{PAGE_BYTES, Page, Pages};
use crate::limits::USER_ID_BYTES_MAX;

/// The part of an arena that readers use.
pub struct Arena {
    table: PageTable,
}

/// The place of the next id, which belongs to the one writer.
pub struct ArenaWriter {
    arrays: Arrays,
    page_count: usize,
    /// Bytes used of the last page.
    used: usize,
    /// Bytes used of each page before it.
    full_used: Vec<u16>,
}

/// A place between two ids of an arena: the page's number times the bytes of a page, plus the offset
/// in the page. 0 is the place before the first id.
pub type Position = u64;

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

    /// Returns whether the id at `reference` is `id`.
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
        // SAFETY: `append` wrote this number of bytes, and they never change.
        same(unsafe { std::slice::from_raw_parts(first, length) }, id)
    }

    /// Returns the place in memory to which `reference` points, for reading.
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

    /// Stores `id`, of 1 to 256 bytes. Returns `None` if references or memory have run out.
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
        // SAFETY: the page has room for the id, checked above, and no reader looks at bytes that
        // no reference names yet.
        unsafe { start.write((id.len() - 1) as u8) };
        // SAFETY: `add_page` or the check above left room for all of it.
        let first = unsafe { start.add(1) };
        // SAFETY: as before; `id` is the caller's and does not overlap a fresh part of a page.
        unsafe { ptr::copy_nonoverlapping(id.as_ptr(), first, id.len()) };
        writer.used += 1 + id.len();
        Some(reference)
    }

    /// Appends an empty page.
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

    /// Returns the place behind the last id.
    pub fn end(writer: &ArenaWriter) -> Position {
        match writer.page_count {
            0 => 0,
            count => ((count - 1) * PAGE_BYTES + writer.used) as Position,
        }
    }

    /// Returns the ids between `from` and `to` that stand in the first page that has some, as they
    /// are stored, and the place behind them; `None` if there are none.
    ///
    /// The bytes never change, so the caller may read them after it has let go of the writer.
    ///
    /// # Safety
    ///
    /// The writer is the arena's own, and the pages live as long as the result.
    pub unsafe fn page_of_ids<'p>(
        &self,
        writer: &ArenaWriter,
        from: Position,
        to: Position,
    ) -> Option<(&'p [u8], Position)> {
        let to = to.min(Arena::end(writer));
        let (mut number, mut offset) = split(from);
        if number < writer.full_used.len() && offset >= writer.used_of(number) {
            (number, offset) = (number + 1, 0);
        }
        // The very first byte belongs to no id.
        let offset = offset.max(usize::from(number == 0));
        let start = (number * PAGE_BYTES + offset) as Position;
        if start >= to {
            return None;
        }
        let page_end = (number * PAGE_BYTES + writer.used_of(number)) as Position;
        let end = page_end.min(to);
        // SAFETY: the arrays are in the writer.
        let page: *mut Page = unsafe { self.table.load() }.page(number);
        // SAFETY: `start` is before `end`, which is before the end of the last page in use, so that
        // the offset is inside a page that exists.
        let first = unsafe { page.cast::<u8>().add(offset) };
        // SAFETY: `append` wrote all bytes of this page before `used_of`, and they never change; by
        // the caller's promise the page lives as long as the result.
        let ids = unsafe { std::slice::from_raw_parts(first, end.saturating_sub(start) as usize) };
        Some((ids, end))
    }

    /// Returns whether `position` is a place between two ids, before the first, or behind the last.
    ///
    /// # Safety
    ///
    /// The writer is the arena's own, and the pages live.
    pub unsafe fn has_boundary(&self, writer: &ArenaWriter, position: Position) -> bool {
        if position > Arena::end(writer) {
            return false;
        }
        let (number, offset) = split(position);
        let page_start = (number * PAGE_BYTES) as Position;
        // The very first byte belongs to no id.
        let mut place = offset.min(usize::from(number == 0));
        // SAFETY: by the caller's promise.
        let ids = unsafe { self.page_of_ids(writer, page_start, position) };
        for id in stored_ids(ids.map_or(&[], |(ids, _)| ids)) {
            let Some(id) = id else { return false };
            place += 1 + id.len();
        }
        place == offset
    }
}

impl ArenaWriter {
    /// Returns the number of bytes that page `number` uses.
    fn used_of(&self, number: usize) -> usize {
        self.full_used.get(number).map_or(self.used, |&used| usize::from(used))
    }
}

/// Returns the page's number and the offset in it.
fn split(position: Position) -> (usize, usize) {
    let page_bytes = PAGE_BYTES as Position;
    // A page's number fits: positions come from an arena, or are compared with its end.
    let number = usize::try_from(position / page_bytes).unwrap_or(usize::MAX / PAGE_BYTES - 1);
    (number, (position % page_bytes) as usize)
}

/// Compares two ids, short ones without a call: two words from the front and the back, overlapping.
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

/// Returns the ids in bytes as an arena stores them; `None` once, at the end, if they end in half an
/// id.
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
    fn ids_are_read_page_by_page_while_others_are_added() {
        let pages = Pages::new();
        let (arena, mut writer) = Arena::new();
        let (mut position, mut copy) = (0, Vec::new());
        let (mut expected, mut boundaries) = (Vec::new(), vec![0]);
        let rounds = if cfg!(miri) { 2 } else { 40 };
        // SAFETY: the arena's own writer, and pages that live to the end of the test; here and below.
        let read = |writer: &ArenaWriter, from, to| unsafe { arena.page_of_ids(writer, from, to) };
        for round in 0..rounds {
            for length in (1..=256).step_by(1 + round % 7) {
                let id = vec![(round * length % 3) as u8; length];
                // SAFETY: as above.
                assert!(unsafe { arena.append(&mut writer, &id, &pages) }.is_some());
                expected.push(id);
                boundaries.push(Arena::end(&writer));
                if length % 50 == round % 50
                    && let Some((ids, end)) = read(&writer, position, Position::MAX)
                {
                    copy.extend_from_slice(ids);
                    position = end;
                }
            }
        }
        while let Some((ids, end)) = read(&writer, position, Position::MAX) {
            copy.extend_from_slice(ids);
            position = end;
        }
        let whole = |bytes: &[u8]| -> Vec<Vec<u8>> {
            stored_ids(bytes).map(|id| id.expect("whole").to_vec()).collect()
        };
        assert_eq!(whole(&copy), expected);
        // From any boundary to any other come the ids between them.
        for (i, &from) in boundaries.iter().enumerate().step_by(7) {
            for (j, &to) in boundaries.iter().enumerate().step_by(if cfg!(miri) { 97 } else { 61 })
            {
                let (mut bytes, mut at) = (Vec::new(), from);
                while let Some((ids, end)) = read(&writer, at, to) {
                    bytes.extend_from_slice(ids);
                    at = end;
                }
                assert_eq!(whole(&bytes), expected.get(i..j).unwrap_or_default(), "{from}..{to}");
            }
        }
    }

    #[test]
    fn a_boundary_is_told_from_any_other_place() {
        let pages = Pages::new();
        let (arena, mut writer) = Arena::new();
        // SAFETY: the arena's own writer, and pages that live to the end of the test; here and below.
        let is_boundary =
            |writer: &ArenaWriter, position| unsafe { arena.has_boundary(writer, position) };
        assert!(is_boundary(&writer, 0) && !is_boundary(&writer, 1 << 20));
        let mut boundaries = vec![0, 1];
        for length in (1..=256).rev().step_by(3) {
            let id = vec![7; length];
            // SAFETY: as above.
            assert!(unsafe { arena.append(&mut writer, &id, &pages) }.is_some());
            let end = Arena::end(&writer);
            let page_start = end / PAGE_BYTES as Position * PAGE_BYTES as Position;
            boundaries.extend([page_start, end]);
        }
        let end = Arena::end(&writer);
        for position in (0..end + 10).step_by(if cfg!(miri) { 31 } else { 1 }) {
            let expected = boundaries.contains(&position);
            assert_eq!(is_boundary(&writer, position), expected, "{position} of {end}");
        }
        assert!(
            !is_boundary(&writer, Position::MAX) && !is_boundary(&writer, Position::MAX - 4095)
        );
    }

    #[test]
    fn half_an_id_is_noticed() {
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
