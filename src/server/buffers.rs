//! Buffers that connections borrow only while they have bytes in flight.
//!
//! The usual turn needs none: a worker reads into one buffer of its own and writes from another.
//! Only what is left over, the start of a request or the rest of an answer, moves into a buffer
//! that is lent to the connection until it is used up. So an idle connection has none, and a
//! worker keeps as many as were in use at once, up to [`POOLED_BYTES_MAX`].

use crate::limits::{LENT_BUFFER_BYTES, POOLED_BYTES_MAX};
use crate::sys::memory;

/// Bytes that wait: a filled part, then room.
#[derive(Debug, Default)]
pub struct Buffer {
    /// All of the memory; what is not filled is stale.
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// What is in it.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// What is in it.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.filled]
    }

    /// The room behind the filled part.
    pub fn room_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Counts the first `count` bytes of the room as filled.
    pub fn fill(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.filled);
        self.filled += count;
    }

    /// Keeps only this part of what is in it, moved to the front.
    pub fn keep(&mut self, part: std::ops::Range<usize>) {
        assert!(part.end <= self.filled);
        self.filled = part.len();
        if part.start > 0 {
            self.bytes.copy_within(part, 0);
        }
    }

    /// Appends to what is in it. The room must be there.
    fn append(&mut self, bytes: &[u8]) {
        self.room_mut()[..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer { filled: bytes.len(), bytes: bytes.into_boxed_slice() }
    }
}

impl From<Buffer> for Vec<u8> {
    /// Gives the memory away, without a copy.
    fn from(buffer: Buffer) -> Vec<u8> {
        let mut bytes = buffer.bytes.into_vec();
        bytes.truncate(buffer.filled);
        bytes
    }
}

/// The system has no memory for a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// The buffers of one worker that no connection borrows now.
#[derive(Default)]
pub struct Buffers {
    /// By size: each class has twice that of the one before, the first has [`LENT_BUFFER_BYTES`].
    free: [Vec<Box<[u8]>>; CLASSES],
    free_bytes: usize,
}

/// Classes of sizes; the largest is that of a body of the usual bound with its head.
const CLASSES: usize = 6;

/// Returns the class of the smallest buffers that have this number of bytes, if there is one.
fn class_of(bytes: usize) -> Option<usize> {
    let class = bytes.div_ceil(LENT_BUFFER_BYTES).next_power_of_two().trailing_zeros() as usize;
    (class < CLASSES).then_some(class)
}

impl Buffers {
    /// Lends a buffer that holds `bytes`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn lend(&mut self, bytes: &[u8]) -> Result<Buffer, NoMemory> {
        let mut buffer = Buffer { bytes: self.take(bytes.len())?, filled: 0 };
        buffer.append(bytes);
        Ok(buffer)
    }

    /// Makes room for at least `room` more bytes in a buffer. Doubles its size at least when the bytes have
    /// to move, so that a long request that trickles in is not copied over and over.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn grow(&mut self, buffer: &mut Buffer, room: usize) -> Result<(), NoMemory> {
        let needed = buffer.filled + room;
        if needed > buffer.bytes.len() {
            let bytes = self.take(needed.max(2 * buffer.bytes.len()))?;
            let mut grown = Buffer { bytes, filled: 0 };
            grown.append(buffer.filled());
            self.put(std::mem::replace(buffer, grown).bytes);
        }
        Ok(())
    }

    /// Takes the memory of a buffer back and leaves it without any.
    pub fn take_back(&mut self, buffer: &mut Buffer) {
        self.put(std::mem::take(buffer).bytes);
    }

    /// Returns memory of at least this size, which is a free buffer if there is one.
    fn take(&mut self, bytes: usize) -> Result<Box<[u8]>, NoMemory> {
        let Some(class) = class_of(bytes) else {
            return memory::try_zeroed(bytes).ok_or(NoMemory);
        };
        match self.free[class].pop() {
            Some(free) => {
                self.free_bytes -= free.len();
                Ok(free)
            }
            None => memory::try_zeroed(LENT_BUFFER_BYTES << class).ok_or(NoMemory),
        }
    }

    /// Keeps memory for the next buffer of its class. What is too much goes back to the system, so that
    /// one burst of long requests is not held for ever.
    fn put(&mut self, bytes: Box<[u8]>) {
        let class = class_of(bytes.len()).filter(|class| bytes.len() == LENT_BUFFER_BYTES << class);
        if let Some(class) = class
            && self.free_bytes + bytes.len() <= POOLED_BYTES_MAX
        {
            self.free_bytes += bytes.len();
            self.free[class].push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_reused_by_size() {
        let mut buffers = Buffers::default();
        let mut buffer = buffers.lend(b"left over").unwrap();
        let address = buffer.filled().as_ptr();
        buffers.take_back(&mut buffer);
        assert!(buffer.is_empty() && buffer.room_mut().is_empty());

        let mut again = buffers.lend(b"x").unwrap();
        assert_eq!((again.filled(), again.filled().as_ptr()), (&b"x"[..], address));
        buffers.grow(&mut again, LENT_BUFFER_BYTES).unwrap();
        assert_eq!(again.filled(), b"x");
        assert_eq!(again.room_mut().len(), 2 * LENT_BUFFER_BYTES - 1);
        assert_eq!(buffers.free_bytes, LENT_BUFFER_BYTES, "the small one is free again");
        buffers.take_back(&mut again);
        assert_eq!(buffers.free_bytes, 3 * LENT_BUFFER_BYTES);
    }

    #[test]
    fn no_more_is_kept_than_a_worker_may_keep() {
        let mut buffers = Buffers::default();
        for size in [1, LENT_BUFFER_BYTES, 16 * LENT_BUFFER_BYTES, 100 * LENT_BUFFER_BYTES] {
            let lent: Vec<Buffer> =
                (0..2_000).map(|_| buffers.lend(&vec![1; size]).unwrap()).collect();
            for mut buffer in lent {
                assert!(buffer.filled().len() == size && buffer.filled()[size - 1] == 1);
                buffers.take_back(&mut buffer);
            }
            assert!(buffers.free_bytes <= POOLED_BYTES_MAX);
        }
        let mut foreign = Buffer::from(vec![1; 5_000]);
        let before = buffers.free_bytes;
        buffers.take_back(&mut foreign);
        assert_eq!(buffers.free_bytes, before, "a size of no class");
    }

    #[test]
    fn keeping_moves_the_rest_to_the_front() {
        let mut buffer = Buffers::default().lend(b"first,second,third").unwrap();
        buffer.keep(6..12);
        assert_eq!(buffer.filled(), b"second");
        buffer.append(b"!");
        assert_eq!(buffer.filled(), b"second!");
    }
}
