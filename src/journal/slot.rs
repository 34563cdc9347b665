//! A slot: one sector that holds the state of a lane, and which records that state needs.
//!
//! Slots stand in the ring (one for each commit) and in the two checkpoint places. A slot is written in
//! one call from memory that is aligned like the sector: neither the end of the process nor that of
//! the machine leaves a part of it.

use super::crc::Crc;
use super::layout::{COUNT_MAX, PAYLOAD_BYTES_MAX, SECTOR_BYTES, SEGMENT_MAX, put, u32_at, u64_at};
use super::mark::{EPOCH_MAX, Mark};
use crate::limits::{JOURNAL_CELLS_MAX, JOURNAL_STATE_BYTES_MAX};

/// The state of a lane: bytes of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    bytes: [u8; JOURNAL_STATE_BYTES_MAX],
    length: u16,
}

impl State {
    /// What a lane has before its first commit, and after a reset.
    pub const EMPTY: State = State { bytes: [0; JOURNAL_STATE_BYTES_MAX], length: 0 };

    /// Copies `bytes`.
    ///
    /// # Panics
    /// With more than [`JOURNAL_STATE_BYTES_MAX`] bytes.
    pub fn new(bytes: &[u8]) -> State {
        let mut state = State { length: bytes.len() as u16, ..State::EMPTY };
        put(&mut state.bytes, 0, bytes);
        state
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The content of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The commit.
    pub mark: Mark,
    /// The start of the program that wrote it.
    pub incarnation: u64,
    /// The checkpoint's number, or 0 in the ring.
    pub checkpoint: u64,
    /// Cells that the file of cells has room for at least.
    pub cells: u32,
    /// What the caller committed.
    pub state: State,
}

/// What was found in a sector that may hold a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // A handful of them live on the stack.
pub enum Sector {
    /// It was never written.
    Empty,
    /// A slot.
    Slot(Slot),
    /// Neither.
    Damaged,
}

impl Sector {
    /// Returns the slot, if there is one.
    pub fn slot(&self) -> Option<&Slot> {
        match self {
            Sector::Slot(slot) => Some(slot),
            Sector::Empty | Sector::Damaged => None,
        }
    }
}

/// A sector in memory, aligned so that the kernel copies it within one page.
#[derive(Clone)]
#[repr(C, align(512))]
pub struct Block(pub [u8; SECTOR_BYTES]);

const MAGIC: &[u8; 4] = b"slot";
const CRC_AT: usize = 4;
const STATE_LENGTH_AT: usize = 52;
const CELLS_AT: usize = 56;
const STATE_AT: usize = SECTOR_BYTES - JOURNAL_STATE_BYTES_MAX;

const _: () = assert!(STATE_AT >= CELLS_AT + 4);

impl Slot {
    /// Writes the slot into `block`, every byte of it.
    pub fn encode(&self, seed: Crc, block: &mut Block) {
        let Slot { mark, incarnation, checkpoint, cells, state } = self;
        let header = Header { mark: *mark, incarnation: *incarnation, cells: *cells };
        header.encode(seed, *checkpoint, state.bytes(), block);
    }

    /// Reads a sector of a file whose checksums begin with `seed`.
    pub fn decode(seed: Crc, bytes: &[u8; SECTOR_BYTES]) -> Sector {
        if *bytes == [0; SECTOR_BYTES] {
            return Sector::Empty;
        }
        let used = u32_at(bytes, 44) as usize;
        let state_bytes = u32_at(bytes, STATE_LENGTH_AT) as usize;
        let valid = &bytes[..4] == MAGIC
            && u32_at(bytes, CRC_AT) == crc(seed, bytes)
            && used <= PAYLOAD_BYTES_MAX
            && u32_at(bytes, 40) <= SEGMENT_MAX
            // A segment begins with a record.
            && (used > 0 || u32_at(bytes, 40) == 0)
            && u64_at(bytes, 8) > 0
            && [8, 16, 32].iter().all(|&at| u64_at(bytes, at) <= COUNT_MAX)
            && u64_at(bytes, 24) <= EPOCH_MAX / 2
            && u32_at(bytes, CELLS_AT) <= JOURNAL_CELLS_MAX
            && state_bytes <= JOURNAL_STATE_BYTES_MAX;
        if !valid {
            return Sector::Damaged;
        }
        Sector::Slot(Slot {
            mark: Mark::new(
                u64_at(bytes, 8),
                u64_at(bytes, 24),
                u32_at(bytes, 40),
                used,
                u32_at(bytes, 48),
            ),
            incarnation: u64_at(bytes, 16),
            checkpoint: u64_at(bytes, 32),
            cells: u32_at(bytes, CELLS_AT),
            state: State::new(&bytes[STATE_AT..STATE_AT + state_bytes]),
        })
    }
}

/// Makes the checksum of a sector fit what is in it.
#[cfg(any(test, fuzzing))]
pub fn seal(seed: Crc, block: &mut [u8; SECTOR_BYTES]) {
    let crc = crc(seed, block);
    put(block, CRC_AT, &crc.to_le_bytes());
}

/// The content of a slot of the ring without the state, whose bytes lie elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The commit.
    pub mark: Mark,
    /// The start of the program that writes it.
    pub incarnation: u64,
    /// Cells that the file of cells has room for at least.
    pub cells: u32,
}

