//! A commit's place: its number, and the end of the records that it needs.

use super::layout::{self, Identity, PAYLOAD_BYTES_MAX};

/// A commit: its number in its lane, and the end of the records that it needs.
///
/// A small value that the caller publishes together with the state that was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The commit's number in its lane, counted from 1 and never again from 1.
    pub number: u64,
    /// How often the state had been reset, and below it the bytes used in the open segment.
    epoch_and_used: u64,
    /// The open segment.
    pub segment: u32,
    /// The checksum of the open segment's used bytes.
    pub crc: u32,
}

const _: () = assert!(size_of::<Mark>() <= 24);

/// Bits of [`Mark::epoch_and_used`] that hold the bytes used in the open segment.
const USED_BITS: u32 = 17;
const _: () = assert!(PAYLOAD_BYTES_MAX < 1 << USED_BITS);

/// Resets that can be counted: at one every 0.1 ms they last for centuries.
pub const EPOCH_MAX: u64 = u64::MAX >> USED_BITS;

impl Mark {
    /// Makes a mark of its parts.
    pub const fn new(number: u64, epoch: u64, segment: u32, used: usize, crc: u32) -> Self {
        debug_assert!(used < 1 << USED_BITS && epoch <= EPOCH_MAX);
        Mark { number, epoch_and_used: epoch << USED_BITS | used as u64, segment, crc }
    }

    /// Returns the mark of a lane that has no records in this epoch.
    pub fn start(identity: &Identity, number: u64, epoch: u64) -> Self {
        Mark::new(number, epoch, 0, 0, identity.segment_seed(epoch, 0).value())
    }

    /// Returns the mark of the next commit if it has no records of its own.
    pub const fn next(self) -> Self {
        Mark { number: self.number + 1, ..self }
    }

    /// Returns how often the state had been reset.
    pub const fn epoch(&self) -> u64 {
        self.epoch_and_used >> USED_BITS
    }

    /// Returns the bytes used in the open segment.
    pub const fn used(&self) -> usize {
        (self.epoch_and_used & ((1 << USED_BITS) - 1)) as usize
    }

    /// Returns where the records end in the lane's file.
    pub const fn end(&self) -> u64 {
        layout::segment_at(self.segment) + self.used() as u64
    }

    /// Returns the mark as three numbers, for a place that holds atomic words.
    pub const fn to_words(self) -> [u64; 3] {
        [self.number, self.epoch_and_used, (self.segment as u64) << 32 | self.crc as u64]
    }

    /// Returns the mark that [`to_words`](Self::to_words) made these of.
    pub const fn from_words(words: [u64; 3]) -> Self {
        let [number, epoch_and_used, rest] = words;
        Mark { number, epoch_and_used, segment: (rest >> 32) as u32, crc: rest as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_three_words() {
        let identity = Identity { instance: [9; 16], lane: 3 };
        for mark in [
            Mark::start(&identity, 1, 0),
            Mark::new(u64::MAX, EPOCH_MAX, u32::MAX, PAYLOAD_BYTES_MAX, u32::MAX),
            Mark::new(70, 2, 5, 123, 0xdead_beef),
        ] {
            assert_eq!(Mark::from_words(mark.to_words()), mark);
            assert_eq!(mark.end(), layout::segment_at(mark.segment) + mark.used() as u64);
        }
        let mark = Mark::new(70, 2, 5, 123, 4);
        assert_eq!((mark.epoch(), mark.used()), (2, 123));
    }
}
