//! The cells of a lane: their file, and which versions must stay.
//!
//! ```text
//! cells   0        header    one sector, the rest of the page is zero
//!         4 KiB    cells     a sector each
//! ```
//!
//! A commit writes its cells before its slot. With `Fsync::Always` it syncs them before it writes the slot,
//! because the two files reach the disk in no order: a slot must not be there without its cells.
//!
//! A lane writes over no version that a crash may need ([`Reach`]). A start voids the versions of commits
//! that it does not go on with, as the numbers of those commits are used again.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cell::{Cell, CellValue, Numbers, VERSION_BYTES, Version, place_for};
use super::control::Control;
use super::crc::Crc;
use super::layout::{
    HeaderError, Identity, Kind, SECTOR_BYTES, SEGMENT_BYTES, cells_name, put, read_header,
};
use super::mark::Mark;
use super::refusal::{Damage, Unusable};
use super::shared::JournalMeters;
use super::space::write_zeros;
use super::storage::{File, Storage};
use crate::limits::JOURNAL_CELLS_MAX;

/// Where the first cell lies.
const CELLS_AT: u64 = 4_096;

/// The open file of a lane's cells.
#[derive(Clone, Debug)]
pub struct CellFile {
    file: Arc<dyn File>,
    identity: Identity,
}

/// Which commits of a lane may have to be gone back to, and whether cells wait for a sync.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The commit of the last checkpoint that is on disk.
    pub durable: u64,
    /// That of the checkpoint under way, or the same.
    pub pending: u64,
    /// Cells that the file has room for at least.
    pub cells: u32,
    /// Whether cells were written since the last sync of their file.
    pub unsynced: bool,
}

/// The cells of a lane, as the lane and the thread that makes checkpoints share them.
#[derive(Clone)]
pub struct Cells {
    file: CellFile,
    reach: Arc<Mutex<Reach>>,
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.file.fmt(f)
    }
}

/// Which commits have a version of which cell, in the present epoch. The lane keeps it in memory, so that
/// a worker never reads its files.
#[derive(Debug, Default)]
pub struct Versions {
    numbers: Vec<Numbers>,
    /// Cells that the file has had, also before a reset.
    cells: u32,
}

impl Versions {
    /// Returns the number of cells that the file has room for at least.
    pub fn cells(&self) -> u32 {
        self.cells
    }

    /// Forgets all, as after a reset.
    pub fn clear(&mut self) {
        self.numbers.clear();
    }

    fn of(&mut self, index: u32) -> &mut Numbers {
        self.cells = self.cells.max(index + 1);
        let index = index as usize;
        if self.numbers.len() <= index {
            self.numbers.resize(index + 1, Numbers::default());
        }
        &mut self.numbers[index]
    }
}

/// What is wrong with a cell, or the failure to read it.
#[derive(Debug)]
pub struct Failure {
    /// The place in the file.
    pub offset: u64,
    /// What is wrong, or the failed call.
    pub error: Result<&'static str, io::Error>,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure { offset: 0, error: Err(error) }
    }
}

impl Failure {
    /// Returns the refusal that reports this of the file `name`.
    pub fn refusal(self, storage: &dyn Storage, name: &str) -> Unusable {
        let path = storage.path(name);
        match self.error {
            Ok(what) => Damage { path, offset: self.offset, what }.into(),
            Err(error) => Unusable::of(path, "use", error),
        }
    }
}

/// Where a cell lies in its file.
pub const fn cell_at(index: u32) -> u64 {
    CELLS_AT + index as u64 * SECTOR_BYTES as u64
}

impl CellFile {
    /// Makes the file of a lane, with room for some cells. It may be there, from a start that did not
    /// get as far as serving.
    ///
    /// # Errors
    /// A failed write or sync.
    pub fn make(file: Arc<dyn File>, identity: Identity) -> io::Result<CellFile> {
        let mut first = vec![0; SEGMENT_BYTES];
        put(&mut first, 0, &identity.header(Kind::Cells));
        file.write_at(&first, 0)?;
        // What an interrupted start or a salvage has left behind does not count, but it must not be read.
        let end = file.bytes()?.next_multiple_of(SEGMENT_BYTES as u64);
        write_zeros(&*file, SEGMENT_BYTES as u64, end).map_err(|(_, error)| error)?;
        file.sync()?;
        Ok(CellFile { file, identity })
    }

