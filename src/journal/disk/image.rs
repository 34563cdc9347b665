//! The contents of a disk in memory, and the calls that change them.

use std::collections::BTreeMap;

/// The contents of a disk.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub(super) files: Vec<Vec<u8>>,
    pub(super) names: Option<BTreeMap<String, usize>>,
}

/// A call that changes a disk, or makes a change durable.
#[derive(Clone, Debug)]
pub enum Call {
    Write { file: usize, at: usize, bytes: Vec<u8> },
    Sync { file: usize },
    Make,
    Name(Naming),
    SyncNames,
}

/// A change of a directory.
#[derive(Clone, Debug)]
pub enum Naming {
    Create { name: String, file: usize },
    Rename { from: String, to: String },
    Link { name: String, other: String },
}

impl Image {
    /// Returns the contents of a file.
    pub fn file(&self, name: &str) -> Option<&Vec<u8>> {
        self.names.as_ref()?.get(name).map(|&file| &self.files[file])
    }

    /// Returns the contents of a file, to be changed.
    pub fn file_mut(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        let file = *self.names.as_ref()?.get(name)?;
        self.files.get_mut(file)
    }

    /// Removes a name.
    pub fn remove(&mut self, name: &str) {
        self.names.as_mut().and_then(|names| names.remove(name));
    }

    /// Makes a file of these contents.
    pub fn insert(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.push(bytes);
        let file = self.files.len() - 1;
        self.names.get_or_insert_default().insert(name.to_owned(), file);
    }

    /// Returns all names.
    pub fn names(&self) -> Vec<String> {
        self.names.iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    pub(super) fn apply(&mut self, call: &Call) {
        match call {
            Call::Write { file, at, bytes } => self.write(*file, *at, bytes),
            Call::Name(naming) => self.name(naming),
            Call::Make => {
                self.names.get_or_insert_default();
            }
            Call::Sync { .. } | Call::SyncNames => {}
        }
    }

    pub(super) fn write(&mut self, file: usize, at: usize, bytes: &[u8]) {
        let file = self.files_up_to(file);
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn files_up_to(&mut self, file: usize) -> &mut Vec<u8> {
        if self.files.len() <= file {
            self.files.resize(file + 1, Vec::new());
        }
        &mut self.files[file]
    }

    pub(super) fn name(&mut self, naming: &Naming) {
        if let Naming::Create { file, .. } = naming {
            self.files_up_to(*file);
        }
        let names = self.names.get_or_insert_default();
        match naming {
            Naming::Create { name, file } => {
                names.insert(name.clone(), *file);
            }
            Naming::Rename { from, to } => {
                // What comes after a lost creation is lost with it.
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Naming::Link { name, other } => {
                if let Some(&file) = names.get(name) {
                    names.insert(other.clone(), file);
                }
            }
        }
    }
}
