//! What a power loss can leave of a history of calls.

use std::collections::BTreeMap;

use super::image::{Call, Image, Naming};
use crate::journal::layout::SECTOR_BYTES;

/// What is durable, and what may or may not have become so.
pub struct Pending {
    durable: Image,
    /// For each file and sector, the contents it had since the last sync.
    sectors: BTreeMap<(usize, usize), Vec<[u8; SECTOR_BYTES]>>,
    /// For each file that has grown since the last sync, its length.
    lengths: BTreeMap<usize, usize>,
    namings: Vec<Naming>,
}

impl Pending {
    /// Follows the calls from the first contents on.
    pub fn after(first: &Image, calls: &[Call]) -> Pending {
        let mut now = first.clone();
        let mut pending = Pending {
            durable: first.clone(),
            sectors: BTreeMap::new(),
            lengths: BTreeMap::new(),
            namings: Vec::new(),
        };
        for call in calls {
            match call {
                Call::Write { file, at, bytes } => pending.write(&mut now, *file, *at, bytes),
                Call::Sync { file } => {
                    pending.sectors.retain(|(of, _), _| of != file);
                    pending.lengths.remove(file);
                    *pending.durable.files_up_to(*file) = now.files_up_to(*file).clone();
                }
                Call::Name(naming) => {
                    now.name(naming);
                    pending.durable.files.resize(now.files.len(), Vec::new());
                    pending.namings.push(naming.clone());
                }
                // A name in a directory that is lost is lost with it.
                Call::Make => now.apply(call),
                Call::SyncNames => {
                    pending.durable.names.get_or_insert_default();
                    for naming in pending.namings.drain(..) {
                        pending.durable.name(&naming);
                    }
                }
            }
        }
        pending
    }

    fn write(&mut self, now: &mut Image, file: usize, at: usize, bytes: &[u8]) {
        let numbers = at / SECTOR_BYTES..(at + bytes.len()).div_ceil(SECTOR_BYTES);
        let length = now.files_up_to(file).len();
        let before: Vec<_> =
            numbers.clone().map(|number| sector(&now.files[file], number)).collect();
        now.write(file, at, bytes);
        let after = &now.files[file];
        if after.len() > length {
            self.lengths.insert(file, after.len());
        }
        for (number, before) in numbers.zip(before) {
            let content = sector(after, number);
            if content != before {
                self.sectors.entry((file, number)).or_default().push(content);
            }
        }
    }

    /// For each sector, length and name that is not durable, the number of its possible contents.
    pub fn choices(&self) -> Vec<usize> {
        let sectors = self.sectors.values().map(|contents| contents.len() + 1);
        let others = self.lengths.len() + self.namings.len();
        sectors.chain(std::iter::repeat_n(2, others)).collect()
    }

    /// Returns the contents that one choice leaves.
    pub fn image(&self, choice: &[usize]) -> Image {
        let mut image = self.durable.clone();
        let mut choice = choice.iter();
        let mut next = || *choice.next().expect("one for each place");
        for ((file, number), contents) in &self.sectors {
            if let Some(content) = next().checked_sub(1) {
                // The last sector of a file may be shorter.
                let length = self.lengths.get(file).copied();
                let length = length.unwrap_or(image.files[*file].len());
                let at = number * SECTOR_BYTES;
                let count = SECTOR_BYTES.min(length - at);
                image.write(*file, at, &contents[content][..count]);
            }
        }
        for (file, length) in &self.lengths {
            let length = if next() == 1 { *length } else { 0 };
            let file = image.files_up_to(*file);
            file.resize(file.len().max(length), 0);
        }
        for naming in &self.namings {
            if next() == 1 {
                image.name(naming);
            }
        }
        image
    }
}

/// A sector's content; zeros beyond the end.
fn sector(file: &[u8], number: usize) -> [u8; SECTOR_BYTES] {
    let mut sector = [0; SECTOR_BYTES];
    let bytes = file.get(number * SECTOR_BYTES..).unwrap_or_default();
    let count = bytes.len().min(SECTOR_BYTES);
    sector[..count].copy_from_slice(&bytes[..count]);
    sector
}

/// Returns every way to choose one of the given number of contents at each place.
pub fn every(choices: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let total: usize = choices.iter().product();
    (0..total).map(|mut number| {
        let digit = |&count: &usize| {
            let digit = number % count;
            number /= count;
            digit
        };
        choices.iter().map(digit).collect()
    })
}

/// Numbers that look random and are the same in every run (xorshift).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}
