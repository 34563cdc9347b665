//! Reads all records, on several threads: each takes the next stretch of segments, checks it and hands
//! the records over. No segment needs another one to be checked.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::layout::{Identity, PAYLOAD_BYTES_MAX, SEGMENT_BYTES, segment_at};
use super::mark::Mark;
use super::segment::{Records, check_full};
use super::storage::File;

/// The records of one lane.
#[derive(Clone, Copy)]
pub struct Stretch<'a> {
    /// The lane's file.
    pub file: &'a dyn File,
    /// Which lane it is.
    pub identity: Identity,
    /// Where the records end.
    pub mark: Mark,
}

/// How far a visit has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadProgress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes to be read in all.
    pub bytes_total: u64,
    /// Records visited.
    pub records: u64,
}

/// What a visit came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Records visited.
    pub records: u64,
    /// Bytes that they take in the files, with what belongs to them.
    pub bytes: u64,
}

/// Why a visit ended early.
#[derive(Debug)]
pub struct Failure {
    /// The lane.
    pub lane: u32,
    /// The segment's place in its file.
    pub offset: u64,
    /// What is wrong with the segment, or the failure to read it.
    pub error: Result<&'static str, io::Error>,
}

/// Segments that a thread reads at once.
const CHUNK_SEGMENTS: u32 = 16;

/// Some segments of one lane, one after the other.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    stretch: Stretch<'a>,
    first: u32,
    count: u32,
}

/// Calls `visit` for all records, on this thread and `threads - 1` others. Calls `progress` on this
/// thread now and then, and returns `None` if `progress` ends the visit.
///
/// # Errors
/// The first failure of any of them.
pub fn visit(
    stretches: &[Stretch<'_>],
    threads: usize,
    visit: impl Fn(&[u8]) + Sync,
    mut progress: impl FnMut(ReadProgress) -> ControlFlow<()>,
) -> Result<Option<Visited>, Failure> {
    for stretch in stretches {
        check_length(stretch)?;
    }
    let chunks = chunks(stretches);
    let bytes_total = stretches.iter().map(bytes).sum();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (read, records) = (AtomicU64::new(0), AtomicU64::new(0));
    let failure = Mutex::new(None);
    let ended_early = AtomicBool::new(false);
    let run = |mut after: Option<&mut dyn FnMut(ReadProgress) -> ControlFlow<()>>| {
        let mut room = vec![0; CHUNK_SEGMENTS as usize * SEGMENT_BYTES];
        while let Some(chunk) = chunks.get(next.fetch_add(1, Relaxed)) {
            if stop.load(Relaxed) {
                return;
            }
            match chunk.visit(&mut room, &mut |record: &[u8]| visit(record)) {
                Ok(count) => {
                    let records = records.fetch_add(count, Relaxed) + count;
                    let bytes = chunk.bytes();
                    let bytes = read.fetch_add(bytes, Relaxed) + bytes;
                    if let Some(after) = &mut after
                        && after(ReadProgress { bytes, bytes_total, records }).is_break()
                    {
                        ended_early.store(true, Relaxed);
                        stop.store(true, Relaxed);
                    }
                }
                Err(found) => {
                    stop.store(true, Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(found);
                }
            }
        }
    };
    let others = threads.saturating_sub(1).min(chunks.len().saturating_sub(1));
    thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|| run(None));
        }
        run(Some(&mut progress));
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None if ended_early.into_inner() => Ok(None),
        None => Ok(Some(Visited { records: records.into_inner(), bytes: read.into_inner() })),
    }
}

/// Checks the segments of a lane from `from` on.
///
/// # Errors
/// The first one that is damaged, or a failed read.
pub fn check_from(stretch: Stretch<'_>, from: u32) -> Result<(), Failure> {
    (from..=stretch.mark.segment).try_for_each(|segment| check_one(stretch, segment))
}

