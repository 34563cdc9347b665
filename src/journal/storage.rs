//! What the journal asks of a file system, and the real one.
//!
//! The traits are small so that tests can put a disk in memory behind them that yields every state a
//! crash can leave. There is no mapping of files: a full disk or a broken one is an error of a call, and
//! never a signal.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File as StdFile, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sys::files::{self, BootId};

/// A state directory.
pub trait Storage: Send + Sync + Debug {
    /// Returns the names in the directory, or `None` if there is no directory.
    ///
    /// # Errors
    /// Those of reading it.
    fn names(&self) -> io::Result<Option<Vec<String>>>;

    /// Makes the directory, for its owner alone.
    ///
    /// # Errors
    /// Those of mkdir(2), but that it is there already.
    fn make(&self) -> io::Result<()>;

    /// Opens a file to read and write.
    ///
    /// # Errors
    /// Those of open(2).
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file to read and write; makes an empty one if there is none of this name. What is in a
    /// file stays, as another process may have made it and hold its lock.
    ///
    /// # Errors
    /// Those of open(2).
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name, in place of the file that has it.
    ///
    /// # Errors
    /// Those of rename(2).
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file one more name.
    ///
    /// # Errors
    /// Those of link(2); there must not be a file of that name.
    fn link(&self, name: &str, other: &str) -> io::Result<()>;

    /// Makes all names durable, that of the directory too.
    ///
    /// # Errors
    /// Those of fsync(2).
    fn sync_names(&self) -> io::Result<()>;

    /// Returns the owner of a file, or of the directory for an empty name.
    ///
    /// # Errors
    /// Those of stat(2).
    fn owner(&self, name: &str) -> io::Result<u32>;

    /// Returns the user that this process runs as.
    fn user(&self) -> u32;

    /// Returns the number of this boot of the machine, if it can be known.
    fn boot(&self) -> Option<BootId>;

    /// Returns the path of a file for a message; of the directory for an empty name.
    fn path(&self, name: &str) -> String;
}

/// An open file. Offsets are the caller's, so that two processes may share the open file.
pub trait File: Send + Sync + Debug {
    /// Fills `bytes` from `at`.
    ///
    /// # Errors
    /// Those of pread(2); `UnexpectedEof` beyond the end.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `at`; the file grows as needed.
    ///
    /// # Errors
    /// Those of pwrite(2); then some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes all that was written durable, and the file's length. An error is final: the kernel forgets
    /// what it could not write, and a second call would report success.
    ///
    /// # Errors
    /// Those of fdatasync(2).
    fn sync(&self) -> io::Result<()>;

    /// Returns the length.
    ///
    /// # Errors
    /// Those of stat(2).
    fn bytes(&self) -> io::Result<u64>;

    /// Takes the lock for this process; returns false if another one has it.
    ///
    /// # Errors
    /// Those of flock(2).
    fn try_lock(&self) -> io::Result<bool>;

    /// Returns the descriptor, where there is one.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// A directory of the real file system.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Names a directory, which need not be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Directory { path: path.into() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Storage for Directory {
    fn names(&self) -> io::Result<Option<Vec<String>>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<_>>().map(Some)
    }

    fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(self.file(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        Ok(Arc::new(options.open(self.file(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.file(from), self.file(to))
    }

    fn link(&self, name: &str, other: &str) -> io::Result<()> {
        fs::hard_link(self.file(name), self.file(other))
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_directory(&self.path)?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        match sync_directory(parent.unwrap_or(Path::new("."))) {
            // A directory that may not be read cannot be synced; an administrator made ours in it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        }
    }

    fn owner(&self, name: &str) -> io::Result<u32> {
        Ok(fs::metadata(self.file(name))?.uid())
    }

    fn user(&self) -> u32 {
        files::effective_user()
    }

    fn boot(&self) -> Option<BootId> {
        files::boot_id()
    }

    fn path(&self, name: &str) -> String {
        let path = if name.is_empty() { self.path.clone() } else { self.file(name) };
        path.display().to_string()
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    StdFile::open(path)?.sync_all()
}

impl File for StdFile {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(bytes, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn try_lock(&self) -> io::Result<bool> {
        files::try_lock(self.as_fd())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}
