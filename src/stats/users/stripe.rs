//! A stripe: one of the independent parts of the set, with a lock of its own for newcomers.
//!
//! Extendible hashing (R. Fagin et al., 1979): the high bits of a hash choose an entry of a
//! directory, which names a segment. A segment that is full is split in two, whatever the size of
//! the rest, so growth costs about a microsecond at a time; when a segment needs more bits than the
//! directory has, the directory is doubled, which copies some pointers.
//!
//! ```text
//! reader, no lock     directory → segment → entry → page of ids → bytes
//! writer, locked      the same again; then the id, then the entry, a split where needed
//! ```
//!
//! Pages are freed with the whole set only, and an outgrown directory is kept until then (all of
//! them together are no larger than the present one), so a reader's pointers stay valid.

#![allow(unsafe_code)] // Pointers into pages, which live as long as the set.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Insertion;
use super::pages::{PAGE_BYTES, Pages};
use super::segment::{ENTRIES_MAX, Entry, Segment};

/// Bits of the hash that may choose a segment. Beyond them, which takes more users than memory
/// holds or a hash that is none, entries go to a list.
const DEPTH_MAX: u32 = 20;

/// Bits of a place that are the offset within its page.
const OFFSET_BITS: u32 = PAGE_BYTES.trailing_zeros();

/// A part of the set. What lock-free readers read is kept off the lines that newcomers dirty.
#[repr(align(128))]
pub struct Stripe {
    segments: AtomicPtr<Directory<Segment>>,
    id_pages: AtomicPtr<Directory<[u8; PAGE_BYTES]>>,
    writer: OwnLine<Mutex<Writer>>,
}

#[repr(align(128))]
struct OwnLine<T>(T);

/// A power of two of pointers.
struct Directory<T> {
    depth: u32,
    entries: Box<[AtomicPtr<T>]>,
}

/// What only the holder of the lock uses.
#[derive(Default)]
struct Writer {
    /// Where the next id is put; 0 before the first.
    next_place: u32,
    /// Every directory there has been, so that they are freed with the stripe.
    segment_directories: Vec<*mut Directory<Segment>>,
    id_directories: Vec<*mut Directory<[u8; PAGE_BYTES]>>,
    /// Ids that no segment had room for, see [`DEPTH_MAX`].
    overflow: Vec<Entry>,
}

// SAFETY: the directories are owned by the stripe; they are shared as atomics only.
unsafe impl Send for Writer {}

impl<T> Directory<T> {
    fn new(depth: u32, entry: impl FnMut(usize) -> *mut T) -> *mut Self {
        let entries = (0..1usize << depth).map(entry).map(AtomicPtr::new).collect();
        Box::into_raw(Box::new(Directory { depth, entries }))
    }
}

impl Directory<Segment> {
    /// The entry that the high bits of `fragment` choose.
    #[inline(always)]
    fn index(&self, fragment: u32) -> usize {
        (u64::from(fragment) >> (u32::BITS - self.depth)) as usize
    }
}

impl Stripe {
    /// An empty stripe; it takes its first page with its first user.
    pub fn new() -> Self {
        Stripe {
            segments: AtomicPtr::new(ptr::null_mut()),
            id_pages: AtomicPtr::new(ptr::null_mut()),
            writer: OwnLine(Mutex::default()),
        }
    }

    /// Whether the user is known; a `false` may be out of date. Takes no lock and writes nothing.
    #[inline(always)]
    pub fn find(&self, fragment: u32, id: &[u8]) -> bool {
        let Some(segment) = self.segment(fragment) else { return false };
        segment.find(fragment, |entry| self.id_at(entry.place()) == id)
    }

    /// Asks the processor to have the user's slot near.
    #[inline(always)]
    pub fn prefetch(&self, fragment: u32) {
        if let Some(segment) = self.segment(fragment) {
            segment.prefetch(fragment);
        }
    }

    /// Inserts a user unless it is known; `admit` is asked for leave to do so.
    #[cold]
    pub fn insert(
        &self,
        pages: &Pages,
        fragment: u32,
        id: &[u8],
        admit: impl FnOnce() -> bool,
    ) -> Insertion {
        let mut writer = self.lock();
        if self.find(fragment, id) || self.is_in_overflow(&writer, fragment, id) {
            return Insertion::Known;
        }
        let Some(place) = next_place(writer.next_place, id.len()) else {
            return Insertion::Refused;
        };
        if !admit() {
            return Insertion::Refused;
        }
        self.put_id(&mut writer, pages, place, id);
        let entry = Entry::new(fragment, place);
        match self.segment_with_room(&mut writer, pages, fragment) {
            Some(segment) => segment.insert(entry),
            None => writer.overflow.push(entry),
        }
        Insertion::New
    }

    /// The segment that a user belongs to; `None` before the first.
    #[inline(always)]
    fn segment(&self, fragment: u32) -> Option<&Segment> {
        let directory = self.segments.load(Ordering::Acquire);
        // SAFETY: null or a directory that lives as long as the stripe; Acquire pairs with the
        // Release that published it.
        let directory = unsafe { directory.as_ref() }?;
        let segment = directory.entries[directory.index(fragment)].load(Ordering::Acquire);
        // SAFETY: entries of a published directory name segments in pages that outlive the stripe.
        unsafe { segment.as_ref() }
    }

