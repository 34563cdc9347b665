//! The logs: the main one, one line for each event to standard error, as text or as JSON, and the
//! way of the access log to standard output.
//!
//! No thread of the server waits for either of them ([`output`]): lines go to a queue, and a thread of
//! its own writes them, each line in one piece. Lines that the output does not take are dropped whole
//! and counted. A program that ends calls [`finish`], which gives the last lines a short time to leave.
//!
//! Every place in the code that logs may do so only a number of times in a number of seconds
//! ([`limit`]), so that a client that can provoke a line cannot fill a disk with it. Below the level in
//! force a call costs one load.
//!
//! The lines that an operator waits for (`listening on …`, the final statistics, the reason of a
//! failure) are no events: they are printed at every level, as plain text or, if the format is JSON, as
//! JSON too. The content of the access log is not the subject of this room.

mod level;
mod limit;
mod line;
mod output;
mod queue;
mod writer;

use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use crate::limits::{ACCESS_LOG_GATHER_MS, ACCESS_LOG_QUEUE_BYTES_MAX, LOG_QUEUE_BYTES_MAX};
pub use level::{Format, Level};
pub use line::{Fields, Json, Value};
pub use output::Output;

// Set once at the start and independent of other memory, so `Relaxed` is enough.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);
static SITES: limit::Sites = limit::Sites::new();

static MAIN: Output = Output::new(output::Settings {
    name: "main",
    is_main: true,
    queue_bytes_max: LOG_QUEUE_BYTES_MAX,
    gather: Duration::ZERO,
    warn: |message, fields| warn(message, fields),
});
static ACCESS: Output = Output::new(output::Settings {
    name: "access",
    is_main: false,
    queue_bytes_max: ACCESS_LOG_QUEUE_BYTES_MAX,
    gather: Duration::from_millis(ACCESS_LOG_GATHER_MS),
    warn: |message, fields| warn(message, fields),
});

/// Sets level and format of the main log, for the whole process; until then they are `info` and
/// `text`.
pub fn init(level: Level, format: Format) {
    LEVEL.store(level as u8, Ordering::Relaxed);
    FORMAT.store(format as u8, Ordering::Relaxed);
}

/// Returns whether events of `level` are logged; for callers whose fields are costly to make.
pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Starts the threads that write the logs; until then lines are written at once. To be called when the
/// signals are blocked that the main thread waits for, and after everything that looks for descriptors
/// by their number.
///
/// # Errors
/// If there is no memory, no descriptor or no thread for it.
pub fn start(with_access_log: bool) -> io::Result<()> {
    MAIN.start(io::stderr().as_fd().try_clone_to_owned()?)?;
    if with_access_log {
        ACCESS.start(io::stdout().as_fd().try_clone_to_owned()?)?;
    }
    Ok(())
}

/// Confines the threads that write the logs, see [`sandbox`](crate::sys::sandbox).
pub fn confine() {
    MAIN.confine();
    ACCESS.confine();
}

/// Gives the lines of both logs a short time to leave; to be called before the process ends. Does not
/// wait longer for an output that takes nothing.
pub fn finish() {
    finish_access();
    MAIN.finish();
}

/// Does the same for the access log alone, so that a message about it comes before the last
/// line of the main log.
pub fn finish_access() {
    ACCESS.finish();
}

/// The access log. Its lines are dropped before [`start`].
pub fn access() -> &'static Output {
    &ACCESS
}

/// Returns how many lines of each log were dropped, with the name of the log.
pub fn lines_dropped() -> [(&'static str, u64); 2] {
    [&MAIN, &ACCESS].map(|output| (output.name(), output.lines_dropped()))
}

/// Prints what an operator waits for, at every level: `text` as it is or, if the format is JSON, a line
/// with this message and these fields.
pub fn say(level: Level, text: &str, message: &str, fields: Fields) {
    match format() {
        Format::Text => MAIN.put(format!("{text}\n").as_bytes()),
        Format::Json => {
            MAIN.put(line::render(Format::Json, now(), level, message, fields, 0).as_bytes());
        }
    }
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

/// Logs news for an operator on a usual day.
#[track_caller]
pub fn info(message: &str, fields: Fields) {
    log(Level::Info, message, fields);
}

/// Logs details for a developer.
#[track_caller]
pub fn debug(message: &str, fields: Fields) {
    log(Level::Debug, message, fields);
}

#[track_caller]
fn log(level: Level, message: &str, fields: Fields) {
    if enabled(level)
        && let Some(line) = line_of(&SITES, Location::caller(), level, message, fields)
    {
        MAIN.put(line.as_bytes());
    }
}

/// Makes the line, unless `site` has had its share.
fn line_of(
    sites: &limit::Sites,
    site: &'static Location<'static>,
    level: Level,
    message: &str,
    fields: Fields,
) -> Option<String> {
    let time = now();
    let suppressed = sites.admit(site, time.as_secs())?;
    Some(line::render(format(), time, level, message, fields, suppressed))
}

fn format() -> Format {
    let is_json = FORMAT.load(Ordering::Relaxed) == Format::Json as u8;
    if is_json { Format::Json } else { Format::Text }
}

/// Returns the time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LOG_LINES_PER_SITE_MAX;

    #[test]
    fn a_flood_is_cut() {
        let (sites, site) = (limit::Sites::new(), Location::caller());
        let lines: Vec<String> = (0..3 * LOG_LINES_PER_SITE_MAX)
            .filter_map(|count| line_of(&sites, site, Level::Warn, "again", &[("count", &count)]))
            .collect();
        // The flood may fall into two windows, never into three.
        let allowed = LOG_LINES_PER_SITE_MAX as usize..=2 * LOG_LINES_PER_SITE_MAX as usize;
        assert!(allowed.contains(&lines.len()), "{lines:?}");
        for line in &lines {
            assert!(line.contains(" WARN  again count=") && line.ends_with('\n'), "{line:?}");
            assert_eq!(line.matches('\n').count(), 1);
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
