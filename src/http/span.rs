//! A place within a head, small enough to be copied with every request.

use std::ops::Range;

use crate::limits::{EMPTY_LINES_MAX, HEADER_SECTION_BYTES_MAX, REQUEST_LINE_BYTES_MAX};

/// A place within a head, in bytes from the start of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u16,
    end: u16,
}

/// Bytes of the longest head: empty lines, the request line, its line end, the header section.
const HEAD_BYTES_MAX: usize = "\r\n".len() * EMPTY_LINES_MAX
    + REQUEST_LINE_BYTES_MAX
    + "\r\n".len()
    + HEADER_SECTION_BYTES_MAX;

const _: () = assert!(HEAD_BYTES_MAX <= u16::MAX as usize);

impl Span {
    /// Returns the bytes of `input` at this place.
    #[inline(always)]
    pub fn of(self, input: &[u8]) -> &[u8] {
        &input[self.range()]
    }

    /// Returns the place as a range.
    #[inline(always)]
    pub fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

impl From<Range<usize>> for Span {
    /// Takes a range within a head.
    fn from(range: Range<usize>) -> Self {
        debug_assert!(range.end <= HEAD_BYTES_MAX);
        Span { start: range.start as u16, end: range.end as u16 }
    }
}