    /// Takes a file that must be that of a lane.
    ///
    /// # Errors
    /// If it is not.
    pub fn open(
        file: Arc<dyn File>,
        control: &Control,
        lane: usize,
        storage: &dyn Storage,
    ) -> Result<CellFile, Unusable> {
        let name = cells_name(lane);
        let path = || storage.path(&name);
        let damage = |what| Unusable::from(Damage { path: path(), offset: 0, what });
        let mut block = [0; SECTOR_BYTES];
        file.read_at(&mut block, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damage("the file is too short"),
            _ => Unusable::of(path(), "read", error),
        })?;
        let identity = Identity { instance: control.instance, lane: lane as u32 };
        match read_header(&block, Kind::Cells) {
            Ok(found) if found == identity => Ok(CellFile { file, identity }),
            Ok(_) | Err(HeaderError::Elsewhere) => {
                Err(damage("the file belongs to another lane or another state directory"))
            }
            Err(HeaderError::Newer(format)) => Err(Unusable::Newer { path: path(), format }),
            Err(HeaderError::Foreign) => Err(damage("this is not a file of millrace")),
            Err(HeaderError::Damaged) => Err(damage("the header's checksum does not fit")),
        }
    }

    /// Takes a file without asking what it is; for salvage.
    pub fn unchecked(file: Arc<dyn File>, identity: Identity) -> CellFile {
        CellFile { file, identity }
    }

    /// Returns the open file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    fn seed(&self, index: u32) -> Crc {
        seed(&self.identity, index)
    }

    /// Writes a version of a cell.
    ///
    /// # Errors
    /// A failed write.
    pub fn write(&self, index: u32, place: usize, version: &Version) -> io::Result<()> {
        self.put(index, place, &version.encode(self.seed(index)))
    }

    fn put(&self, index: u32, place: usize, bytes: &[u8; VERSION_BYTES]) -> io::Result<()> {
        self.file.write_at(bytes, cell_at(index) + (place * VERSION_BYTES) as u64)
    }

    /// Calls `each` for all cells that were ever written.
    ///
    /// # Errors
    /// That of `each`, or a failed read.
    pub fn scan<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(u32, &Cell) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.file.bytes()?;
        let mut bytes = vec![0; SEGMENT_BYTES];
        let mut index = 0;
        while cell_at(index + 1) <= end && index < JOURNAL_CELLS_MAX {
            let there = (end - cell_at(index)) as usize / SECTOR_BYTES * SECTOR_BYTES;
            let bytes = &mut bytes[..there.min(SEGMENT_BYTES)];
            self.file.read_at(bytes, cell_at(index))?;
            for sector in bytes.as_chunks::<SECTOR_BYTES>().0 {
                if *sector != [0; SECTOR_BYTES] {
                    each(index, &Cell::read(self.seed(index), sector))?;
                }
                index += 1;
            }
        }
        Ok(())
    }

    /// Checks that the file has room for this number of cells.
    ///
    /// # Errors
    /// If it has not, or a failed call.
    pub fn check_length(&self, cells: u32) -> Result<(), Failure> {
        let offset = self.file.bytes()?;
        match offset < cell_at(cells) {
            true => Err(Failure { offset, error: Ok("the file ends too early") }),
            false => Ok(()),
        }
    }

    /// Calls `visit` for the value of each cell at a commit.
    ///
    /// # Errors
    /// The first damage, or a failed read.
    pub fn visit(&self, mark: &Mark, mut visit: impl FnMut(u32, &[u8])) -> Result<(), Failure> {
        self.scan(|index, cell| {
            check(index, cell)?;
            if let Some(version) = cell.at(mark.epoch(), mark.number) {
                visit(index, version.value.bytes());
            }
            Ok(())
        })
    }

    /// Writes again what may not be on disk: the cells with a version after the commit `durable`.
    ///
    /// # Errors
    /// The first damage, or a failed call.
    pub fn rewrite(&self, durable: &Mark) -> Result<(), Failure> {
        self.scan(|index, cell| {
            check(index, cell)?;
            if cell.after(durable.epoch(), durable.number).next().is_some() {
                let mut sector = [0; SECTOR_BYTES];
                self.file.read_at(&mut sector, cell_at(index))?;
                self.file.write_at(&sector, cell_at(index))?;
            }
            Ok::<_, Failure>(())
        })?;
        Ok(self.file.sync()?)
    }

    /// Voids the versions of commits after `mark`, and makes that durable. Returns the others, and where
    /// the room for cells ends. There is room for `cells` at least.
    ///
    /// # Errors
    /// The first damage, or a failed call.
    pub fn void_after(&self, mark: &Mark, cells: u32) -> Result<(Versions, u64), Failure> {
        let mut later = Vec::new();
        let mut versions = Versions { numbers: Vec::new(), cells };
        self.scan(|index, cell| {
            check(index, cell)?;
            *versions.of(index) = cell.numbers(mark.epoch());
            for place in cell.after(mark.epoch(), mark.number) {
                later.push((index, place));
                versions.of(index)[place] = 0;
            }
            Ok::<_, Failure>(())
        })?;
        for (index, place) in later {
            self.put(index, place, &[0; VERSION_BYTES])?;
        }
        // A growth that was interrupted is done again from the last whole piece on.
        let length = self.file.bytes()?;
        let room = length - length % SEGMENT_BYTES as u64;
        if room == 0 {
            let from = length - length % SECTOR_BYTES as u64;
            write_zeros(&*self.file, from, SEGMENT_BYTES as u64).map_err(|(_, error)| error)?;
        }
        self.file.sync()?;
        Ok((versions, room.max(SEGMENT_BYTES as u64)))
    }
}

