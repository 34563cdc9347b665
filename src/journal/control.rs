//! The control file holds what concerns all lanes. It has two copies, written in turn; the newer one counts.
//!
//! A change is one sector, written over the older copy and synced at once, under a lock. So after a
//! crash either the old or the new state of things is there, and the other copy is the one before it.
//! A copy that does not verify is damage: to go on with the other one could undo a reset.

use std::io;
use std::sync::Arc;

use super::crc::Crc;
use super::layout::{
    self, CONTROL_NAME, COUNT_MAX, HeaderError, Identity, Instance, Kind, SECTOR_BYTES, put,
    u32_at, u64_at,
};
use super::mark::EPOCH_MAX;
use super::refusal::{Damage, Unusable};
use super::slot::Block;
use super::storage::{File, Storage};
use crate::limits::JOURNAL_LANES_MAX;
use crate::sys::files::BootId;

/// What the slots in the lanes' rings are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Every slot and its records are on disk: the program ended cleanly, or a start has made sure.
    Slots,
    /// The slots are right until this boot ends; after it, the disk may lack any of them.
    SlotsUntilReboot(BootId),
    /// Each commit was on disk before the next one began, so a power loss can have torn
    /// only the last one of each lane. Within the same boot, not even that one can be torn.
    SyncedSlots(Option<BootId>),
    /// The slots are worth nothing; the checkpoints are.
    Checkpoints,
}

/// What the slots are worth, here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// All of them are right. With `unsynced`, some may be in memory only. With `torn`, a power loss may
    /// have torn the last one.
    Slots {
        /// Some may be in memory only.
        unsynced: bool,
        /// A power loss may have torn the last one.
        torn: bool,
    },
    /// None; the checkpoints are.
    Checkpoints,
}

impl Soundness {
    /// Decides by what the last run left, and whether the machine has been started since.
    pub fn of(basis: Basis, boot: Option<[u8; 16]>) -> Soundness {
        match basis {
            Basis::Slots => Soundness::Slots { unsynced: false, torn: false },
            Basis::SlotsUntilReboot(then) if boot == Some(then) => {
                Soundness::Slots { unsynced: true, torn: false }
            }
            Basis::SyncedSlots(then @ Some(_)) if boot == then => {
                Soundness::Slots { unsynced: true, torn: false }
            }
            Basis::SyncedSlots(_) => Soundness::Slots { unsynced: false, torn: true },
            Basis::SlotsUntilReboot(_) | Basis::Checkpoints => Soundness::Checkpoints,
        }
    }
}

/// What concerns all lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// The number of this state directory.
    pub instance: Instance,
    /// Starts, including those that did not get as far as serving.
    pub incarnation: u64,
    /// The last start that got as far as serving: its slots and checkpoints count, no others.
    pub settled: u64,
    /// Resets. What belongs to earlier ones does not count.
    pub epoch: u64,
    /// The number of lanes.
    pub lanes: u32,
    /// The number of lanes that have a file of cells.
    pub cells: u32,
    /// What the slots are worth.
    pub basis: Basis,
}

const COPY_STRIDE: u64 = 4_096;
const CRC_AT: usize = SECTOR_BYTES - 4;
const BOOT_END: usize = 88;

impl Control {
    fn encode(&self, generation: u64, block: &mut Block) {
        // The file begins as all files do, each copy with it; the checksum is at the end instead.
        let bytes = &mut block.0;
        let identity = Identity { instance: self.instance, lane: 0 };
        *bytes = identity.header(Kind::Control);
        bytes[32..].fill(0);
        put(bytes, 32, &generation.to_le_bytes());
        put(bytes, 40, &self.incarnation.to_le_bytes());
        put(bytes, 48, &self.settled.to_le_bytes());
        put(bytes, 56, &self.epoch.to_le_bytes());
        put(bytes, 64, &self.lanes.to_le_bytes());
        let (basis, boot) = match self.basis {
            Basis::Slots => (1_u32, None),
            Basis::SlotsUntilReboot(boot) => (2, Some(boot)),
            Basis::SyncedSlots(boot) => (3, boot),
            Basis::Checkpoints => (4, None),
        };
        put(bytes, 68, &basis.to_le_bytes());
        put(bytes, 72, &boot.unwrap_or_default());
        put(bytes, BOOT_END, &self.cells.to_le_bytes());
        let crc = Crc::new().extend(&bytes[..CRC_AT]).value();
        put(bytes, CRC_AT, &crc.to_le_bytes());
    }

