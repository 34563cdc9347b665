//! Figures of the kernel about this process, for the metrics that every Prometheus client library
//! calls `process_…`.
//!
//! They are read from files of `/proc` that are opened once: a thread that answers a scrape must not
//! open any ([`sandbox`](super::sandbox)). A reading takes some ten microseconds. The start time is
//! computed once, because the kernel derives it from a boot time that it may round differently each
//! time.

#![allow(unsafe_code)] // sysconf(3), fstat(2) and getdents64(2) are not in std.

use std::fs::{self, File};
use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use super::descriptors;

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// Processor time used in user and kernel space, in seconds: `process_cpu_seconds_total`.
    pub cpu_seconds: f64,
    /// Open descriptors: `process_open_fds`.
    pub descriptors: u64,
    /// The soft limit of open descriptors: `process_max_fds`.
    pub descriptors_max: u64,
    /// Mapped memory, in bytes: `process_virtual_memory_bytes`.
    pub virtual_bytes: u64,
    /// Memory in RAM, in bytes: `process_resident_memory_bytes`.
    pub resident_bytes: u64,
    /// Start of the process, in seconds since 1970: `process_start_time_seconds`.
    pub start_unix_seconds: f64,
    /// Threads: `process_threads`.
    pub threads: u64,
}

/// What readings are made from.
#[derive(Debug)]
pub struct Source {
    /// `/proc/self/stat`.
    stat: File,
    /// The folder `/proc/self/fd`. Locked, because listing it moves a position.
    descriptors: Mutex<File>,
    start_unix_seconds: f64,
    ticks_per_second: f64,
    page_bytes: u64,
}

impl Source {
    /// Opens the files.
    ///
    /// # Errors
    ///
    /// Those of open(2), for instance where `/proc` is not mounted (some containers); `InvalidData`
    /// where it does not read as proc(5) says.
    pub fn open() -> io::Result<Source> {
        let ticks_per_second = sysconf(libc::_SC_CLK_TCK) as f64;
        let stat = File::open("/proc/self/stat")?;
        let start_seconds = Stat::read(&stat)?.start_ticks as f64 / ticks_per_second;
        Ok(Source {
            stat,
            descriptors: Mutex::new(File::open("/proc/self/fd")?),
            start_unix_seconds: boot_unix_seconds()? + start_seconds,
            ticks_per_second,
            page_bytes: sysconf(libc::_SC_PAGESIZE) as u64,
        })
    }

    /// Returns the processor time that was used, in seconds, and the memory in RAM, in bytes. This is the
    /// cheap part of a reading: descriptors are not counted.
    ///
    /// # Errors
    ///
    /// Those of reading the file.
    pub fn usage(&self) -> io::Result<(f64, u64)> {
        Stat::read(&self.stat).map(|stat| self.usage_of(&stat))
    }

    fn usage_of(&self, stat: &Stat) -> (f64, u64) {
        (stat.cpu_ticks as f64 / self.ticks_per_second, stat.resident_pages * self.page_bytes)
    }

    /// Makes a reading.
    ///
    /// # Errors
    ///
    /// Those of reading the files.
    pub fn read(&self) -> io::Result<Process> {
        let stat = Stat::read(&self.stat)?;
        let (cpu_seconds, resident_bytes) = self.usage_of(&stat);
        Ok(Process {
            cpu_seconds,
            descriptors: self.open_descriptors()?,
            descriptors_max: descriptors::limit()?,
            virtual_bytes: stat.virtual_bytes,
            resident_bytes,
            start_unix_seconds: self.start_unix_seconds,
            threads: stat.threads,
        })
    }

    /// Returns the number of open descriptors. Since Linux 6.2 that is the size of the folder. Before,
    /// the folder must be listed, which takes a millisecond for some thousand connections.
    fn open_descriptors(&self) -> io::Result<u64> {
        // No reader leaves the position in a state that the next one does not repair.
        let folder = self.descriptors.lock().unwrap_or_else(PoisonError::into_inner);
        match size(&folder)? {
            0 => count_entries(&folder),
            count => Ok(count),
        }
    }
}

