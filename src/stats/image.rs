//! A [`Cut`] as bytes: for a successor, and for a file. All numbers are little-endian.
//!
//! An image is a list of *blocks*. Each has a checksum of its own, so the reader takes an image in while
//! it arrives, and needs memory for one block only.
//!
//! ```text
//! block
//!  0   1  kind
//!  1   3  zero
//!  4   4  n, the length of the content, at most CONTENT_BYTES_MAX
//!  8   8  the block's number in the image, from 0
//! 16   n  content
//! 16+n 8  checksum of everything before it: SipHash-1-3 with keys of zero
//!
//! kind 1  begin   content: "millrace", version (4 bytes), number of words of a sum (4)
//! kind 2  ids     content: ids, each one byte, its length less one, and its 1 to 256 bytes
//! kind 3  forget  no content: the statistics were reset, all ids before this block are void
//! kind 4  totals  content: resets (8 bytes), events (8), users (8), words of the exact sum (8 each),
//!                 see `Sum::to_words`
//! ```
//!
//! Block 0 begins the image, and totals end it: an image that was cut off has no totals. Ids may come
//! from several cuts, one after another; the totals belong to the last of them. An id may not come
//! twice: the number of users in the totals must be the number of ids.
//!
//! A version is changed when an older reader would misunderstand a newer image. This reader takes
//! version 1 and no other.

use std::sync::atomic::Ordering;

use super::cut::{Counted, Cut};
use super::statistics::Statistics;
use super::sum::{Sum, WORD_COUNT};
use super::users::{self, Keyed, Outcome, Positions, stored_ids};
use crate::limits::IMAGE_IDS_BYTES;

/// Describes what is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged(pub &'static str);

impl std::fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

const MAGIC: &[u8; 8] = b"millrace";
const VERSION: u32 = 1;

const BEGIN: u8 = 1;
const IDS: u8 = 2;
const FORGET: u8 = 3;
const TOTALS: u8 = 4;

/// Bytes of a block before its content.
pub const HEADER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 8;
/// Bytes of a block's content: one page of ids may come on top of [`IMAGE_IDS_BYTES`].
pub const CONTENT_BYTES_MAX: usize = IMAGE_IDS_BYTES + users::PAGE_BYTES;
/// Events that an image may have: no server counts this many, and counting goes on from here.
const EVENTS_MAX: u64 = u64::MAX / 2;
/// Ids that are taken in within one section, so that an instant does not wait long for it.
const IDS_PER_SECTION: usize = 64;

/// Writes an image, block by block.
pub struct Writer {
    blocks: u64,
    /// The cut that was written last, to whose ids later ones are added.
    last: Option<Cut>,
}

impl Writer {
    /// Returns the writer of an image of which nothing is written yet.
    pub fn new() -> Writer {
        Writer { blocks: 0, last: None }
    }

    /// Writes the ids of `cut` that were not written before, and gives each block to `send`.
    /// Returns the number of bytes.
    ///
    /// # Errors
    /// Those of `send`, after which the image is of no use.
    pub fn ids<E>(
        &mut self,
        cut: Cut,
        mut send: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut block = Vec::with_capacity(HEADER_BYTES + CONTENT_BYTES_MAX + CHECKSUM_BYTES);
        let mut sent_bytes = 0;
        let mut close = |kind, block: &mut Vec<u8>, number: &mut u64| {
            close_block(kind, block, number);
            sent_bytes += block.len();
            let sent = send(block);
            open_block(block);
            sent
        };
        open_block(&mut block);
        if self.blocks == 0 {
            write_begin(&mut block);
            close(BEGIN, &mut block, &mut self.blocks)?;
        }
        let after = match &self.last {
            None => Positions::START,
            Some(last) if last.is_of_the_same_set(&cut) => last.ends(),
            Some(_) => {
                close(FORGET, &mut block, &mut self.blocks)?;
                Positions::START
            }
        };
        let mut ids =
            cut.ids(after).expect("an earlier cut of the same set ends within a later one");
        loop {
            let more = ids.next_page(&mut block);
            let content_bytes = block.len() - HEADER_BYTES;
            if content_bytes >= IMAGE_IDS_BYTES || !more && content_bytes > 0 {
                close(IDS, &mut block, &mut self.blocks)?;
            }
            if !more {
                break;
            }
        }
        self.last = Some(cut);
        Ok(sent_bytes)
    }

