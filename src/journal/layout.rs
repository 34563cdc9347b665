//! Where everything lies in a lane's file, and the block that each file of a state directory starts with.
//!
//! ```text
//! lane    0        header            one sector, the rest of the page is zero
//!         4 KiB    ring              64 slots, a sector each; slot n in place n mod 64
//!         36 KiB   checkpoint slots  two, a page each; checkpoint c in place c mod 2
//!         64 KiB   stream            segments of 64 KiB
//! ```
//!
//! All numbers are little-endian. docs/durability.md describes every byte. Everything that changes in
//! place is a sector of its own, because a sector is the unit that a disk writes whole or not at all.

use super::crc::Crc;

/// The unit that a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// Slots of a ring.
pub const RING_SLOTS: u64 = 64;
/// Where the ring begins in a lane's file.
pub const RING_AT: u64 = 4_096;
/// Bytes of a ring.
pub const RING_BYTES: usize = RING_SLOTS as usize * SECTOR_BYTES;
/// Where the stream begins in a lane's file.
pub const STREAM_AT: u64 = 64 * 1024;
/// Bytes of a segment.
pub const SEGMENT_BYTES: usize = 64 * 1024;
/// Bytes at the end of a full segment that describe its content.
pub const TRAILER_BYTES: usize = 8;
/// Bytes of a segment that records may take.
pub const PAYLOAD_BYTES_MAX: usize = SEGMENT_BYTES - TRAILER_BYTES;
/// The version of all formats of a state directory.
pub const FORMAT: u32 = 1;

/// Counters above this were never counted up to; adding to them cannot overflow.
pub const COUNT_MAX: u64 = 1 << 62;

/// The last segment that a stream may have: at 128 TiB.
pub const SEGMENT_MAX: u32 = u32::MAX / 2;

/// The name of the file that holds what concerns all lanes.
pub const CONTROL_NAME: &str = "control";
/// The name of the control file while it is being made.
pub const CONTROL_NEW_NAME: &str = "control.new";

/// The random number that all files of one state directory share.
pub type Instance = [u8; 16];

const MAGIC: &[u8; 8] = b"millrace";
const CHECKPOINTS_AT: u64 = RING_AT + RING_BYTES as u64;
const CHECKPOINT_STRIDE: u64 = 4_096;
const HEADER_CRC_AT: usize = 36;

const _: () = assert!(CHECKPOINTS_AT + 2 * CHECKPOINT_STRIDE <= STREAM_AT);

/// Where slot `number` lies.
pub const fn slot_at(number: u64) -> u64 {
    RING_AT + number % RING_SLOTS * SECTOR_BYTES as u64
}

/// Where checkpoint `number` lies.
pub const fn checkpoint_at(number: u64) -> u64 {
    CHECKPOINTS_AT + number % 2 * CHECKPOINT_STRIDE
}

/// Where a segment begins.
pub const fn segment_at(segment: u32) -> u64 {
    STREAM_AT + segment as u64 * SEGMENT_BYTES as u64
}

/// Returns the name of a lane's file.
pub fn lane_name(lane: usize) -> String {
    format!("lane-{lane:04}")
}

/// Returns the name of the file of a lane's cells.
pub fn cells_name(lane: usize) -> String {
    format!("cells-{lane:04}")
}

/// What a file of a state directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The control file.
    Control = 1,
    /// The commits and records of one worker.
    Lane = 2,
    /// The cells of one worker.
    Cells = 3,
}

/// Which lane of which state directory a file is. All checksums of the file begin with it, so that no
/// bytes of another file are ever valid in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The state directory's number.
    pub instance: Instance,
    /// The lane's number; 0 for the control file.
    pub lane: u32,
}

impl Identity {
    /// Returns the beginning of all checksums of this file.
    pub fn seed(&self) -> Crc {
        Crc::new().extend(&self.instance).extend(&self.lane.to_le_bytes())
    }

    /// Returns the beginning of the checksum of a segment's bytes. It differs for every epoch, so
    /// that what was written before a reset is never taken for what was written after it.
    pub fn segment_seed(&self, epoch: u64, segment: u32) -> Crc {
        self.seed().extend(&epoch.to_le_bytes()).extend(&segment.to_le_bytes())
    }

    /// Returns the first sector of a file.
    pub fn header(&self, kind: Kind) -> [u8; SECTOR_BYTES] {
        let mut block = [0; SECTOR_BYTES];
        block[..8].copy_from_slice(MAGIC);
        put(&mut block, 8, &FORMAT.to_le_bytes());
        put(&mut block, 12, &(kind as u32).to_le_bytes());
        put(&mut block, 16, &self.instance);
        put(&mut block, 32, &self.lane.to_le_bytes());
        let crc = Crc::new().extend(&block[..HEADER_CRC_AT]).value();
        put(&mut block, HEADER_CRC_AT, &crc.to_le_bytes());
        block
    }
}

/// What is wrong with the first sector of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It does not begin as our files do.
    Foreign,
    /// A later version of the program wrote it, in this format.
    Newer(u32),
    /// It began as ours, and has been changed.
    Damaged,
    /// It belongs to another lane or another state directory.
    Elsewhere,
}

/// Reads the first sector of a file of this kind.
pub fn read_header(block: &[u8; SECTOR_BYTES], kind: Kind) -> Result<Identity, HeaderError> {
    if &block[..8] != MAGIC {
        return Err(HeaderError::Foreign);
    }
    let format = u32_at(block, 8);
    let intact = Crc::new().extend(&block[..HEADER_CRC_AT]).value() == u32_at(block, HEADER_CRC_AT);
    if format > FORMAT {
        return Err(HeaderError::Newer(format));
    }
    if !intact || format != FORMAT || block[HEADER_CRC_AT + 4..].iter().any(|&byte| byte != 0) {
        return Err(HeaderError::Damaged);
    }
    if u32_at(block, 12) != kind as u32 {
        return Err(HeaderError::Elsewhere);
    }
    let mut instance = Instance::default();
    instance.copy_from_slice(&block[16..32]);
    Ok(Identity { instance, lane: u32_at(block, 32) })
}

/// Returns the four bytes at `at` as a number.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// Returns the eight bytes at `at` as a number.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// Writes `value` at `at`.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { instance: *b"0123456789abcdef", lane: 7 };

    #[test]
    fn a_header_comes_back() {
        let block = IDENTITY.header(Kind::Lane);
        assert_eq!(read_header(&block, Kind::Lane), Ok(IDENTITY));
        assert_eq!(read_header(&block, Kind::Control), Err(HeaderError::Elsewhere));
        assert_eq!(read_header(&[0; SECTOR_BYTES], Kind::Lane), Err(HeaderError::Foreign));
        for bit in 0..SECTOR_BYTES * 8 {
            let mut flipped = block;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read_header(&flipped, Kind::Lane).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_is_told_apart() {
        let mut block = IDENTITY.header(Kind::Lane);
        put(&mut block, 8, &(FORMAT + 1).to_le_bytes());
        assert_eq!(read_header(&block, Kind::Lane), Err(HeaderError::Newer(FORMAT + 1)));
    }

    #[test]
    fn seeds_differ_by_all_that_they_name() {
        let seed = |instance, lane, epoch, segment| {
            Identity { instance: [instance; 16], lane }.segment_seed(epoch, segment)
        };
        let mut all = Vec::new();
        for instance in 0..4 {
            for lane in 0..4 {
                for epoch in 0..4 {
                    all.extend((0..4).map(|segment| seed(instance, lane, epoch, segment).value()));
                }
            }
        }
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
