//! What the kernel knows of this process, for the metrics every Prometheus client library names
//! `process_…`.
//!
//! Read from `/proc` when asked, at some twenty microseconds a time; nothing is kept but the
//! start time, which the kernel derives from a boot time it may round differently each time.

#![allow(unsafe_code)] // sysconf(3) says the units of /proc/self/stat, and is not in std.

use std::sync::OnceLock;
use std::{fs, io};

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
    /// When the process started, in seconds since 1970: `process_start_time_seconds`.
    pub start_unix_seconds: f64,
    /// Threads: `process_threads`.
    pub threads: u64,
}

impl Process {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// Where `/proc` is not mounted (some containers), or reads otherwise than proc(5) says.
    pub fn read() -> io::Result<Self> {
        let stat = Stat::parse(&fs::read_to_string("/proc/self/stat")?).ok_or_else(malformed)?;
        let ticks = ticks_per_second();
        Ok(Self {
            cpu_seconds: stat.cpu_ticks as f64 / ticks,
            descriptors: open_descriptors()?,
            descriptors_max: descriptors::limit()?,
            virtual_bytes: stat.virtual_bytes,
            resident_bytes: stat.resident_pages * page_bytes(),
            start_unix_seconds: boot_unix_seconds()? + stat.start_ticks as f64 / ticks,
            threads: stat.threads,
        })
    }
}

/// How many descriptors are open. Since Linux 6.2 the size of the folder says so; listing them,
/// which is what is left before that, takes a millisecond for some thousand connections.
fn open_descriptors() -> io::Result<u64> {
    match fs::metadata("/proc/self/fd")?.len() {
        // Less the one that lists them.
        0 => Ok((fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1)),
        count => Ok(count),
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
    fn parse(line: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may hold anything, also
        // spaces and parentheses: the third, numbered so in proc(5), follows the last of these.
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

/// The moment of boot, as first read.
fn boot_unix_seconds() -> io::Result<f64> {
    static BOOT: OnceLock<f64> = OnceLock::new();
    if let Some(&seconds) = BOOT.get() {
        return Ok(seconds);
    }
    let stat = fs::read_to_string("/proc/stat")?;
    let seconds = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
        .ok_or_else(malformed)?;
    Ok(*BOOT.get_or_init(|| seconds))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "/proc does not read as proc(5) says")
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf has no preconditions; Linux always knows these two.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

fn page_bytes() -> u64 {
    // SAFETY: as above.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::alone;
    use super::*;
    use std::fs::File;
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
                let before = Process::read().unwrap();
                assert!(before.threads >= 1);
                assert!(
                    before.resident_bytes > 100_000 && before.resident_bytes < before.virtual_bytes
                );
                assert!(before.descriptors >= 3 && before.descriptors < before.descriptors_max);

                let files: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
                let memory = vec![1_u8; 16 << 20];
                // Until it shows: on a busy machine a moment of processor time takes a while.
                let start = Instant::now();
                while Process::read().unwrap().cpu_seconds <= before.cpu_seconds {
                    black_box(&memory);
                    assert!(
                        start.elapsed() < Duration::from_secs(20),
                        "processor time stands still"
                    );
                }
                let after = Process::read().unwrap();
                assert!(after.descriptors >= before.descriptors + 100, "{before:?} {after:?}");
                let listed = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
                assert!(
                    after.descriptors.abs_diff(listed) < 50,
                    "{} of {listed}",
                    after.descriptors
                );
                assert!(after.resident_bytes >= before.resident_bytes + (8 << 20));
                assert!(after.cpu_seconds > before.cpu_seconds);
                assert_eq!(after.start_unix_seconds, before.start_unix_seconds);
                drop(files);
            },
        );
    }

    #[test]
    fn the_process_started_a_short_while_ago() {
        let now = super::super::clock::unix_seconds() as f64;
        let age = now - Process::read().unwrap().start_unix_seconds;
        assert!((-2.0..3600.0).contains(&age), "{age} s");
    }
}
