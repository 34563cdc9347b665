//! Why a state directory cannot be used: one variant a cause, one line each, with what can be done.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;

/// The reason for not starting. Nothing has been changed in the directory.
#[derive(Debug)]
pub enum Unusable {
    /// Another process has the directory.
    InUse {
        /// The directory.
        path: String,
    },
    /// The directory or a file in it belongs to another user.
    ForeignOwner {
        /// Which.
        path: String,
        /// The user that owns it.
        owner: u32,
        /// The user that this process runs as.
        user: u32,
    },
    /// This process may not do what it has to.
    NoRight {
        /// The file or directory.
        path: String,
        /// What the kernel reports.
        error: io::Error,
    },
    /// The directory holds other files, and no state.
    NotOurs {
        /// The directory.
        path: String,
        /// One of the other files.
        other: String,
    },
    /// A later version of the program wrote the file.
    Newer {
        /// The file.
        path: String,
        /// Its format.
        format: u32,
    },
    /// A file is not there.
    Missing {
        /// Its path.
        path: String,
    },
    /// Something in a file is not what was written.
    Damaged(Damage),
    /// A call failed.
    Failed {
        /// The file or directory.
        path: String,
        /// What was to be done, as "read" or "write".
        attempt: &'static str,
        /// What the kernel reports.
        error: io::Error,
    },
}

/// A place in a file where something else should stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: String,
    /// The first byte of the part that cannot be right.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
}

impl Unusable {
    /// Returns the refusal for a failed call.
    pub fn of(path: String, attempt: &'static str, error: io::Error) -> Unusable {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Unusable::NoRight { path, error }
            }
            _ => Unusable::Failed { path, attempt, error },
        }
    }

    /// Whether salvage can help.
    pub fn is_damage(&self) -> bool {
        matches!(self, Unusable::Damaged(_) | Unusable::Missing { .. })
    }
}

impl From<Damage> for Unusable {
    fn from(damage: Damage) -> Unusable {
        Unusable::Damaged(damage)
    }
}

impl Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: damaged at byte {}: {}", self.path, self.offset, self.what)
    }
}

const REMEDY: &str = "restore the directory from a backup, or start once with --salvage, which \
                      continues with what is intact and keeps the damaged files";

impl Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unusable::InUse { path } => {
                write!(
                    f,
                    "{path}: another process uses this state directory; stop it first, or use another directory"
                )
            }
            Unusable::ForeignOwner { path, owner, user } => write!(
                f,
                "{path}: belongs to user {owner}, but this process runs as user {user}; run it as \
                 that user, or change the owner"
            ),
            Unusable::NoRight { path, error } => {
                write!(f, "{path}: no right to use it ({error}); it must be readable and writable")
            }
            Unusable::NotOurs { path, other } => write!(
                f,
                "{path}: holds other files (\"{other}\") and no state of millrace; use an empty or a \
                 new directory"
            ),
            Unusable::Newer { path, format } => write!(
                f,
                "{path}: written by a newer version of millrace, in format {format}; use that version"
            ),
            Unusable::Missing { path } => write!(f, "{path}: is missing; {REMEDY}"),
            Unusable::Damaged(damage) => write!(f, "{damage}; {REMEDY}"),
            Unusable::Failed { path, attempt, error } => {
                let hint = match error.kind() {
                    io::ErrorKind::NotADirectory => "; choose the path of a directory",
                    io::ErrorKind::NotFound => "; make the directory above it first",
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "; free some space, or choose a directory elsewhere"
                    }
                    _ => "",
                };
                write!(f, "{path}: cannot {attempt} it: {error}{hint}")
            }
        }
    }
}

impl Error for Unusable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Unusable::NoRight { error, .. } | Unusable::Failed { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_line_that_names_the_path() {
        let path = || "/var/lib/millrace/lane-0003".to_owned();
        let error = || io::Error::from(io::ErrorKind::PermissionDenied);
        for (refusal, part) in [
            (Unusable::InUse { path: path() }, "another process"),
            (Unusable::ForeignOwner { path: path(), owner: 7, user: 8 }, "belongs to user 7"),
            (Unusable::of(path(), "open", error()), "no right"),
            (Unusable::NotOurs { path: path(), other: "notes".into() }, "\"notes\""),
            (Unusable::Newer { path: path(), format: 2 }, "format 2"),
            (Unusable::Missing { path: path() }, "is missing; restore"),
            (
                Unusable::Damaged(Damage { path: path(), offset: 4_096, what: "no slot" }),
                "damaged at byte 4096: no slot; restore",
            ),
            (Unusable::of(path(), "read", io::ErrorKind::Other.into()), "cannot read it"),
        ] {
            let line = refusal.to_string();
            assert!(line.starts_with(&path()) && line.contains(part), "{line}");
            assert!(!line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
