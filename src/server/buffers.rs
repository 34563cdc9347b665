//! Buffers that connections borrow only while they have bytes in flight.
//!
//! The usual turn needs none: a worker reads into one buffer of its own and writes from another.
//! Only what is left over, the start of a request or the rest of an answer, moves into a buffer
//! that is lent to the connection until it is used up. So an idle connection has none, and a
//! worker keeps as many as were in use at once, up to [`POOLED_BUFFERS_MAX`].

use crate::limits::{LENT_BUFFER_BYTES, POOLED_BUFFERS_MAX};

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

    /// Appends, growing as needed.
    pub fn append(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.room_mut()[..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Makes room for at least `room` bytes. Doubles the size at least when the bytes have to move, so
    /// that a long request that trickles in is not copied over and over.
    pub fn reserve(&mut self, room: usize) {
        let needed = self.filled + room;
        if needed > self.bytes.len() {
            let mut grown = vec![0; needed.max(2 * self.bytes.len())].into_boxed_slice();
            grown[..self.filled].copy_from_slice(self.filled());
            self.bytes = grown;
        }
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

/// The buffers of one worker that no connection borrows now.
#[derive(Default)]
pub struct Buffers {
    free: Vec<Box<[u8]>>,
}

impl Buffers {
    /// An empty buffer with at least so much room.
    pub fn lend(&mut self, room: usize) -> Buffer {
        let pooled = if room <= LENT_BUFFER_BYTES { self.free.pop() } else { None };
        let bytes =
            pooled.unwrap_or_else(|| vec![0; room.max(LENT_BUFFER_BYTES)].into_boxed_slice());
        Buffer { bytes, filled: 0 }
    }

    /// Takes the memory of a buffer back and leaves it without any. Grown buffers go to the
    /// allocator, so that one burst of long requests is not held for ever.
    pub fn take_back(&mut self, buffer: &mut Buffer) {
        let Buffer { bytes, .. } = std::mem::take(buffer);
        if bytes.len() == LENT_BUFFER_BYTES && self.free.len() < POOLED_BUFFERS_MAX {
            self.free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_and_a_grown_one_is_not_kept() {
        let mut buffers = Buffers::default();
        let mut buffer = buffers.lend(10);
        buffer.append(b"left over");
        let address = buffer.filled().as_ptr();
        buffers.take_back(&mut buffer);
        assert!(buffer.is_empty() && buffer.room_mut().is_empty());

        let mut again = buffers.lend(1);
        assert!(again.is_empty());
        again.append(b"x");
        assert_eq!(again.filled().as_ptr(), address);
        again.reserve(LENT_BUFFER_BYTES);
        assert_eq!(again.filled(), b"x");
        buffers.take_back(&mut again);
        assert!(buffers.free.is_empty());
    }

    #[test]
    fn keeping_moves_the_rest_to_the_front() {
        let mut buffer = Buffers::default().lend(8);
        buffer.append(b"first,second,third");
        buffer.keep(6..12);
        assert_eq!(buffer.filled(), b"second");
        buffer.append(b"!");
        assert_eq!(buffer.filled(), b"second!");
    }
}
