//! The disk alone: how often a second it syncs a small write. Also how much a directory takes there, and
//! how to make the kernel forget what it has read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

const FILE_BYTES: usize = 1 << 20;
const SECTOR_BYTES: usize = 512;
const LASTS: Duration = Duration::from_millis(500);

/// Returns how often a second 512 bytes of an existing file can be overwritten and synced.
pub fn syncs_per_second(directory: &Path) -> Result<f64, String> {
    let path = directory.join("syncs");
    let measured = measure(&path);
    let _ = fs::remove_file(&path);
    measured.map_err(|error| format!("{}: {error}", path.display()))
}

fn measure(path: &Path) -> io::Result<f64> {
    let file = File::create(path)?;
    file.write_all_at(&[1; FILE_BYTES], 0)?;
    file.sync_all()?;
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < LASTS {
        let sector = count % (FILE_BYTES / SECTOR_BYTES);
        file.write_all_at(&[2; SECTOR_BYTES], (sector * SECTOR_BYTES) as u64)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Returns the bytes that the files of a directory take on the disk.
pub fn bytes_on_disk(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        // The unit of this field is 512 bytes on every file system.
        bytes += entry?.metadata()?.blocks() * 512;
    }
    Ok(bytes)
}

/// Makes the kernel forget the content of the files of a directory, so that they are read from the disk.
pub fn forget(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}
