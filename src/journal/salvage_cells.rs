//! What salvage makes of a damaged file of cells: a whole one with all versions that are intact.
//!
//! Where the version that counts is damaged, an older one may take its place. The report mentions it.

use std::io;
use std::sync::Arc;

use super::cell::Version;
use super::cells::{CellFile, Failure, cell_at};
use super::control::Control;
use super::enter;
use super::layout::{Identity, SEGMENT_BYTES, cells_name};
use super::refusal::Unusable;
use super::space::write_zeros;
use super::storage::{File, Storage};

/// A file of cells to be written anew.
pub struct CellRemedy {
    identity: Identity,
    cells: u32,
    /// The cell, the place in it and the version.
    intact: Vec<(u32, usize, Version)>,
    /// What is to be reported.
    pub losses: Vec<String>,
}

impl CellRemedy {
    /// Examines the cells of a lane, of which there were `cells`; `None` if all of them are intact.
    ///
    /// # Errors
    /// A failed call.
    pub fn find(
        storage: &dyn Storage,
        control: &Control,
        lane: usize,
        cells: u32,
    ) -> Result<Option<CellRemedy>, Unusable> {
        let name = cells_name(lane);
        let identity = Identity { instance: control.instance, lane: lane as u32 };
        let mut remedy = CellRemedy { identity, cells, intact: Vec::new(), losses: Vec::new() };
        let file = match enter::open(storage, &name) {
            Ok(file) => file,
            Err(Unusable::Missing { .. }) => {
                remedy.losses.push("the file is missing; all cells in it are lost".to_owned());
                return Ok(Some(remedy));
            }
            Err(refusal) => return Err(refusal),
        };
        match CellFile::open(file.clone(), control, lane, storage) {
            Ok(_) => {}
            Err(refusal) if refusal.is_damage() => {
                remedy.losses.push("the header is damaged".to_owned());
            }
            Err(refusal) => return Err(refusal),
        }
        remedy.scan(file).map_err(|failure| failure.refusal(storage, &name))?;
        Ok((!remedy.losses.is_empty()).then_some(remedy))
    }

    fn scan(&mut self, file: Arc<dyn File>) -> Result<(), Failure> {
        let (mut damaged, mut first) = (0, None);
        let cells = CellFile::unchecked(file, self.identity);
        if let Err(Failure { offset, error: Ok(what) }) = cells.check_length(self.cells) {
            self.losses.push(format!("{what}, at byte {offset}; the cells from there on are lost"));
        }
        cells.scan(|index, cell| {
            if cell.damaged().is_some() {
                damaged += 1;
                first.get_or_insert(index);
            }
            self.intact.extend(cell.versions().map(|(place, version)| (index, place, *version)));
            Ok::<_, Failure>(())
        })?;
        if let Some(first) = first {
            self.losses.push(format!(
                "{damaged} cells are damaged, the first at byte {}; each goes on with its newest \
                 intact version, or without any",
                cell_at(first)
            ));
        }
        Ok(())
    }

    /// Writes the whole file, and syncs it.
    ///
    /// # Errors
    /// A failed call.
    pub fn write(&self, file: Arc<dyn File>) -> io::Result<()> {
        let cells = CellFile::make(file.clone(), self.identity)?;
        let highest = self.intact.iter().map(|(index, ..)| index + 1).max().unwrap_or(0);
        let end = cell_at(self.cells.max(highest));
        let length = file.bytes()?;
        if end > length {
            let end = end.next_multiple_of(SEGMENT_BYTES as u64);
            write_zeros(&*file, length, end).map_err(|(_, error)| error)?;
        }
        for (index, place, version) in &self.intact {
            cells.write(*index, *place, version)?;
        }
        file.sync()
    }
}
