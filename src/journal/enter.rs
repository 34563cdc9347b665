//! The way into a state directory: who owns it, whether it is in use, and what its control file holds.

use std::io::ErrorKind;
use std::sync::Arc;

use super::control::{Basis, Control, ControlFile};
use super::layout::{CONTROL_NAME, CONTROL_NEW_NAME, Instance};
use super::refusal::Unusable;
use super::storage::{File, Storage};
use crate::sys::random;

/// Takes a state directory for this process, and makes it if it is not there.
///
/// # Errors
/// Everything that speaks against using it. Then nothing has been changed.
pub fn enter(storage: &dyn Storage) -> Result<ControlFile, Unusable> {
    // Another process may make the directory at the same time; then this one finds it in use, or made.
    loop {
        match look(storage)? {
            Look::Control(file) => return ControlFile::read(file, storage),
            Look::NoDirectory => storage.make().map_err(|error| failed(storage, "make", error))?,
            Look::Empty => {
                if let Some(control) = create(storage)? {
                    return Ok(control);
                }
            }
        }
    }
}

/// Takes a state directory as [`enter`] does, but makes nothing; returns `None` if it would have to.
///
/// # Errors
/// Everything that speaks against using it.
pub fn enter_existing(storage: &dyn Storage) -> Result<Option<ControlFile>, Unusable> {
    match look(storage)? {
        Look::Control(file) => ControlFile::read(file, storage).map(Some),
        Look::NoDirectory | Look::Empty => Ok(None),
    }
}

/// What is there.
enum Look {
    NoDirectory,
    /// A directory without state, which may hold the rest of an interrupted beginning.
    Empty,
    /// The locked control file.
    Control(Arc<dyn File>),
}

fn look(storage: &dyn Storage) -> Result<Look, Unusable> {
    let names = storage.names().map_err(|error| failed(storage, "read", error))?;
    let Some(names) = names else { return Ok(Look::NoDirectory) };
    check_owner(storage, "", true)?;
    if names.iter().any(|name| name == CONTROL_NAME) {
        let file = open(storage, CONTROL_NAME)?;
        return match try_lock(storage, &*file)? {
            true => Ok(Look::Control(file)),
            false => Err(Unusable::InUse { path: storage.path("") }),
        };
    }
    if names.iter().any(|name| name.starts_with("lane-") || name.starts_with("cells-")) {
        return Err(Unusable::Missing { path: storage.path(CONTROL_NAME) });
    }
    // A file system of its own has `lost+found` in it, and other programs leave hidden files.
    let allowed =
        |name: &str| [CONTROL_NEW_NAME, "lost+found"].contains(&name) || name.starts_with('.');
    match names.into_iter().find(|name| !allowed(name)) {
        Some(other) => Err(Unusable::NotOurs { path: storage.path(""), other }),
        None => Ok(Look::Empty),
    }
}

/// Opens a file of the directory, which must be ours and there.
///
/// # Errors
/// If it is not.
pub fn open(storage: &dyn Storage, name: &str) -> Result<Arc<dyn File>, Unusable> {
    match storage.open(name) {
        Ok(file) => {
            check_owner(storage, name, false)?;
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Unusable::Missing { path: storage.path(name) })
        }
        Err(error) => {
            check_owner(storage, name, false)?;
            Err(Unusable::of(storage.path(name), "open", error))
        }
    }
}

/// Checks that a file, or the directory for an empty name, belongs to this process's user. The directory
/// may be the superuser's, as that of a volume often is.
fn check_owner(storage: &dyn Storage, name: &str, or_root: bool) -> Result<(), Unusable> {
    let owner =
        storage.owner(name).map_err(|error| Unusable::of(storage.path(name), "read", error))?;
    let user = storage.user();
    if owner == user || or_root && owner == 0 {
        return Ok(());
    }
    Err(Unusable::ForeignOwner { path: storage.path(name), owner, user })
}

/// Makes the control file under another name, and gives it its own when it is whole and durable. Returns
/// `None` if another process was faster.
fn create(storage: &dyn Storage) -> Result<Option<ControlFile>, Unusable> {
    let file = storage.create(CONTROL_NEW_NAME).map_err(|error| failed(storage, "write", error))?;
    if !try_lock(storage, &*file)? {
        return Err(Unusable::InUse { path: storage.path("") });
    }
    // Now that it is locked: has it, or another one, got its name in the meantime?
    let names = storage.names().map_err(|error| failed(storage, "read", error))?;
    if names.is_none_or(|names| names.iter().any(|name| name == CONTROL_NAME)) {
        return Ok(None);
    }
    let instance = new_instance().map_err(|error| failed(storage, "make", error))?;
    let control = Control {
        instance,
        incarnation: 0,
        settled: 0,
        epoch: 0,
        lanes: 0,
        cells: 0,
        basis: Basis::Slots,
    };
    let control = ControlFile::create(file, control)
        .map_err(|error| Unusable::of(storage.path(CONTROL_NEW_NAME), "write", error))?;
    storage
        .rename(CONTROL_NEW_NAME, CONTROL_NAME)
        .and_then(|()| storage.sync_names())
        .map_err(|error| failed(storage, "write", error))?;
    Ok(Some(control))
}

fn new_instance() -> std::io::Result<Instance> {
    let [a, b] = random::keys()?;
    let mut instance = Instance::default();
    instance[..8].copy_from_slice(&a.to_le_bytes());
    instance[8..].copy_from_slice(&b.to_le_bytes());
    Ok(instance)
}

fn try_lock(storage: &dyn Storage, file: &dyn File) -> Result<bool, Unusable> {
    file.try_lock().map_err(|error| failed(storage, "lock", error))
}

fn failed(storage: &dyn Storage, attempt: &'static str, error: std::io::Error) -> Unusable {
    Unusable::of(storage.path(""), attempt, error)
}