impl Header {
    /// Writes a slot into `block`, every byte of it; `checkpoint` is 0 in the ring.
    ///
    /// # Panics
    /// With more than [`JOURNAL_STATE_BYTES_MAX`] bytes of state.
    pub fn encode(&self, seed: Crc, checkpoint: u64, state: &[u8], block: &mut Block) {
        let bytes = &mut block.0;
        let mark = &self.mark;
        bytes[..4].copy_from_slice(MAGIC);
        put(bytes, 8, &mark.number.to_le_bytes());
        put(bytes, 16, &self.incarnation.to_le_bytes());
        put(bytes, 24, &mark.epoch().to_le_bytes());
        put(bytes, 32, &checkpoint.to_le_bytes());
        put(bytes, 40, &mark.segment.to_le_bytes());
        put(bytes, 44, &(mark.used() as u32).to_le_bytes());
        put(bytes, 48, &mark.crc.to_le_bytes());
        put(bytes, STATE_LENGTH_AT, &(state.len() as u32).to_le_bytes());
        put(bytes, CELLS_AT, &self.cells.to_le_bytes());
        bytes[CELLS_AT + 4..STATE_AT].fill(0);
        put(bytes, STATE_AT, state);
        bytes[STATE_AT + state.len()..].fill(0);
        let crc = crc(seed, bytes);
        put(bytes, CRC_AT, &crc.to_le_bytes());
    }
}

/// The checksum of a sector but for the four bytes that hold it.
fn crc(seed: Crc, bytes: &[u8; SECTOR_BYTES]) -> u32 {
    seed.extend(&bytes[..CRC_AT]).extend(&bytes[CRC_AT + 4..]).value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::layout::Identity;

    const IDENTITY: Identity = Identity { instance: [9; 16], lane: 3 };

    fn slots() -> [Slot; 3] {
        [
            Slot {
                mark: Mark::start(&IDENTITY, 1, 0),
                incarnation: 1,
                checkpoint: 0,
                cells: 0,
                state: State::EMPTY,
            },
            Slot {
                mark: Mark::new(COUNT_MAX, EPOCH_MAX / 2, SEGMENT_MAX, PAYLOAD_BYTES_MAX, u32::MAX),
                incarnation: COUNT_MAX,
                checkpoint: COUNT_MAX,
                cells: JOURNAL_CELLS_MAX,
                state: State::new(&[0xff; JOURNAL_STATE_BYTES_MAX]),
            },
            Slot {
                mark: Mark::new(70, 2, 5, 123, 0xdead_beef),
                incarnation: 4,
                checkpoint: 12,
                cells: 3,
                state: State::new(b"count 5, sum 2.5"),
            },
        ]
    }

    #[test]
    fn a_slot_comes_back_and_no_flipped_bit_passes() {
        let mut block = Block([0xaa; SECTOR_BYTES]);
        for slot in slots() {
            slot.encode(IDENTITY.seed(), &mut block);
            assert_eq!(Slot::decode(IDENTITY.seed(), &block.0), Sector::Slot(slot));
            for bit in 0..SECTOR_BYTES * 8 {
                let mut flipped = block.0;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Slot::decode(IDENTITY.seed(), &flipped), Sector::Damaged, "bit {bit}");
            }
        }
        assert_eq!(Slot::decode(IDENTITY.seed(), &[0; SECTOR_BYTES]), Sector::Empty);
    }

    #[test]
    fn a_slot_of_another_lane_or_directory_is_none() {
        let mut block = Block([0; SECTOR_BYTES]);
        slots()[2].encode(IDENTITY.seed(), &mut block);
        for other in [Identity { lane: 4, ..IDENTITY }, Identity { instance: [8; 16], ..IDENTITY }]
        {
            assert_eq!(Slot::decode(other.seed(), &block.0), Sector::Damaged);
        }
    }
}
