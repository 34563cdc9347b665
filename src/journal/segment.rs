//! The stream of records: segments of 64 KiB that can each be checked without the others.
//!
//! ```text
//! segment   record … record │ zeros │ used: 4 bytes │ checksum: 4 bytes
//! record    length: 2 bytes │ bytes
//! ```
//!
//! A record never straddles two segments. A full segment ends in its trailer: how many bytes the
//! records take, and the checksum of those bytes and of their number. The open segment, which is the
//! last one, has no trailer; the slot of a commit holds the same two numbers for it.

use super::crc::Crc;
use super::layout::{
    Identity, PAYLOAD_BYTES_MAX, SEGMENT_BYTES, TRAILER_BYTES, put, segment_at, u32_at,
};
use super::mark::Mark;
use crate::limits::{JOURNAL_BUFFER_BYTES_MAX, JOURNAL_RECORD_BYTES_MAX};

const LENGTH_BYTES: usize = 2;

const _: () = assert!(JOURNAL_RECORD_BYTES_MAX <= u16::MAX as usize);

/// The end of a lane's stream, with the records that are not yet on their way to the file.
pub struct Stream {
    identity: Identity,
    epoch: u64,
    /// Where the last commit ended.
    committed: End,
    /// Where the records gathered since then end.
    staged: End,
    /// Bytes that are not yet written, and where in the file they belong.
    unwritten: Vec<u8>,
    unwritten_at: u64,
}

/// Where the records of an open commit end.
#[derive(Clone, Copy)]
pub struct StagedRecords(End);

#[derive(Clone, Copy)]
struct End {
    segment: u32,
    used: usize,
    crc: Crc,
}

impl End {
    fn at(&self) -> u64 {
        segment_at(self.segment) + self.used as u64
    }
}

impl Stream {
    /// Continues the stream that ends at `mark`.
    pub fn new(identity: Identity, mark: &Mark) -> Stream {
        let end = End { segment: mark.segment, used: mark.used(), crc: Crc::resume(mark.crc) };
        Stream {
            identity,
            epoch: mark.epoch(),
            committed: end,
            staged: end,
            unwritten: Vec::with_capacity(JOURNAL_BUFFER_BYTES_MAX / 8),
            unwritten_at: end.at(),
        }
    }

    /// Begins a stream of this epoch, at the place of the first one; what was staged is gone.
    pub fn restart(&mut self, epoch: u64) {
        self.epoch = epoch;
        let crc = self.identity.segment_seed(epoch, 0);
        self.committed = End { segment: 0, used: 0, crc };
        self.staged = self.committed;
        self.unwritten.clear();
        self.unwritten_at = self.committed.at();
    }

    /// How often the state had been reset when this stream began.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the file must have room up to for a record of this length.
    pub fn end_with(&self, record_bytes: usize) -> u64 {
        let used = LENGTH_BYTES + record_bytes;
        if self.staged.used + used <= PAYLOAD_BYTES_MAX {
            self.staged.at() + used as u64
        } else {
            segment_at(self.staged.segment + 1) + used as u64
        }
    }

    /// Adds a record; ends the open segment first if the record does not fit.
    ///
    /// # Panics
    /// With no byte, or more than [`JOURNAL_RECORD_BYTES_MAX`].
    pub fn append(&mut self, record: &[u8]) {
        assert!((1..=JOURNAL_RECORD_BYTES_MAX).contains(&record.len()));
        if self.staged.used + LENGTH_BYTES + record.len() > PAYLOAD_BYTES_MAX {
            self.end_segment();
        }
        let from = self.unwritten.len();
        self.unwritten.extend_from_slice(&(record.len() as u16).to_le_bytes());
        self.unwritten.extend_from_slice(record);
        self.staged.crc = self.staged.crc.extend(&self.unwritten[from..]);
        self.staged.used += LENGTH_BYTES + record.len();
    }

    fn end_segment(&mut self) {
        let End { segment, used, crc } = self.staged;
        self.unwritten.resize(self.unwritten.len() + PAYLOAD_BYTES_MAX - used, 0);
        self.unwritten.extend_from_slice(&trailer(used, crc));
        let segment = segment + 1;
        self.staged =
            End { segment, used: 0, crc: self.identity.segment_seed(self.epoch, segment) };
    }

    /// The bytes to write, and where; empty if there are none.
    pub fn unwritten(&self) -> (&[u8], u64) {
        (&self.unwritten, self.unwritten_at)
    }

    /// Notes that the unwritten bytes have been written.
    pub fn written(&mut self) {
        self.unwritten_at += self.unwritten.len() as u64;
        self.unwritten.clear();
        debug_assert_eq!(self.unwritten_at, self.staged.at());
    }

    /// The mark of a commit of all records so far.
    pub fn mark(&self, number: u64) -> Mark {
        let End { segment, used, crc } = self.staged;
        Mark::new(number, self.epoch, segment, used, crc.value())
    }

    /// Notes that the records so far are committed.
    pub fn committed(&mut self) {
        self.committed = self.staged;
    }

    /// Forgets all records since the last commit.
    pub fn discard(&mut self) {
        self.back_to(StagedRecords(self.committed));
    }

    /// Returns where the records end by now.
    pub fn staged(&self) -> StagedRecords {
        StagedRecords(self.staged)
    }