    fn decode(bytes: &[u8; SECTOR_BYTES]) -> Result<(u64, Control), HeaderError> {
        // The beginning is checked as in other files, with the checksum that those have.
        let mut instance = Instance::default();
        instance.copy_from_slice(&bytes[16..32]);
        let begins = Identity { instance, lane: 0 }.header(Kind::Control);
        if bytes[..8] != begins[..8] {
            return Err(HeaderError::Foreign);
        }
        let format = u32_at(bytes, 8);
        if format > layout::FORMAT {
            return Err(HeaderError::Newer(format));
        }
        let intact = Crc::new().extend(&bytes[..CRC_AT]).value() == u32_at(bytes, CRC_AT);
        if !intact || bytes[..32] != begins[..32] {
            return Err(HeaderError::Damaged);
        }
        let mut boot = BootId::default();
        boot.copy_from_slice(&bytes[72..BOOT_END]);
        let boot = Some(boot).filter(|boot| *boot != BootId::default());
        let basis = match (u32_at(bytes, 68), boot) {
            (1, _) => Basis::Slots,
            (2, Some(boot)) => Basis::SlotsUntilReboot(boot),
            (3, boot) => Basis::SyncedSlots(boot),
            (4, _) => Basis::Checkpoints,
            _ => return Err(HeaderError::Damaged),
        };
        let (lanes, cells) = (u32_at(bytes, 64), u32_at(bytes, BOOT_END));
        let counted = [32, 40, 48].iter().all(|&at| u64_at(bytes, at) <= COUNT_MAX);
        if cells > lanes
            || lanes as usize > JOURNAL_LANES_MAX
            || !counted
            || u64_at(bytes, 56) > EPOCH_MAX / 2
        {
            return Err(HeaderError::Damaged);
        }
        let control = Control {
            instance,
            incarnation: u64_at(bytes, 40),
            settled: u64_at(bytes, 48),
            epoch: u64_at(bytes, 56),
            lanes,
            cells,
            basis,
        };
        Ok((u64_at(bytes, 32), control))
    }
}

/// The open control file.
#[derive(Debug)]
pub struct ControlFile {
    file: Arc<dyn File>,
    generation: u64,
    control: Control,
}

