//! From one process to its successor: the open files, and where each lane stands.
//!
//! The ids are not read again. The lock on the directory goes with the control file's descriptor. The
//! process that packs keeps its own descriptors, so that either of the two can go on, and each does so
//! by the steps of a start: a new incarnation, after which slots of the other one count no more.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use super::cells::Cells;
use super::control::{ControlFile, Soundness};
use super::enter;
use super::lane::Lane;
use super::layout::{CONTROL_NAME, cells_name, lane_name, u64_at};
use super::recovery::{self, Opened, Recovered};
use super::refusal::Unusable;
use super::running::Journal;
use super::shared::{JournalMeters, LaneFile};
use super::storage::{File, Storage};

/// A journal without threads or lanes, from which this process or another one can go on.
pub struct Packed {
    storage: Arc<dyn Storage>,
    files: Vec<Arc<dyn File>>,
    bytes: Vec<u8>,
}

/// The version of the bytes.
const VERSION: u64 = 2;
const WORD: usize = 8;

impl Journal {
    /// Ends the threads, and packs what a successor needs. `lanes` are all that the start had returned,
    /// in any order; nothing is committed any more.
    ///
    /// # Errors
    /// If a write or sync had failed, or a lane is missing.
    pub fn pack(self, mut lanes: Vec<Lane>) -> io::Result<Packed> {
        self.pause();
        if self.figures().counted.errors > 0 {
            return Err(JournalMeters::after_failure());
        }
        if lanes.len() != self.workers() {
            return Err(io::Error::other("a lane of the journal is missing"));
        }
        lanes.sort_by_key(Lane::index);
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for lane in &lanes {
            bytes.extend_from_slice(&lane.mark().number.to_le_bytes());
            bytes.extend_from_slice(&lane.prepared().to_le_bytes());
        }
        let control = [self.control_file()];
        let of_lane =
            |(lane, cells): &(LaneFile, Cells)| [lane.file.clone(), cells.file().file().clone()];
        let lanes = self.files().iter().flat_map(of_lane);
        let files = control.into_iter().chain(lanes).collect();
        Ok(Packed { storage: self.storage().clone(), files, bytes })
    }
}

impl Packed {
    /// Returns the bytes that the successor needs.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the descriptors that the successor needs, in this order.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.files.iter().filter_map(|file| file.descriptor()).collect()
    }

    /// Goes on in this process, also after a successor has begun to and ended.
    ///
    /// # Errors
    /// What [`receive`] returns.
    pub fn unpack(self) -> Result<Recovered, Unusable> {
        unpack(self.storage, &self.bytes, self.files)
    }
}

/// Takes over what another process has packed. `storage` is the same directory.
///
/// # Errors
/// If bytes and descriptors do not fit each other or the directory, or a read fails.
pub fn receive(
    storage: Arc<dyn Storage>,
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<Recovered, Unusable> {
    let file = |descriptor| Arc::new(fs::File::from(descriptor)) as Arc<dyn File>;
    unpack(storage, bytes, descriptors.into_iter().map(file).collect())
}

fn unpack(
    storage: Arc<dyn Storage>,
    bytes: &[u8],
    files: Vec<Arc<dyn File>>,
) -> Result<Recovered, Unusable> {
    let began = Instant::now();
    let misfit = |what| Unusable::of(storage.path(""), "take over", io::Error::other(what));
    let mut files = files.into_iter();
    let Some(control) = files.next() else {
        return Err(misfit("there are no descriptors"));
    };
    let words: Vec<u64> = bytes.chunks_exact(WORD).map(|word| u64_at(word, 0)).collect();
    let Some((&VERSION, lanes)) = words.split_first() else {
        return Err(misfit("the two programs are of different versions"));
    };
    let lanes = lanes.as_chunks::<2>().0;
    // The lock belongs to the open file, and so to this process too.
    if !control.try_lock().map_err(|error| Unusable::of(storage.path(""), "lock", error))? {
        return Err(Unusable::InUse { path: storage.path("") });
    }
    let control = ControlFile::read(control, &*storage)?;
    let named = storage.open(CONTROL_NAME);
    let named = named.map_err(|error| Unusable::of(storage.path(CONTROL_NAME), "open", error))?;
    if ControlFile::read(named, &*storage)?.control().instance != control.control().instance {
        return Err(misfit("it is not the directory of the other process"));
    }
    let count = control.control().lanes as usize;
    let mut opened: Vec<Opened> = Vec::new();
    while let (Some(lane), Some(cells)) = (files.next(), files.next()) {
        opened.push((lane, Some(cells)));
    }
    if opened.len() < lanes.len() || opened.len() > count {
        return Err(misfit("the number of descriptors is wrong"));
    }
    // A successor that began and ended may have made more.
    for lane in opened.len()..count {
        let cells = enter::open(&*storage, &cells_name(lane))?;
        opened.push((enter::open(&*storage, &lane_name(lane))?, Some(cells)));
    }
    let level = Soundness::Slots { unsynced: true, torn: false };
    let mut recovery = recovery::choose(storage.clone(), control, opened, level, began)?;
    for (lane, (found, [number, prepared])) in recovery.lanes.iter_mut().zip(lanes).enumerate() {
        // A successor that began and ended has made one commit of its own, of the same state.
        if !(*number..=number + 1).contains(&found.mark.number) {
            let what = io::Error::other("the lane does not stand where the other process left it");
            return Err(Unusable::of(storage.path(&lane_name(lane)), "take over", what));
        }
        found.prepared = Some(*prepared);
    }
    Ok(Recovered(recovery))
}
