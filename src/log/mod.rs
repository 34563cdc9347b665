//! The log: one line an event to standard error, as text or as JSON.
//!
//! A line leaves in one write, so lines of different threads never mix, and without a buffer, so
//! the last one before a crash is there. Every place in the code that logs may do so only so often
//! ([`limit`]): a peer who can provoke a line cannot fill a disk with it. Below the level in force
//! a call costs one load.
//!
//! The lines an operator waits for (`listening on …`, the final statistics) are no events, and are
//! printed whatever the level. Not here: the access log, which is buffered.

mod limit;
mod line;

use std::io::{self, Write};
use std::panic::Location;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

pub use line::Value;

/// How much an event matters; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something is lost or does not work.
    Error,
    /// Something is refused or degraded, and the server goes on.
    Warn,
    /// What an operator wants to know on a usual day.
    Info,
    /// What a developer wants to know.
    Debug,
}

impl Level {
    /// All levels with the names they have on the command line and in the log.
    pub const NAMES: [(&str, Self); 4] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];

    /// The name in the log.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// `2026-11-23T20:00:00.123Z WARN  accept failed error="too many open files"`
    Text,
    /// `{"ts":"2026-11-23T20:00:00.123Z","level":"warn","message":"accept failed",…}`
    Json,
}

impl Format {
    /// Both formats with the names they have on the command line.
    pub const NAMES: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

/// A line's named values, in the order in which they are to appear.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Value)];

// Set once at the start and independent of other memory, so `Relaxed` is enough.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);
static SITES: limit::Sites = limit::Sites::new();

/// Sets what is logged and how, for the whole process; until then it is `info` and `text`.
pub fn init(level: Level, format: Format) {
    LEVEL.store(level as u8, Ordering::Relaxed);
    FORMAT.store(format as u8, Ordering::Relaxed);
}

/// Whether events of `level` are logged; for callers whose fields are costly to make.
pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Prints a line that an operator waits for to standard error, whatever the level, and like all lines
/// in one write: at a restart two processes print to the same place.
pub fn say(line: &str) {
    // As with a line of the log, there is no place to say that it cannot be written.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Logs that something is lost or does not work.
#[track_caller]
pub fn error(message: &str, fields: Fields) {
    log(Level::Error, message, fields);
}

/// Logs that something is refused or degraded.
///
/// ```
/// # let error = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
/// millrace::log::warn("accept failed", &[("error", &error), ("worker", &3)]);
/// ```
#[track_caller]
pub fn warn(message: &str, fields: Fields) {
    log(Level::Warn, message, fields);
}

/// Logs what an operator wants to know on a usual day.
#[track_caller]
pub fn info(message: &str, fields: Fields) {
    log(Level::Info, message, fields);
}

/// Logs what a developer wants to know.
#[track_caller]
pub fn debug(message: &str, fields: Fields) {
    log(Level::Debug, message, fields);
}

#[track_caller]
fn log(level: Level, message: &str, fields: Fields) {
    if enabled(level) {
        // Unlocked, as std's standard error does not buffer and one write needs no lock.
        emit(&mut io::stderr(), &SITES, Location::caller(), level, message, fields);
    }
}

/// Writes the line unless `site` has had its share, and in a single call.
fn emit(
    output: &mut impl Write,
    sites: &limit::Sites,
    site: &'static Location<'static>,
    level: Level,
    message: &str,
    fields: Fields,
) {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let Some(suppressed) = sites.admit(site, time.as_secs()) else { return };
    let json = FORMAT.load(Ordering::Relaxed) == Format::Json as u8;
    let format = if json { Format::Json } else { Format::Text };
    let line = line::render(format, time, level, message, fields, suppressed);
    // A log that cannot be written has no place to say so, and must not stop the server.
    let _ = output.write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LOG_LINES_PER_SITE_MAX;

    /// Remembers what came with each write.
    #[derive(Default)]
    struct Writes(Vec<String>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_write_and_a_flood_is_cut() {
        let (mut writes, sites) = (Writes::default(), limit::Sites::new());
        let site = Location::caller();
        for count in 0..3 * LOG_LINES_PER_SITE_MAX {
            emit(&mut writes, &sites, site, Level::Warn, "again", &[("count", &count)]);
        }
        // The flood may fall into two windows, never into three.
        let allowed = LOG_LINES_PER_SITE_MAX as usize..=2 * LOG_LINES_PER_SITE_MAX as usize;
        assert!(allowed.contains(&writes.0.len()), "{:?}", writes.0);
        for write in &writes.0 {
            assert!(write.contains(" WARN  again count=") && write.ends_with('\n'), "{write:?}");
            assert_eq!(write.matches('\n').count(), 1);
        }
    }

    #[test]
    fn levels_are_ordered_and_named() {
        for (name, level) in Level::NAMES {
            assert_eq!(level.name(), name);
        }
        assert!(Level::NAMES.is_sorted_by_key(|(_, level)| level));
        assert!(enabled(Level::Error) && enabled(Level::Info) && !enabled(Level::Debug));
    }
}