impl ControlFile {
    /// Fills an empty file with both copies, and makes them durable.
    ///
    /// # Errors
    /// Those of writing.
    pub fn create(file: Arc<dyn File>, control: Control) -> io::Result<ControlFile> {
        let mut pages = vec![0; 2 * COPY_STRIDE as usize];
        let mut block = Block([0; SECTOR_BYTES]);
        for generation in 0..2 {
            control.encode(generation, &mut block);
            put(&mut pages, generation as usize * COPY_STRIDE as usize, &block.0);
        }
        file.write_at(&pages, 0)?;
        file.sync()?;
        Ok(ControlFile { file, generation: 1, control })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If a copy is damaged, foreign or newer, or cannot be read.
    pub fn read(file: Arc<dyn File>, storage: &dyn Storage) -> Result<ControlFile, Unusable> {
        let copies = [read_copy(&*file, storage, 0)?, read_copy(&*file, storage, 1)?];
        let [(first, _), (second, _)] = copies;
        let newer = usize::from(second > first);
        let (generation, control) = copies[newer];
        let (before, older) = copies[1 - newer];
        let damage = |place: usize, what| Damage {
            path: storage.path(CONTROL_NAME),
            offset: place as u64 * COPY_STRIDE,
            what,
        };
        if generation % 2 != newer as u64 || generation != before.wrapping_add(1) {
            return Err(damage(1 - newer, "this copy is not the one before the other").into());
        }
        if older.instance != control.instance {
            return Err(damage(1 - newer, "the two copies are of different directories").into());
        }
        Ok(ControlFile { file, generation, control })
    }

    /// Returns the content of the newest copy that can be read, if there is one.
    pub fn read_any(file: &dyn File, storage: &dyn Storage) -> Option<Control> {
        let copies = [0, 1].map(|place| read_copy(file, storage, place).ok());
        let newest = copies.into_iter().flatten().max_by_key(|(generation, _)| *generation);
        newest.map(|(_, control)| control)
    }

    /// Returns the content of the file.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Returns the open file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Changes the content of the file, durably.
    ///
    /// # Errors
    /// Those of writing and syncing; then it is not known which of the two states is on disk, and the
    /// caller must end.
    pub fn write(&mut self, control: Control) -> io::Result<()> {
        let generation = self.generation + 1;
        self.put(generation, &control)?;
        (self.generation, self.control) = (generation, control);
        Ok(())
    }

    /// Writes the newer copy again and makes it durable. The last run may have ended between the two
    /// steps; the other copy must not be written over before this one is on disk.
    ///
    /// # Errors
    /// Those of writing and syncing.
    pub fn rewrite(&self) -> io::Result<()> {
        self.put(self.generation, &self.control)
    }

    /// Makes the checksum of a copy fit what is in it.
    #[cfg(any(test, fuzzing))]
    pub fn seal(copy: &mut [u8; SECTOR_BYTES]) {
        let crc = Crc::new().extend(&copy[..CRC_AT]).value();
        put(copy, CRC_AT, &crc.to_le_bytes());
    }

    fn put(&self, generation: u64, control: &Control) -> io::Result<()> {
        let mut block = Block([0; SECTOR_BYTES]);
        control.encode(generation, &mut block);
        self.file.write_at(&block.0, generation % 2 * COPY_STRIDE)?;
        self.file.sync()
    }

    /// Makes a reset durable; returns the new epoch. What belongs to earlier ones counts no more.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn reset(&mut self) -> io::Result<u64> {
        let epoch = self.control.epoch + 1;
        self.write(Control { epoch, ..self.control })?;
        Ok(epoch)
    }

    /// Notes that every slot is on disk, and nothing more is written.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn close(&mut self) -> io::Result<()> {
        self.write(Control { basis: Basis::Slots, ..self.control })
    }
}

/// Reads one copy: its generation and its content.
fn read_copy(
    file: &dyn File,
    storage: &dyn Storage,
    place: u64,
) -> Result<(u64, Control), Unusable> {
    let (path, offset) = (storage.path(CONTROL_NAME), place * COPY_STRIDE);
    let mut bytes = [0; SECTOR_BYTES];
    match file.read_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let offset = file.bytes().unwrap_or(offset).min(offset);
            return Err(Damage { path, offset, what: "the file is too short" }.into());
        }
        Err(error) => return Err(Unusable::of(path, "read", error)),
        Ok(()) => {}
    }
    Control::decode(&bytes).map_err(|error| match error {
        HeaderError::Newer(format) => Unusable::Newer { path, format },
        HeaderError::Foreign if place == 0 => {
            Damage { path, offset, what: "this is not a control file of millrace" }.into()
        }
        HeaderError::Foreign | HeaderError::Damaged | HeaderError::Elsewhere => {
            Damage { path, offset, what: "this copy's checksum does not fit" }.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_comes_back_and_no_flipped_bit_passes() {
        let mut block = Block([0xaa; SECTOR_BYTES]);
        for basis in [
            Basis::Slots,
            Basis::SlotsUntilReboot([3; 16]),
            Basis::SyncedSlots(None),
            Basis::SyncedSlots(Some([4; 16])),
            Basis::Checkpoints,
        ] {
            let control = Control {
                instance: *b"0123456789abcdef",
                incarnation: 5,
                settled: 4,
                epoch: 1 << 40,
                lanes: JOURNAL_LANES_MAX as u32,
                cells: 7,
                basis,
            };
            control.encode(77, &mut block);
            assert_eq!(Control::decode(&block.0), Ok((77, control)));
            for bit in 0..SECTOR_BYTES * 8 {
                let mut flipped = block.0;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Control::decode(&flipped).is_err(), "bit {bit}");
            }
        }
    }
}