/// Returns the size of a file. std asks by way of statx(2), which can also follow paths and is
/// therefore not allowed to workers; so may the C library.
fn size(file: &File) -> io::Result<u64> {
    // SAFETY: a `stat` is made of integers, for which all zeros is a value.
    let mut stat: libc::stat = unsafe { zeroed() };
    // SAFETY: the kernel writes one `stat`, to where one lives.
    match unsafe { libc::syscall(libc::SYS_fstat, file.as_raw_fd(), &raw mut stat) } {
        0 => Ok(stat.st_size.cast_unsigned()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the number of entries of a folder, without `.` and `..`. std would open the folder again.
fn count_entries(folder: &File) -> io::Result<u64> {
    /// Where a `linux_dirent64` holds its length.
    const LENGTH_AT: usize = 16;
    // SAFETY: lseek(2) takes numbers.
    if unsafe { libc::lseek(folder.as_raw_fd(), 0, libc::SEEK_SET) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let mut count: u64 = 0;
    let mut room = [0_u64; 1024];
    let bytes = size_of_val(&room);
    loop {
        let fd = folder.as_raw_fd();
        // SAFETY: the kernel writes at most `bytes` bytes into `room`, which is aligned for entries.
        let filled = unsafe { libc::syscall(libc::SYS_getdents64, fd, room.as_mut_ptr(), bytes) };
        match usize::try_from(filled) {
            Err(_) => return Err(io::Error::last_os_error()),
            Ok(0) => return Ok(count.saturating_sub(2)),
            Ok(filled) => {
                let mut at = 0;
                while at < filled {
                    // Entries are aligned to 8 bytes, and the length is the first 16 bits of a word.
                    let word = room[(at + LENGTH_AT) / size_of::<u64>()].to_ne_bytes();
                    at += usize::from(u16::from_ne_bytes([word[0], word[1]])).max(LENGTH_AT);
                    count += 1;
                }
            }
        }
    }
}

/// The fields of `/proc/self/stat` used here, in the units of proc(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(file: &File) -> io::Result<Self> {
        let mut line = [0; 1024];
        let length = file.read_at(&mut line, 0)?;
        str::from_utf8(&line[..length]).ok().and_then(Self::parse).ok_or_else(malformed)
    }

    fn parse(line: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may hold spaces and
        // parentheses too. So the third field, numbered as in proc(5), follows the last parenthesis.
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Returns the moment of boot.
fn boot_unix_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
        .ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "/proc does not read as proc(5) says")
}

fn sysconf(name: libc::c_int) -> libc::c_long {
    // SAFETY: sysconf(3) takes a number. Linux has a value for each of the two that are asked for.
    unsafe { libc::sysconf(name) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::alone;
    use super::*;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    #[test]
    fn the_name_of_the_program_does_not_shift_the_fields() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 100 11 0 0 20 0 6 0 777 888 999 18446744073709551615";
        let stat = Stat {
            cpu_ticks: 111,
            threads: 6,
            start_ticks: 777,
            virtual_bytes: 888,
            resident_pages: 999,
        };
        for name in ["millrace", "a b", ") S 1 (", ""] {
            assert_eq!(Stat::parse(&format!("42 ({name}) {rest}")).as_ref(), Some(&stat), "{name}");
        }
        for line in ["", "42 (millrace", "42 (millrace) S 1 2", "1 (m) S x x x x x x x x x x x"] {
            assert_eq!(Stat::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_reading_is_plausible_and_follows_what_the_process_does() {
        alone(
            "sys::process::tests::a_reading_is_plausible_and_follows_what_the_process_does",
            || {
                let source = Source::open().unwrap();
                let before = source.read().unwrap();
                assert!(before.threads >= 1);
                assert!(
                    before.resident_bytes > 100_000 && before.resident_bytes < before.virtual_bytes
                );
                assert!(before.descriptors >= 5 && before.descriptors < before.descriptors_max);

                let files: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
                let memory = vec![1_u8; 16 << 20];
                // Waits until it shows: on a busy machine a tick of processor time takes a while.
                let start = Instant::now();
                while source.read().unwrap().cpu_seconds <= before.cpu_seconds {
                    black_box(&memory);
                    assert!(
                        start.elapsed() < Duration::from_secs(20),
                        "processor time stands still"
                    );
                }
                let after = source.read().unwrap();
                assert!(after.descriptors >= before.descriptors + 100, "{before:?} {after:?}");
                assert!(after.resident_bytes >= before.resident_bytes + (8 << 20));
                assert!(after.cpu_seconds > before.cpu_seconds);
                assert_eq!(after.start_unix_seconds, before.start_unix_seconds);
                drop(files);
            },
        );
    }

    #[test]
    fn descriptors_are_counted_alike_in_three_ways() {
        alone("sys::process::tests::descriptors_are_counted_alike_in_three_ways", || {
            let source = Source::open().unwrap();
            // Enough to fill the room for entries several times.
            let files: Vec<File> = (0..3_000).map(|_| File::open("/dev/null").unwrap()).collect();
            for count in [files.len(), 1] {
                let files = &files[..count];
                let copies: Vec<File> =
                    files.iter().map(|file| file.try_clone().unwrap()).collect();
                let listed = count_entries(&source.descriptors.lock().unwrap()).unwrap();
                // std's own listing holds a descriptor.
                let expected = fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
                assert_eq!(listed, expected);
                assert!([listed, 0].contains(&size(&source.descriptors.lock().unwrap()).unwrap()));
                assert_eq!(source.open_descriptors().unwrap(), listed);
                drop(copies);
            }
        });
    }

    #[test]
    fn the_process_started_a_short_while_ago() {
        let now = super::super::clock::unix_seconds() as f64;
        let age = now - Source::open().unwrap().read().unwrap().start_unix_seconds;
        assert!((-2.0..3600.0).contains(&age), "{age} s");
    }
}