    /// Writes the ids of `cut` that were not written before, and its totals: the image is complete.
    ///
    /// # Errors
    /// Those of `send`, after which the image is of no use.
    pub fn end<E>(
        mut self,
        cut: Cut,
        mut send: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (total, resets) = (cut.total(), cut.resets());
        self.ids(cut, &mut send)?;
        let mut block = Vec::new();
        open_block(&mut block);
        write_totals(&mut block, &total, resets);
        close_block(TOTALS, &mut block, &mut self.blocks);
        send(&block)
    }
}

impl Default for Writer {
    fn default() -> Self {
        Writer::new()
    }
}

/// Takes an image in, block by block.
pub struct Reader<'s> {
    statistics: &'s Statistics,
    blocks: u64,
    complete: bool,
}

impl<'s> Reader<'s> {
    /// Returns a reader that adds an image to `statistics`, which must be zero. After an error they must
    /// not be used.
    pub fn new(statistics: &'s Statistics) -> Reader<'s> {
        Reader { statistics, blocks: 0, complete: false }
    }

    /// Takes in one whole block. Returns whether the image is complete.
    ///
    /// # Errors
    /// If it is not the next block of an image, or if no memory is left for the ids.
    pub fn take(&mut self, block: &[u8]) -> Result<bool, Damaged> {
        let (kind, content) = open(block, self.blocks)?;
        if self.complete {
            return Err(Damaged("a block follows the end of the image"));
        }
        if (kind == BEGIN) != (self.blocks == 0) {
            return Err(Damaged("an image has one beginning"));
        }
        match kind {
            BEGIN => check_begin(content)?,
            IDS => self.statistics.take_ids(content)?,
            FORGET if content.is_empty() => {
                if !self.statistics.reset() {
                    return Err(Damaged("there is no memory for a reset"));
                }
            }
            TOTALS => {
                self.statistics.take_totals(content)?;
                self.complete = true;
            }
            _ => return Err(Damaged("a block is of no known kind")),
        }
        self.blocks += 1;
        Ok(self.complete)
    }
}

/// Returns the number of bytes of the block that begins with `header`.
///
/// # Errors
/// If this is longer than any block.
pub fn block_bytes(header: &[u8; HEADER_BYTES]) -> Result<usize, Damaged> {
    let length = header[4..8].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    match usize::try_from(length) {
        Ok(length) if length <= CONTENT_BYTES_MAX => Ok(HEADER_BYTES + length + CHECKSUM_BYTES),
        _ => Err(Damaged("a block is too long")),
    }
}

/// Makes room for the header of a new block.
fn open_block(block: &mut Vec<u8>) {
    block.clear();
    block.resize(HEADER_BYTES, 0);
}

/// Fills the header in and appends the checksum.
fn close_block(kind: u8, block: &mut Vec<u8>, number: &mut u64) {
    let length = block.len() - HEADER_BYTES;
    debug_assert!(length <= CONTENT_BYTES_MAX);
    block[0] = kind;
    block[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    block[8..16].copy_from_slice(&number.to_le_bytes());
    let sum = checksum(block);
    block.extend_from_slice(&sum.to_le_bytes());
    *number += 1;
}

/// Returns kind and content of a block that must have this number.
fn open(block: &[u8], number: u64) -> Result<(u8, &[u8]), Damaged> {
    let short = Damaged("a block is cut off");
    let header = block.first_chunk::<HEADER_BYTES>().ok_or(short)?;
    if block_bytes(header)? != block.len() {
        return Err(short);
    }
    let (checked, sum) = block.split_last_chunk::<CHECKSUM_BYTES>().ok_or(short)?;
    if checksum(checked) != u64::from_le_bytes(*sum) {
        return Err(Damaged("the checksum of a block is wrong"));
    }
    if header[1..4] != [0; 3] || header[8..] != number.to_le_bytes() {
        return Err(Damaged("a block is not the next one"));
    }
    Ok((header[0], &checked[HEADER_BYTES..]))
}

fn checksum(bytes: &[u8]) -> u64 {
    Keyed::new([0, 0]).hash(bytes)
}

fn write_begin(block: &mut Vec<u8>) {
    block.extend_from_slice(MAGIC);
    block.extend_from_slice(&VERSION.to_le_bytes());
    block.extend_from_slice(&(WORD_COUNT as u32).to_le_bytes());
}

fn check_begin(content: &[u8]) -> Result<(), Damaged> {
    let mut expected = Vec::new();
    write_begin(&mut expected);
    if content == expected {
        return Ok(());
    }
    let is_ours = content.starts_with(MAGIC);
    Err(Damaged(if is_ours { "the image has another version" } else { "this is no image" }))
}

fn write_totals(block: &mut Vec<u8>, total: &Counted, resets: u64) {
    let sum = total.sum.to_words().map(i64::cast_unsigned);
    for word in [resets, total.events, total.users].into_iter().chain(sum) {
        block.extend_from_slice(&word.to_le_bytes());
    }
}

impl Statistics {
    /// Takes in ids, also beyond the limit of users. The limit applies to later users.
    fn take_ids(&self, ids: &[u8]) -> Result<(), Damaged> {
        let mut ids = stored_ids(ids).peekable();
        while ids.peek().is_some() {
            self.with_extra(|totals, users| {
                for id in ids.by_ref().take(IDS_PER_SECTION) {
                    let id = id.ok_or(Damaged("an id is cut off"))?;
                    match users.insert_carried(self.hash.hash(id), id) {
                        Outcome::New => totals.users += 1,
                        Outcome::Known => return Err(Damaged("an id comes twice")),
                        Outcome::Refused(_) => {
                            return Err(Damaged("no memory is left for the ids"));
                        }
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Takes in the totals, after all ids.
    fn take_totals(&self, content: &[u8]) -> Result<(), Damaged> {
        let (words, rest) = content.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let ([resets, events, users, sum @ ..], []) = (&words[..], rest) else {
            return Err(Damaged("totals are of another length"));
        };
        let sum = <[u64; WORD_COUNT]>::try_from(sum).map(|sum| sum.map(u64::cast_signed));
        let sum = sum.ok().as_ref().and_then(Sum::of_words).ok_or(Damaged("the sum is none"))?;
        self.with_extra(|totals, _| {
            if totals.users != *users {
                return Err(Damaged("the number of users is not the number of ids"));
            }
            if events < users || *events > EVENTS_MAX {
                return Err(Damaged("the number of events is none"));
            }
            totals.events += events;
            totals.sum.merge(&sum);
            Ok(())
        })?;
        self.resets.store(*resets, Ordering::Relaxed);
        Ok(())
    }
}

/// For fuzzing and property tests: no input makes the reader panic or allocate much, and statistics
/// of which an image was made are the same after it was taken in. Returns whether the input made a
/// complete image.
#[cfg(any(test, fuzzing))]
pub fn fuzz(input: &[u8]) -> bool {
    let statistics = || Statistics::new(1, [1, 2], None);
    // As it is: blocks one after another.
    let (target, mut rest) = (statistics(), input);
    let mut reader = Reader::new(&target);
    while let Some(header) = rest.first_chunk() {
        let Some((block, others)) =
            block_bytes(header).ok().and_then(|length| rest.split_at_checked(length))
        else {
            break;
        };
        if reader.take(block).is_err() {
            break;
        }
        rest = others;
    }
    // As contents, each of a kind and a length that the input gives, with the checksum they need.
    let target = statistics();
    let (mut reader, mut number, mut rest) = (Reader::new(&target), 0, input);
    let mut complete = Ok(false);
    let mut block = Vec::new();
    open_block(&mut block);
    write_begin(&mut block);
    close_block(BEGIN, &mut block, &mut number);
    assert_eq!(reader.take(&block), Ok(false));
    while let Some((&[kind, length], others)) = rest.split_first_chunk() {
        let (content, others) = others.split_at(others.len().min(usize::from(length) * 4));
        open_block(&mut block);
        block.extend_from_slice(content);
        close_block(kind % 6, &mut block, &mut number);
        complete = reader.take(&block);
        if complete != Ok(false) {
            break;
        }
        rest = others;
    }
    if complete == Ok(true) {
        let other = statistics();
        let mut reader = Reader::new(&other);
        let end = Writer::new().end(target.cut(), |block| reader.take(block).map(drop));
        assert_eq!(end, Ok(()));
        let statistics = |statistics: &Statistics| {
            let snapshot = statistics.snapshot();
            (snapshot.events, snapshot.users, snapshot.sum)
        };
        assert_eq!(statistics(&other), statistics(&target));
        assert_eq!(other.cut().resets(), target.cut().resets());
    }
    complete == Ok(true)
}

#[cfg(all(test, not(loom)))]
mod tests;
