//! A disk in memory that yields every state a crash can leave; for tests and fuzzers.
//!
//! It records every call that changes something. From any prefix of them follow
//!
//! - what a kill of the process leaves: the prefix, and of a longer write under way some pages;
//! - what a power loss leaves: of each sector that was written since its file's last sync, any of the
//!   contents that it had since then; of a file's length and of the directory's names likewise.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{File, Storage};
use crate::sys::files::BootId;

mod image;
mod loss;

pub use image::Image;
use image::{Call, Naming};
pub use loss::Random;
use loss::{Pending, every};

const PAGE_BYTES: usize = 4_096;
const USER: u32 = 1_000;

/// The disk; clones share it.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    first: Image,
    now: Image,
    calls: Vec<Call>,
    boot: Option<BootId>,
    owner: u32,
    locked_elsewhere: bool,
    fault: Option<Fault>,
    bytes_max: usize,
}

/// A call that fails.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which one, counted from the beginning.
    pub call: usize,
    /// With which error.
    pub kind: ErrorKind,
    /// Whether all later ones fail too.
    pub forever: bool,
}

impl Disk {
    /// Makes a disk without the directory.
    pub fn new(boot: Option<BootId>) -> Disk {
        Disk::of(Image::default(), boot)
    }

    /// Makes a disk of durable contents.
    pub fn of(image: Image, boot: Option<BootId>) -> Disk {
        let state = State {
            first: image.clone(),
            now: image,
            calls: Vec::new(),
            boot,
            owner: USER,
            locked_elsewhere: false,
            fault: None,
            bytes_max: usize::MAX,
        };
        Disk { state: Arc::new(Mutex::new(state)) }
    }

    /// Returns the number of calls so far that changed something.
    pub fn calls(&self) -> usize {
        self.lock().calls.len()
    }

    /// Returns the contents as programs see them.
    pub fn image(&self) -> Image {
        self.lock().now.clone()
    }

    /// Returns this boot's number.
    pub fn boot(&self) -> Option<BootId> {
        self.lock().boot
    }

