//! An array of 2^order pages that is read without a lock while it is replaced by a longer one.
//!
//! Readers load one word: the array's address, with the order in the bits that its alignment keeps
//! zero. An array that was replaced stays until the table is dropped, so that a reader may go on
//! with it; since each is twice as long as the one before, all the old ones together are as large
//! as the present one. Changes are the business of one writer at a time.

#![allow(unsafe_code)] // Arrays are shared by address.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::pages::Page;
use crate::stats::sync::{AtomicPtr, Ordering};

/// What readers see of a table.
pub struct PageTable {
    tagged: AtomicPtr<Line>,
}

/// What keeps a table's arrays, in the hands of its writer. Dropped after the last reader.
pub struct Arrays(Vec<NonNull<[Line]>>);

/// A cache line of entries; its alignment leaves 6 bits of an address for the order.
#[repr(C, align(64))]
struct Line([AtomicPtr<Page>; LINE_ENTRIES]);

/// An array as it was at one moment; newer ones may exist.
#[derive(Clone, Copy)]
pub struct PageArray<'a> {
    /// The first of 2^order entries, for the time of the borrow.
    first: NonNull<AtomicPtr<Page>>,
    order: u32,
    borrow: PhantomData<&'a AtomicPtr<Page>>,
}

// SAFETY: the arrays hold atomics only, and belong to the owner of `Arrays`.
unsafe impl Send for Arrays {}

impl PageTable {
    /// A table of order 0, whose only entry is null.
    pub fn new() -> (PageTable, Arrays) {
        let mut arrays = Arrays(Vec::new());
        let first = arrays.keep(0, |_| ptr::null_mut());
        (PageTable { tagged: AtomicPtr::new(first) }, arrays)
    }

    /// The present array.
    ///
    /// # Safety
    ///
    /// The table's `Arrays` outlive the result.
    #[inline]
    pub unsafe fn load(&self) -> PageArray<'_> {
        let tagged = self.tagged.load(Ordering::Acquire);
        let order = (tagged.addr() & ORDER_MASK) as u32;
        let first = tagged.map_addr(|address| address & !ORDER_MASK).cast();
        // SAFETY: `keep` made this word of the address and order of an array, which lives on by
        // the caller's promise, and the Release of `grow` has shown us its entries.
        let first = unsafe { NonNull::new_unchecked(first) };
        PageArray { first, order, borrow: PhantomData }
    }

    /// Replaces the array by one twice as long, with `old entry = source(new index)`.
    ///
    /// # Safety
    ///
    /// `arrays` are the table's own.
    unsafe fn grow(&self, arrays: &mut Arrays, source: impl Fn(usize) -> usize) {
        // SAFETY: the table's arrays are borrowed for longer than this one is used.
        let old = unsafe { self.load() };
        let old_count = 1 << old.order;
        let entry = |index| {
            let index = source(index);
            if index < old_count {
                old.entry(index).load(Ordering::Relaxed)
            } else {
                ptr::null_mut()
            }
        };
        let tagged = arrays.keep(old.order + 1, entry);
        // Partner of the Acquire in `load`.
        self.tagged.store(tagged, Ordering::Release);
    }

    /// Doubles the table; each entry now stands twice, at 2 i and 2 i + 1.
    ///
    /// # Safety
    ///
    /// `arrays` are the table's own.
    pub unsafe fn grow_spread(&self, arrays: &mut Arrays) {
        // SAFETY: by the caller's promise.
        unsafe { self.grow(arrays, |index| index / 2) };
    }

    /// Doubles the table; entries keep their places and the new ones are null.
    ///
    /// # Safety
    ///
    /// `arrays` are the table's own.
    pub unsafe fn grow_append(&self, arrays: &mut Arrays) {
        // SAFETY: by the caller's promise.
        unsafe { self.grow(arrays, |index| index) };
    }
}

impl PageArray<'_> {
    /// Binary logarithm of the number of entries.
    #[inline]
    pub fn order(self) -> u32 {
        self.order
    }

    /// Entry `index`, null if none was set yet.
    #[inline]
    pub fn page(self, index: usize) -> *mut Page {
        // Partner of the Release in `set`.
        self.entry(index).load(Ordering::Acquire)
    }

    pub fn set(self, index: usize, page: NonNull<Page>) {
        self.entry(index).store(page.as_ptr(), Ordering::Release);
    }

    /// Entry `index`, which must be less than 2^order.
    #[inline(always)]
    fn entry(&self, index: usize) -> &AtomicPtr<Page> {
        debug_assert!(index < 1 << self.order);
        let index = index & ((1 << self.order) - 1);
        // SAFETY: lines are arrays of entries without a gap, so there are 2^order of them in a row.
        let entry = unsafe { self.first.add(index) };
        // SAFETY: the array lives as long as the borrow, by the promise given to `load`.
        unsafe { entry.as_ref() }
    }
}

impl Arrays {
    /// Makes an array and returns its tagged address.
    fn keep(&mut self, order: u32, entry: impl Fn(usize) -> *mut Page) -> *mut Line {
        assert!(order <= ORDER_MAX);
        let atomic =
            |index| AtomicPtr::new(if index < 1 << order { entry(index) } else { ptr::null_mut() });
        let line = |i| Line(std::array::from_fn(|j| atomic(i * LINE_ENTRIES + j)));
        let lines = NonNull::from(Box::leak((0..line_count(order)).map(line).collect()));
        self.0.push(lines);
        lines.as_ptr().cast::<Line>().map_addr(|address| address | order as usize)
    }
}

impl Drop for Arrays {
    fn drop(&mut self) {
        for lines in self.0.drain(..) {
            // SAFETY: leaked from a box in `keep`, and no reader uses the table any more.
            drop(unsafe { Box::from_raw(lines.as_ptr()) });
        }
    }
}

fn line_count(order: u32) -> usize {
    (1_usize << order).div_ceil(LINE_ENTRIES)
}

const LINE_ENTRIES: usize = 8;
const ORDER_MASK: usize = align_of::<Line>() - 1;

/// The largest order, a million pages.
pub const ORDER_MAX: u32 = 20;
const _: () = assert!(ORDER_MAX as usize <= ORDER_MASK);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stats::users::pages::Pages;

    #[test]
    fn old_arrays_stay_readable() {
        let pages = Pages::new();
        let (table, mut arrays) = PageTable::new();
        let (a, b) = (pages.take().unwrap(), pages.take().unwrap());
        // SAFETY: `arrays` lives to the end of the test.
        let load = || unsafe { table.load() };
        let old = load();
        assert!(old.page(0).is_null());
        old.set(0, a);
        // SAFETY: the table's own arrays, here and below.
        unsafe { table.grow_spread(&mut arrays) };
        let spread = load();
        assert_eq!((spread.order(), spread.page(0), spread.page(1)), (1, a.as_ptr(), a.as_ptr()));
        spread.set(1, b);
        for order in 2..7 {
            // SAFETY: as above.
            unsafe { table.grow_append(&mut arrays) };
            assert_eq!(load().order(), order);
            assert_eq!((load().page(0), load().page(1)), (a.as_ptr(), b.as_ptr()));
            assert!((2..1 << order).all(|index| load().page(index).is_null()));
        }
        assert_eq!((old.page(0), spread.page(1)), (a.as_ptr(), b.as_ptr()));
    }
}
