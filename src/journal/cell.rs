//! A cell: a small value that is replaced in place, as part of a commit.
//!
//! A cell is one sector with four versions of 128 bytes. Each version names the commit that makes it
//! valid, so a commit that was cut short has changed nothing: of each cell the newest version counts whose
//! commit is not after the one that was recovered.
//!
//! Which commit that will be is not known while writing. So a new version never goes over one that may
//! still be needed: the newest one that is committed, the one of the last checkpoint on disk, and the one
//! of the checkpoint under way. That leaves one place of four at least.

use super::crc::Crc;
use super::layout::{COUNT_MAX, SECTOR_BYTES, put, u32_at, u64_at};
use super::mark::EPOCH_MAX;
use crate::limits::JOURNAL_CELL_BYTES_MAX;

/// Versions of a cell.
pub const VERSIONS: usize = 4;
/// Bytes of a version.
pub const VERSION_BYTES: usize = SECTOR_BYTES / VERSIONS;

const PAYLOAD_AT: usize = 32;
const _: () = assert!(PAYLOAD_AT + JOURNAL_CELL_BYTES_MAX <= VERSION_BYTES);

/// The value of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellValue {
    bytes: [u8; JOURNAL_CELL_BYTES_MAX],
    length: u8,
}

impl CellValue {
    /// Copies `bytes`.
    ///
    /// # Panics
    /// With more than [`JOURNAL_CELL_BYTES_MAX`] bytes.
    pub fn new(bytes: &[u8]) -> CellValue {
        let mut value = CellValue { bytes: [0; JOURNAL_CELL_BYTES_MAX], length: bytes.len() as u8 };
        put(&mut value.bytes, 0, bytes);
        value
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// One version of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The commit that makes it valid.
    pub number: u64,
    /// How often the state had been reset.
    pub epoch: u64,
    /// The value.
    pub value: CellValue,
}

/// What was found in the place of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It was never written, or is void.
    Empty,
    /// A version.
    Version(Version),
    /// Neither.
    Damaged,
}

impl Version {
    /// Returns the bytes of the version, of the cell that `seed` belongs to.
    pub fn encode(&self, seed: Crc) -> [u8; VERSION_BYTES] {
        let mut bytes = [0; VERSION_BYTES];
        put(&mut bytes, 4, &u32::from(self.value.length).to_le_bytes());
        put(&mut bytes, 8, &self.number.to_le_bytes());
        put(&mut bytes, 16, &self.epoch.to_le_bytes());
        put(&mut bytes, PAYLOAD_AT, &self.value.bytes);
        let crc = seed.extend(&bytes[4..]).value();
        put(&mut bytes, 0, &crc.to_le_bytes());
        bytes
    }

    fn decode(seed: Crc, bytes: &[u8; VERSION_BYTES]) -> Place {
        if *bytes == [0; VERSION_BYTES] {
            return Place::Empty;
        }
        let length = u32_at(bytes, 4) as usize;
        let valid = seed.extend(&bytes[4..]).value() == u32_at(bytes, 0)
            && length <= JOURNAL_CELL_BYTES_MAX
            && (1..=COUNT_MAX).contains(&u64_at(bytes, 8))
            && u64_at(bytes, 16) <= EPOCH_MAX;
        if !valid {
            return Place::Damaged;
        }
        Place::Version(Version {
            number: u64_at(bytes, 8),
            epoch: u64_at(bytes, 16),
            value: CellValue::new(&bytes[PAYLOAD_AT..PAYLOAD_AT + length]),
        })
    }
}

/// The commits that have a version of a cell, by place; 0 where there is none.
pub type Numbers = [u64; VERSIONS];

/// Returns the place for a version of commit `number`. `needed` are the commits that may have to be gone
/// back to: the one before, and those of two checkpoints.
pub fn place_for(versions: &Numbers, number: u64, needed: [u64; VERSIONS - 1]) -> usize {
    if let Some(place) = versions.iter().position(|&version| version == number) {
        return place;
    }
    let newest = |needed: u64| {
        let counting = (0..VERSIONS).filter(|&place| (1..=needed).contains(&versions[place]));
        counting.max_by_key(|&place| versions[place])
    };
    let kept = needed.map(newest);
    let free = (0..VERSIONS).find(|place| !kept.contains(&Some(*place)));
    free.expect("there are more places than commits that are needed")
}

/// The versions of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    places: [Place; VERSIONS],
}

impl Cell {
    /// Reads a cell whose checksums begin with `seed`.
    pub fn read(seed: Crc, sector: &[u8; SECTOR_BYTES]) -> Cell {
        let (places, _) = sector.as_chunks::<VERSION_BYTES>();
        let mut cell = Cell { places: [Place::Empty; VERSIONS] };
        for (place, bytes) in cell.places.iter_mut().zip(places) {
            *place = Version::decode(seed, bytes);
        }
        cell
    }