/// Checks one segment of a lane.
///
/// # Errors
/// If it is damaged, or a failed read.
pub fn check_one(stretch: Stretch<'_>, segment: u32) -> Result<(), Failure> {
    read_one(stretch, segment, |_| {})
}

/// Checks one segment of a lane and calls `visit` for its records, on this thread.
///
/// # Errors
/// If it is damaged, or a failed read.
pub fn read_one(
    stretch: Stretch<'_>,
    segment: u32,
    mut visit: impl FnMut(&[u8]),
) -> Result<(), Failure> {
    let chunk = Chunk { stretch, first: segment, count: 1 };
    chunk.visit(&mut vec![0; SEGMENT_BYTES], &mut visit).map(drop)
}

fn bytes(stretch: &Stretch<'_>) -> u64 {
    u64::from(stretch.mark.segment) * SEGMENT_BYTES as u64 + stretch.mark.used() as u64
}

/// Checks that the file is as long as the mark demands, before anything is made of that size.
fn check_length(stretch: &Stretch<'_>) -> Result<(), Failure> {
    let failure = |offset, error| Failure { lane: stretch.identity.lane, offset, error };
    let there = stretch.file.bytes().map_err(|error| failure(0, Err(error)))?;
    match there < stretch.mark.end() && bytes(stretch) > 0 {
        true => Err(failure(there, Ok("the file ends too early"))),
        false => Ok(()),
    }
}

fn chunks<'a>(stretches: &[Stretch<'a>]) -> Vec<Chunk<'a>> {
    let mut chunks = Vec::new();
    for stretch in stretches.iter().filter(|stretch| bytes(stretch) > 0) {
        let end = stretch.mark.segment + 1;
        for first in (0..end).step_by(CHUNK_SEGMENTS as usize) {
            let count = CHUNK_SEGMENTS.min(end - first);
            chunks.push(Chunk { stretch: *stretch, first, count });
        }
    }
    chunks
}

impl Chunk<'_> {
    /// Bytes of records and what belongs to them.
    fn bytes(&self) -> u64 {
        let mark = &self.stretch.mark;
        let end = self.first + self.count;
        let open = if end > mark.segment { SEGMENT_BYTES - mark.used() } else { 0 };
        u64::from(self.count) * SEGMENT_BYTES as u64 - open as u64
    }

    /// Reads and checks the segments; returns the number of records.
    fn visit(&self, room: &mut [u8], visit: &mut impl FnMut(&[u8])) -> Result<u64, Failure> {
        let Stretch { file, identity, mark } = self.stretch;
        let bytes = &mut room[..self.bytes() as usize];
        let failure =
            |segment, error| Failure { lane: identity.lane, offset: segment_at(segment), error };
        file.read_at(bytes, segment_at(self.first)).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure {
                offset: file.bytes().unwrap_or_default(),
                ..failure(self.first, Ok("the file ends too early"))
            },
            _ => failure(self.first, Err(error)),
        })?;
        let mut records = 0;
        for segment in self.first..self.first + self.count {
            // The open segment may be empty.
            let from = (segment - self.first) as usize * SEGMENT_BYTES;
            let bytes = &bytes[from..bytes.len().min(from + SEGMENT_BYTES)];
            let seed = identity.segment_seed(mark.epoch(), segment);
            let used = if segment < mark.segment {
                bytes.first_chunk().and_then(|bytes| check_full(seed, bytes))
            } else {
                (seed.extend(bytes).value() == mark.crc).then_some(bytes)
            };
            let used =
                used.ok_or_else(|| failure(segment, Ok("this segment's checksum does not fit")))?;
            for record in Records::new(used) {
                let record = record.map_err(|_| {
                    failure(segment, Ok("this segment does not consist of records"))
                })?;
                visit(record);
                records += 1;
            }
        }
        Ok(records)
    }
}

const _: () = assert!(PAYLOAD_BYTES_MAX < SEGMENT_BYTES);