    /// The bytes of the id at a place that an entry named.
    #[inline(always)]
    fn id_at(&self, place: u32) -> &[u8] {
        let directory = self.id_pages.load(Ordering::Acquire);
        // SAFETY: there was a directory before there was an entry, and it lives as long as the stripe.
        let directory = unsafe { &*directory };
        let page =
            directory.entries[(place >> OFFSET_BITS) as usize].load(Ordering::Relaxed).cast::<u8>();
        // SAFETY: the entry was seen with Acquire, so the page and the id that it names are there;
        // nobody writes to an id again, and it ends within its page.
        unsafe {
            let start = page.add(place as usize % PAGE_BYTES);
            std::slice::from_raw_parts(start.add(1), usize::from(*start) + 1)
        }
    }

    fn is_in_overflow(&self, writer: &Writer, fragment: u32, id: &[u8]) -> bool {
        writer
            .overflow
            .iter()
            .any(|entry| entry.fragment() == fragment && self.id_at(entry.place()) == id)
    }

    /// Writes the length less one, and the bytes, to `place`.
    fn put_id(&self, writer: &mut Writer, pages: &Pages, place: u32, id: &[u8]) {
        let page_number = (place >> OFFSET_BITS) as usize;
        let mut directory = self.id_pages.load(Ordering::Relaxed);
        // SAFETY: as in `id_at`; null before the first id.
        let known = unsafe { directory.as_ref() };
        if known.is_none_or(|known| page_number >= known.entries.len()) {
            directory = Directory::new(known.map_or(0, |known| known.depth + 1), |i| {
                known
                    .and_then(|known| known.entries.get(i))
                    .map_or(ptr::null_mut(), |page| page.load(Ordering::Relaxed))
            });
            writer.id_directories.push(directory);
            self.id_pages.store(directory, Ordering::Release);
        }
        // SAFETY: it is not null now.
        let slot = unsafe { &(*directory).entries[page_number] };
        if slot.load(Ordering::Relaxed).is_null() {
            slot.store(pages.take().as_ptr(), Ordering::Relaxed);
        }
        let page = slot.load(Ordering::Relaxed).cast::<u8>();
        // SAFETY: no entry names these bytes yet, so nobody reads them, and `next_place` has made
        // sure that they lie within the page.
        unsafe {
            let start = page.add(place as usize % PAGE_BYTES);
            start.write((id.len() - 1) as u8);
            ptr::copy_nonoverlapping(id.as_ptr(), start.add(1), id.len());
        }
        writer.next_place = place + 1 + id.len() as u32;
    }

    /// The segment for a newcomer, after as many splits as it takes; `None` if no split helps.
    fn segment_with_room(
        &self,
        writer: &mut Writer,
        pages: &Pages,
        fragment: u32,
    ) -> Option<&Segment> {
        if self.segments.load(Ordering::Relaxed).is_null() {
            let segment = pages.take().cast::<Segment>().as_ptr();
            self.publish(writer, Directory::new(0, |_| segment));
        }
        loop {
            let segment = self.segment(fragment)?;
            if segment.len() < ENTRIES_MAX {
                return Some(segment);
            }
            if segment.depth() == DEPTH_MAX {
                return None;
            }
            self.split(writer, pages, fragment, segment);
        }
    }

    /// Splits the segment that `fragment` belongs to.
    fn split(&self, writer: &mut Writer, pages: &Pages, fragment: u32, segment: &Segment) {
        // SAFETY: the caller found the segment in it.
        let mut directory = unsafe { &*self.segments.load(Ordering::Relaxed) };
        if segment.depth() == directory.depth {
            let doubled = Directory::new(directory.depth + 1, |i| {
                directory.entries[i / 2].load(Ordering::Relaxed)
            });
            self.publish(writer, doubled);
            // SAFETY: it was made a moment ago.
            directory = unsafe { &*doubled };
        }
        let page = pages.take();
        // SAFETY: the page is fresh and lives as long as the set.
        let sibling = unsafe { Segment::in_page(page) };
        // The entries of the directory that share the segment's bits; the upper half has the next set.
        let shared_by = 1usize << (directory.depth - segment.depth());
        let first = directory.index(fragment) & !(shared_by - 1);
        segment.split(sibling, || {
            for entry in &directory.entries[first + shared_by / 2..first + shared_by] {
                entry.store(page.cast().as_ptr(), Ordering::Release);
            }
        });
    }

    fn publish(&self, writer: &mut Writer, directory: *mut Directory<Segment>) {
        writer.segment_directories.push(directory);
        self.segments.store(directory, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // Nothing in here panics between two states that are not whole.
        self.writer.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        let writer = self.writer.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for &directory in &writer.segment_directories {
            // SAFETY: made by `Directory::new`, listed once, and no reader is left.
            drop(unsafe { Box::from_raw(directory) });
        }
        for &directory in &writer.id_directories {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(directory) });
        }
    }
}

/// Where an id of so many bytes goes if the next free place is `next`: ids do not cross pages. `None`
/// when the stripe's four gibibytes are used up.
fn next_place(next: u32, id_bytes: usize) -> Option<u32> {
    // Place 0 is never used, since an entry is never 0.
    let next = next.max(1) as usize;
    let bytes = 1 + id_bytes;
    let place = if next % PAGE_BYTES == 0 || next % PAGE_BYTES + bytes <= PAGE_BYTES {
        next
    } else {
        next.next_multiple_of(PAGE_BYTES)
    };
    u32::try_from(place + bytes).ok()?;
    Some(place as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_cross_pages_and_four_gibibytes_are_the_end() {
        assert_eq!(next_place(0, 10), Some(1));
        assert_eq!(next_place(4085, 10), Some(4085));
        assert_eq!(next_place(4086, 10), Some(4096));
        assert_eq!(next_place(4096, 256), Some(4096));
        assert_eq!(next_place(u32::MAX - 11, 10), Some(u32::MAX - 11));
        assert_eq!(next_place(u32::MAX - 10, 10), None);
    }
}