/// Returns the beginning of the checksums of a cell.
fn seed(identity: &Identity, index: u32) -> Crc {
    identity.seed().extend(b"cell").extend(&index.to_le_bytes())
}

/// Makes the checksum of the version at this place fit what is in it.
#[cfg(any(test, fuzzing))]
pub fn seal(identity: &Identity, file: &mut [u8], at: usize) {
    let Some(index) = at.checked_sub(CELLS_AT as usize).map(|at| at / SECTOR_BYTES) else { return };
    let from = at / VERSION_BYTES * VERSION_BYTES;
    if let Some(version) = file.get_mut(from..from + VERSION_BYTES) {
        let crc = seed(identity, index as u32).extend(&version[4..]).value();
        put(version, 0, &crc.to_le_bytes());
    }
}

fn check(index: u32, cell: &Cell) -> Result<(), Failure> {
    match cell.damaged() {
        None => Ok(()),
        Some(place) => Err(Failure {
            offset: cell_at(index) + (place * VERSION_BYTES) as u64,
            error: Ok("this cell's checksum does not fit"),
        }),
    }
}

impl Cells {
    /// Shares a file whose newest commit is `number`, which is also on disk as a checkpoint.
    pub fn new(file: CellFile, number: u64, cells: u32) -> Cells {
        let reach = Reach { durable: number, pending: number, cells, unsynced: false };
        Cells { file, reach: Arc::new(Mutex::new(reach)) }
    }

    /// Returns the file.
    pub fn file(&self) -> &CellFile {
        &self.file
    }

    /// Returns which commits may have to be gone back to. While the caller holds it, no cell of this
    /// lane is written.
    pub fn reach(&self) -> MutexGuard<'_, Reach> {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes cells as part of the commit that `mark` is to be.
    ///
    /// # Errors
    /// A failed call.
    pub fn write(
        &self,
        mark: &Mark,
        values: &[(u32, CellValue)],
        versions: &mut Versions,
    ) -> io::Result<()> {
        let mut reach = self.reach();
        reach.unsynced = true;
        let (epoch, number) = (mark.epoch(), mark.number);
        let needed = [number - 1, reach.durable, reach.pending];
        for (index, value) in values {
            let numbers = versions.of(*index);
            let place = place_for(numbers, number, needed);
            self.file.write(*index, place, &Version { number, epoch, value: *value })?;
            numbers[place] = number;
        }
        reach.cells = versions.cells();
        Ok(())
    }

    /// Makes all cells that were written durable.
    ///
    /// # Errors
    /// A failed sync.
    pub fn sync(&self, meters: &JournalMeters) -> io::Result<()> {
        let unsynced = std::mem::take(&mut self.reach().unsynced);
        if unsynced { meters.sync(&**self.file.file()) } else { Ok(()) }
    }
}