    /// Forgets all records since `staged`. They may have been written ahead of a commit; then the next
    /// ones are written over them.
    pub fn back_to(&mut self, StagedRecords(end): StagedRecords) {
        self.staged = end;
        match end.at().checked_sub(self.unwritten_at) {
            Some(kept) => self.unwritten.truncate(kept as usize),
            None => {
                self.unwritten.clear();
                self.unwritten_at = end.at();
            }
        }
    }
}

/// Returns the end of a full segment.
pub fn trailer(used: usize, crc: Crc) -> [u8; TRAILER_BYTES] {
    let mut trailer = [0; TRAILER_BYTES];
    let used = (used as u32).to_le_bytes();
    put(&mut trailer, 0, &used);
    put(&mut trailer, 4, &crc.extend(&used).value().to_le_bytes());
    trailer
}

/// Returns the records' bytes of a full segment, or `None` if it is damaged.
pub fn check_full(seed: Crc, segment: &[u8; SEGMENT_BYTES]) -> Option<&[u8]> {
    let used = u32_at(segment, PAYLOAD_BYTES_MAX) as usize;
    let bytes = segment[..PAYLOAD_BYTES_MAX].get(..used)?;
    (trailer(used, seed.extend(bytes)) == segment[PAYLOAD_BYTES_MAX..]).then_some(bytes)
}

/// The records in the bytes of a segment that has been checked.
#[derive(Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Records { bytes }
    }
}

/// The bytes are not a sequence of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Iterator for Records<'a> {
    type Item = Result<&'a [u8], Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let split = self.bytes.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::from(u16::from_le_bytes(*length));
            let fits = (1..=JOURNAL_RECORD_BYTES_MAX).contains(&length);
            rest.split_at_checked(length).filter(|_| fits)
        });
        Some(match split {
            Some((record, rest)) => {
                self.bytes = rest;
                Ok(record)
            }
            None => {
                self.bytes = &[];
                Err(Malformed)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { instance: [1; 16], lane: 2 };

    /// A stream that fills one segment, and what it wrote.
    fn filled() -> (Stream, Vec<u8>, Vec<Vec<u8>>) {
        let mut stream = Stream::new(IDENTITY, &Mark::start(&IDENTITY, 0, 3));
        let mut records = Vec::new();
        while stream.mark(0).segment == 0 {
            let record = vec![records.len() as u8; 1 + records.len() % JOURNAL_RECORD_BYTES_MAX];
            stream.append(&record);
            records.push(record);
        }
        let bytes = stream.unwritten().0.to_vec();
        (stream, bytes, records)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
        Records::new(bytes).map(|record| record.map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn records_come_back_from_full_and_open_segments() {
        let (stream, bytes, mut records) = filled();
        let (full, open) = bytes.split_first_chunk::<SEGMENT_BYTES>().unwrap();
        let mark = stream.mark(1);
        assert_eq!(open.len(), mark.used());
        assert_eq!(IDENTITY.segment_seed(3, 1).extend(open).value(), mark.crc);
        let last = records.pop().unwrap();
        assert_eq!(read(open).unwrap(), [last]);
        let used = check_full(IDENTITY.segment_seed(3, 0), full).unwrap();
        assert_eq!(read(used).unwrap(), records);
        for (epoch, segment) in [(2, 0), (4, 0), (3, 1)] {
            assert_eq!(check_full(IDENTITY.segment_seed(epoch, segment), full), None);
        }
    }

    #[test]
    fn no_flipped_bit_of_a_full_segment_passes() {
        let (_, bytes, _) = filled();
        let full = *bytes.first_chunk::<SEGMENT_BYTES>().unwrap();
        let seed = IDENTITY.segment_seed(3, 0);
        let used = check_full(seed, &full).unwrap().len();
        for bit in (0..used * 8).step_by(509).chain(PAYLOAD_BYTES_MAX * 8..SEGMENT_BYTES * 8) {
            let mut flipped = full;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check_full(seed, &flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn what_is_discarded_leaves_no_trace() {
        let (mut stream, _, _) = filled();
        stream.written();
        stream.committed();
        let before = stream.mark(1);
        stream.append(b"x");
        stream.append(&[7; JOURNAL_RECORD_BYTES_MAX]);
        assert_ne!(stream.mark(1), before);
        stream.discard();
        assert_eq!((stream.mark(1), stream.unwritten()), (before, (&[][..], before.end())));
        stream.restart(9);
        assert_eq!(stream.mark(5), Mark::start(&IDENTITY, 5, 9));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for bytes in [&b"\0"[..], b"\0\0", b"\x01\0", b"\x02\0a", b"\x01\0a\0\0", b"\xff\xffaaa"] {
            assert_eq!(read(bytes), Err(Malformed), "{bytes:x?}");
        }
        let mut long = vec![0; 2 + JOURNAL_RECORD_BYTES_MAX + 1];
        put(&mut long, 0, &(JOURNAL_RECORD_BYTES_MAX as u16 + 1).to_le_bytes());
        assert_eq!(read(&long), Err(Malformed));
        assert_eq!(read(b"\x01\0a\x02\0bc").unwrap(), [&b"a"[..], b"bc"]);
    }
}