    /// Returns the first place that is damaged.
    pub fn damaged(&self) -> Option<usize> {
        self.places.iter().position(|place| *place == Place::Damaged)
    }

    /// Returns the version that counts after commit `number`.
    pub fn at(&self, epoch: u64, number: u64) -> Option<&Version> {
        let counts = |version: &&Version| version.epoch == epoch && version.number <= number;
        let versions = self.versions().map(|(_, version)| version);
        versions.filter(counts).max_by_key(|version| version.number)
    }

    /// Returns the places of versions that come after commit `number`.
    pub fn after(&self, epoch: u64, number: u64) -> impl Iterator<Item = usize> {
        let later = move |(_, version): &(usize, &Version)| {
            version.epoch == epoch && version.number > number
        };
        self.versions().filter(later).map(|(place, _)| place)
    }

    /// Returns the numbers of the commits of this epoch that have a version, by place; 0 where there is
    /// none.
    pub fn numbers(&self, epoch: u64) -> Numbers {
        let mut numbers = [0; VERSIONS];
        for (place, version) in self.versions().filter(|(_, version)| version.epoch == epoch) {
            numbers[place] = version.number;
        }
        numbers
    }

    /// Returns the places that hold a version.
    pub fn versions(&self) -> impl Iterator<Item = (usize, &Version)> {
        self.places.iter().enumerate().filter_map(|(place, found)| match found {
            Place::Version(version) => Some((place, version)),
            Place::Empty | Place::Damaged => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Crc = Crc::new();

    fn version(number: u64, epoch: u64) -> Version {
        Version { number, epoch, value: CellValue::new(format!("{number}").as_bytes()) }
    }

    fn cell(versions: &[Version]) -> Cell {
        let mut sector = [0; SECTOR_BYTES];
        for (place, version) in versions.iter().enumerate() {
            put(&mut sector, place * VERSION_BYTES, &version.encode(SEED));
        }
        Cell::read(SEED, &sector)
    }

    #[test]
    fn versions_come_back_and_no_flipped_bit_passes() {
        for version in [
            version(1, 0),
            Version {
                value: CellValue::new(&[0xff; JOURNAL_CELL_BYTES_MAX]),
                ..version(COUNT_MAX, 9)
            },
            Version { value: CellValue::new(b""), ..version(5, EPOCH_MAX) },
        ] {
            let bytes = version.encode(SEED);
            assert_eq!(Version::decode(SEED, &bytes), Place::Version(version));
            for bit in 0..VERSION_BYTES * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Version::decode(SEED, &flipped), Place::Damaged, "bit {bit}");
            }
        }
        assert_eq!(Version::decode(SEED, &[0; VERSION_BYTES]), Place::Empty);
    }

    #[test]
    fn the_version_of_a_commit_is_the_newest_that_is_not_after_it() {
        let cell = cell(&[version(7, 1), version(3, 1), version(9, 0), version(5, 1)]);
        for (epoch, number, expected) in [
            (1, 2, None),
            (1, 3, Some(3)),
            (1, 6, Some(5)),
            (1, 99, Some(7)),
            (0, 99, Some(9)),
            (2, 99, None),
        ] {
            assert_eq!(cell.at(epoch, number).map(|version| version.number), expected);
        }
        assert_eq!(cell.after(1, 4).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn no_version_that_may_be_needed_is_written_over() {
        // Every set of four commits of two epochs, and every three that may be gone back to.
        let numbers = || 1..=5_u64;
        for mut code in 0..10_usize.pow(4) {
            let versions = [(); 4].map(|()| {
                let (number, epoch) = (1 + code as u64 % 5, code as u64 / 5 % 2);
                code /= 10;
                version(number, epoch)
            });
            let cell = cell(&versions);
            for needed in numbers().flat_map(|a| numbers().map(move |b| [5, a, b])) {
                let place = place_for(&cell.numbers(1), 6, needed);
                let lost = cell.places[place];
                for number in needed {
                    let kept = cell.at(1, number).map(|version| version.number);
                    let mut left = cell;
                    left.places[place] = Place::Empty;
                    let after = left.at(1, number).map(|version| version.number);
                    assert_eq!(after, kept, "{lost:?} was needed by {number} in {versions:?}");
                }
            }
        }
        // The same commit again goes over itself.
        let cell = cell(&[version(7, 1), version(3, 1), version(4, 1), version(5, 1)]);
        assert_eq!(place_for(&cell.numbers(1), 7, [6, 3, 4]), 0);
    }
}
