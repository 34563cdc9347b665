//! Why a state directory cannot be used: one variant a cause, one line each, with what can be done.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;

/// The reason for not starting. Nothing has been changed in the directory.
#[derive(Debug)]
pub enum Refusal {
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

impl Refusal {
    /// Returns the refusal for a failed call.
    pub fn of(path: String, attempt: &'static str, error: io::Error) -> Refusal {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Refusal::NoRight { path, error }
            }
            _ => Refusal::Failed { path, attempt, error },
        }
    }

    /// Whether salvage can help.
    pub fn is_damage(&self) -> bool {
        matches!(self, Refusal::Damaged(_) | Refusal::Missing { .. })
    }
}

impl From<Damage> for Refusal {
    fn from(damage: Damage) -> Refusal {
        Refusal::Damaged(damage)
    }
}

impl Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: damaged at byte {}: {}", self.path, self.offset, self.what)
    }
}

const REMEDY: &str = "restore the directory from a backup, or start once with --salvage, which \
                      continues with what is intact and keeps the damaged files";

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::InUse { path } => {
                write!(
                    f,
                    "{path}: another process uses this state directory; stop it first, or use another directory"
                )
            }
            Refusal::ForeignOwner { path, owner, user } => write!(
                f,
                "{path}: belongs to user {owner}, but this process runs as user {user}; run it as \
                 that user, or change the owner"
            ),
            Refusal::NoRight { path, error } => {
                write!(f, "{path}: no right to use it ({error}); it must be readable and writable")
            }
            Refusal::NotOurs { path, other } => write!(
                f,
                "{path}: holds other files (\"{other}\") and no state of millrace; use an empty or a \
                 new directory"
            ),
            Refusal::Newer { path, format } => write!(
                f,
                "{path}: written by a newer version of millrace, in format {format}; use that version"
            ),
            Refusal::Missing { path } => write!(f, "{path}: is missing; {REMEDY}"),
            Refusal::Damaged(damage) => write!(f, "{damage}; {REMEDY}"),
            Refusal::Failed { path, attempt, error } => {
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

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Refusal::NoRight { error, .. } | Refusal::Failed { error, .. } => Some(error),
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
            (Refusal::InUse { path: path() }, "another process"),
            (Refusal::ForeignOwner { path: path(), owner: 7, user: 8 }, "belongs to user 7"),
            (Refusal::of(path(), "open", error()), "no right"),
            (Refusal::NotOurs { path: path(), other: "notes".into() }, "\"notes\""),
            (Refusal::Newer { path: path(), format: 2 }, "format 2"),
            (Refusal::Missing { path: path() }, "is missing; restore"),
            (
                Refusal::Damaged(Damage { path: path(), offset: 4_096, what: "no slot" }),
                "damaged at byte 4096: no slot; restore",
            ),
            (Refusal::of(path(), "read", io::ErrorKind::Other.into()), "cannot read it"),
        ] {
            let line = refusal.to_string();
            assert!(line.starts_with(&path()) && line.contains(part), "{line}");
            assert!(!line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