    /// Lets a call fail.
    pub fn set_fault(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// Limits the bytes of all files.
    pub fn set_bytes_max(&self, bytes_max: usize) {
        self.lock().bytes_max = bytes_max;
    }

    /// Sets who owns everything.
    pub fn set_owner(&self, owner: u32) {
        self.lock().owner = owner;
    }

    /// Lets another process hold the lock.
    pub fn set_locked_elsewhere(&self) {
        self.lock().locked_elsewhere = true;
    }

    /// Returns the bytes of all files.
    pub fn bytes(&self) -> usize {
        self.lock().now.files.iter().map(Vec::len).sum()
    }

    /// Returns the disks that a kill during call `calls` can leave, this call not done or done by half.
    /// They remember their history, so that a power loss afterwards takes what was not synced before.
    pub fn killed(&self, calls: usize) -> Vec<Disk> {
        let state = self.lock();
        let mut halves = vec![None];
        if let Some(Call::Write { file, at, bytes }) = state.calls.get(calls) {
            let ends = (PAGE_BYTES - at % PAGE_BYTES..bytes.len()).step_by(PAGE_BYTES);
            let step = ends.clone().count().div_ceil(4).max(1);
            let half = |end| Call::Write { file: *file, at: *at, bytes: bytes[..end].to_vec() };
            halves.extend(ends.step_by(step).map(half).map(Some));
        }
        let disk = |half: Option<Call>| {
            let disk = Disk::of(state.first.clone(), state.boot);
            let mut copy = disk.lock();
            copy.calls = state.calls[..calls].iter().cloned().chain(half).collect();
            let mut now = state.first.clone();
            copy.calls.iter().for_each(|call| now.apply(call));
            copy.now = now;
            drop(copy);
            disk
        };
        halves.into_iter().map(disk).collect()
    }

    /// Returns what a power loss after this number of calls can leave: everything if that is no more than
    /// `limit` images, otherwise the extremes and as many samples.
    pub fn power_lost(&self, calls: usize, limit: usize, random: &mut Random) -> Vec<Image> {
        let pending = {
            let state = self.lock();
            Pending::after(&state.first, &state.calls[..calls])
        };
        let choices = pending.choices();
        let all = choices.iter().try_fold(1_usize, |product, &count| product.checked_mul(count));
        if all.is_some_and(|all| all <= limit) {
            return every(&choices).map(|choice| pending.image(&choice)).collect();
        }
        let none = vec![0; choices.len()];
        let last: Vec<usize> = choices.iter().map(|count| count - 1).collect();
        let mut picks = vec![none.clone(), last.clone()];
        // Each place alone, and all but each, as far as that goes.
        let step = choices.len().div_ceil(limit / 4).max(1);
        for place in (0..choices.len()).step_by(step) {
            for (base, value) in [(&none, last[place]), (&last, 0)] {
                let mut pick = base.clone();
                pick[place] = value;
                picks.push(pick);
            }
        }
        while picks.len() < limit {
            // Sometimes most, sometimes few of the sectors have reached the disk.
            let (often, of) = (random.below(9) + 1, 10);
            let mut choose = |&count: &usize| match random.below(of) < often {
                true => random.below(count),
                false => count - 1,
            };
            picks.push(choices.iter().map(&mut choose).collect());
        }
        picks.iter().map(|pick| pending.image(pick)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a call, unless it is to fail. A write that fails is done by half.
    fn call(&self, call: Call) -> io::Result<()> {
        let mut state = self.lock();
        let number = state.calls.len();
        let fault = state
            .fault
            .filter(|fault| fault.call == number || fault.forever && fault.call < number);
        let grown = match &call {
            Call::Write { file, at, bytes } => {
                let length = state.now.files[*file].len();
                let others = state.now.files.iter().map(Vec::len).sum::<usize>() - length;
                others + length.max(at + bytes.len())
            }
            _ => 0,
        };
        let fault = fault.map(|fault| fault.kind);
        let fault = fault.or((grown > state.bytes_max).then_some(ErrorKind::StorageFull));
        let done = match (call, fault) {
            (call, None) => Some(call),
            (Call::Write { file, at, mut bytes }, Some(ErrorKind::Other)) => {
                bytes.truncate(bytes.len() / 2);
                Some(Call::Write { file, at, bytes })
            }
            (_, Some(_)) => None,
        };
        if let Some(call) = done {
            state.now.apply(&call);
            state.calls.push(call);
        }
        fault.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Storage for Disk {
    fn names(&self) -> io::Result<Option<Vec<String>>> {
        let state = self.lock();
        Ok(state.now.names.is_some().then(|| state.now.names()))
    }

    fn make(&self) -> io::Result<()> {
        self.call(Call::Make)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.lock().now.names.as_ref().and_then(|names| names.get(name).copied());
        let file = file.ok_or(ErrorKind::NotFound)?;
        Ok(Arc::new(DiskFile { disk: self.clone(), file }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        if let Ok(file) = self.open(name) {
            return Ok(file);
        }
        let file = self.lock().now.files.len();
        self.call(Call::Name(Naming::Create { name: name.into(), file }))?;
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(Call::Name(Naming::Rename { from: from.into(), to: to.into() }))
    }

    fn link(&self, name: &str, other: &str) -> io::Result<()> {
        self.call(Call::Name(Naming::Link { name: name.into(), other: other.into() }))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.call(Call::SyncNames)
    }

    fn owner(&self, _: &str) -> io::Result<u32> {
        Ok(self.lock().owner)
    }

    fn user(&self) -> u32 {
        USER
    }

    fn boot(&self) -> Option<BootId> {
        Disk::boot(self)
    }

    fn path(&self, name: &str) -> String {
        format!("/disk/{name}")
    }
}

#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    file: usize,
}

impl File for DiskFile {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let state = self.disk.lock();
        let from = state.now.files[self.file].get(at as usize..).unwrap_or_default();
        let from = from.get(..bytes.len()).ok_or(ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.call(Call::Write { file: self.file, at: at as usize, bytes: bytes.to_vec() })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call(Call::Sync { file: self.file })
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.lock().now.files[self.file].len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(!self.disk.lock().locked_elsewhere)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::layout::SECTOR_BYTES;

    /// The first bytes of the two sectors, and whether the file is there.
    fn seen(image: &Image) -> Option<Vec<u8>> {
        image.file("f").map(|file| file.iter().step_by(SECTOR_BYTES).copied().collect())
    }

    #[test]
    fn a_power_loss_keeps_any_part_of_what_was_not_synced() {
        let disk = Disk::new(None);
        disk.make().unwrap();
        let file = disk.create("f").unwrap();
        disk.sync_names().unwrap();
        file.write_at(&[1; 2 * SECTOR_BYTES], 0).unwrap();
        file.sync().unwrap();
        file.write_at(&[2; 2 * SECTOR_BYTES], 0).unwrap();
        file.write_at(&[3; SECTOR_BYTES], 0).unwrap();
        let mut random = Random(1);
        let images = disk.power_lost(disk.calls(), 100, &mut random);
        let mut all: Vec<_> = images.iter().map(|image| seen(image).unwrap()).collect();
        all.sort();
        assert_eq!(all, [[1, 1], [1, 2], [2, 1], [2, 2], [3, 1], [3, 2]]);
        // Right after the sync there is but one, before it any, also without the file's length.
        let one: Vec<_> = disk.power_lost(5, 100, &mut random).iter().map(seen).collect();
        assert_eq!(one, [Some(vec![1, 1])]);
        let any = disk.power_lost(4, 100, &mut random);
        assert!(any.iter().any(|image| seen(image).unwrap().is_empty()));
        assert!(any.iter().any(|image| seen(image).unwrap() == [0, 1]));
        assert!(disk.power_lost(2, 100, &mut random).iter().any(|image| seen(image).is_none()));
    }

    #[test]
    fn a_kill_keeps_what_was_written() {
        let disk = Disk::new(None);
        disk.make().unwrap();
        let file = disk.create("f").unwrap();
        file.write_at(&[1; 3 * PAGE_BYTES], 0).unwrap();
        let length = |disk: &Disk| disk.image().file("f").unwrap().len();
        let torn: Vec<usize> = disk.killed(2).iter().map(length).collect();
        assert_eq!(torn, [0, PAGE_BYTES, 2 * PAGE_BYTES]);
        assert_eq!(length(&disk.killed(3)[0]), 3 * PAGE_BYTES);
    }
}
