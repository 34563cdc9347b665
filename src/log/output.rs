//! Where lines go, so that no thread of the server ever waits for a log.
//!
//! Each of the two logs, the main one on standard error and the access log on standard output, has a
//! [`Queue`] and a thread of its own, the only thread that writes there. Standard error or output may
//! be a pipe without a reader, a full disk or a stopped terminal: then this thread waits, and the
//! others go on. To make the descriptor non-blocking instead would not do: the flag belongs to the
//! open file, which other processes share, and files block anyway. Lines for which the queue has no
//! room, and lines that the output refuses, are dropped whole and counted, and a line of the log reports it in
//! the main log.
//!
//! The thread copies bytes that clients have chosen, so it is confined like a worker as soon as the
//! process has given its privileges up. It needs three system calls, all of which workers need too.
//!
//! Before [`Output::start`] lines of the main log are written at once, by the thread that makes them: a
//! program that only prints an error and exits needs no more.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::line::{Fields, Value};
use super::queue::Queue;
use super::writer::Writer;
use crate::limits::{LOG_FINISH_MS, LOG_LOSS_WARNING_S, LOG_PROGRESS_MS};
use crate::sys::{clock, sandbox, signals};

/// What the two logs differ in.
pub(super) struct Settings {
    /// The name, in metrics and warnings.
    pub name: &'static str,
    /// Whether this is the log that gets the warnings.
    pub is_main: bool,
    /// Bytes that wait to be written.
    pub queue_bytes_max: usize,
    /// How long lines are gathered before they leave together.
    pub gather: Duration,
    /// Writes a warning to the main log.
    pub warn: fn(&str, Fields),
}

/// One of the two logs.
pub struct Output {
    settings: Settings,
    queue: Queue,
    is_started: AtomicBool,
    is_to_be_confined: AtomicBool,
    is_given_up: AtomicBool,
    bytes_written: AtomicU64,
    lines_dropped: AtomicU64,
    /// The dropped lines that the main log has a warning of.
    lines_told: AtomicU64,
    /// The time of the last warning, in seconds since 1970.
    warned_unix_s: AtomicU64,
}

impl Output {
    /// Makes a log, which has not started.
    pub(super) const fn new(settings: Settings) -> Self {
        Self {
            queue: Queue::new(settings.queue_bytes_max),
            settings,
            is_started: AtomicBool::new(false),
            is_to_be_confined: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            bytes_written: AtomicU64::new(0),
            lines_dropped: AtomicU64::new(0),
            lines_told: AtomicU64::new(0),
            warned_unix_s: AtomicU64::new(0),
        }
    }

    /// Starts the thread that writes to `descriptor`.
    ///
    /// # Errors
    /// If there is no memory or no thread for it.
    pub(super) fn start(&'static self, descriptor: OwnedFd) -> io::Result<()> {
        let batch = self.queue.reserve().map_err(|_| ErrorKind::OutOfMemory)?;
        let file = File::from(descriptor);
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        thread::Builder::new()
            .name(format!("{}-log", self.settings.name))
            .spawn(move || self.run(Writer::new(file, is_file, &self.bytes_written), batch))?;
        self.is_started.store(true, Ordering::Release);
        Ok(())
    }

    /// Passes whole lines on. Never waits once the log has started.
    pub fn put(&self, lines: &[u8]) {
        if !self.is_started.load(Ordering::Acquire) {
            if self.settings.is_main {
                // There is no place to report that standard error cannot be written.
                let _ = io::stderr().write_all(lines);
            }
            return;
        }
        let rest = self.queue.put(lines);
        if !rest.is_empty() {
            let reason = "the reader does not keep up";
            self.drop_lines(memchr::memchr_iter(b'\n', rest).count() as u64, &reason);
        }
    }

    /// Lets the thread give up the system calls that it does not need. To be called after
    /// [`sandbox::give_up_privileges`].
    pub(super) fn confine(&self) {
        if self.is_started.load(Ordering::Acquire) {
            self.is_to_be_confined.store(true, Ordering::Relaxed);
            self.queue.rouse();
        }
    }

    /// Waits until all lines are written, but only while the output takes any, and not for long; then
    /// the others are dropped. Warns of dropped lines that the main log has no warning of yet.
    pub(super) fn finish(&self) {
        if !self.is_started.load(Ordering::Acquire) {
            return;
        }
        let last_deadline = Instant::now() + Duration::from_millis(LOG_FINISH_MS);
        // An output that has taken nothing before is not waited for again.
        while !self.is_given_up.load(Ordering::Relaxed) {
            let bytes_written = self.bytes_written.load(Ordering::Relaxed);
            let deadline = Instant::now() + Duration::from_millis(LOG_PROGRESS_MS);
            if self.queue.wait_until_written(deadline.min(last_deadline)) {
                break;
            }
            let is_stuck = self.bytes_written.load(Ordering::Relaxed) == bytes_written;
            if is_stuck || Instant::now() >= last_deadline {
                self.is_given_up.store(true, Ordering::Relaxed);
            }
        }
        self.lines_dropped.fetch_add(self.queue.clear(), Ordering::Relaxed);
        self.tell(None);
    }

    /// Returns the name of the log.
    pub(super) const fn name(&self) -> &'static str {
        self.settings.name
    }

    /// Returns the number of lines that were dropped.
    pub(super) fn lines_dropped(&self) -> u64 {
        self.lines_dropped.load(Ordering::Relaxed)
    }

    fn run(&self, mut writer: Writer<'_, File>, mut batch: Vec<u8>) {
        // A signal is for the main thread. Besides, a write from the background to a terminal, and one
        // beyond the limit of file sizes, then fail or succeed instead of stopping the process.
        signals::block_all();
        loop {
            batch.clear();
            self.queue.take(&mut batch, self.settings.gather);
            if self.is_to_be_confined.swap(false, Ordering::Relaxed)
                && let Err(error) = sandbox::confine_thread(&sandbox::Rights::default())
            {
                (self.settings.warn)(
                    "a thread keeps system calls that it does not need",
                    &[("log", &self.name()), ("error", &error)],
                );
            }
            match writer.write(&batch) {
                Ok(()) if self.settings.is_main => self.tell(None),
                Ok(()) => {}
                Err(loss) => self.drop_lines(loss.lines, &loss.error),
            }
        }
    }

    /// Counts dropped lines. The main log gets a warning when that begins, and another one each
    /// minute while it goes on; about its own lines, only when it can be written again.
    fn drop_lines(&self, lines: u64, reason: &dyn Value) {
        self.lines_dropped.fetch_add(lines, Ordering::Relaxed);
        let now = clock::unix_seconds();
        let due = |last: u64| (last == 0 || now >= last + LOG_LOSS_WARNING_S).then_some(now);
        if !self.settings.is_main
            && self.warned_unix_s.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
        {
            self.tell(Some(reason));
        }
    }

    /// Warns of the dropped lines that the main log has no warning of yet.
    fn tell(&self, reason: Option<&dyn Value>) {
        let dropped = self.lines_dropped();
        if self.lines_told.swap(dropped, Ordering::Relaxed) < dropped {
            let name = self.name();
            let reason = reason.map(|reason| ("reason", reason));
            let fields = [("log", &name as &dyn Value), ("lines", &dropped)];
            let fields: Vec<_> = fields.into_iter().chain(reason).collect();
            (self.settings.warn)("log lines were dropped", &fields);
        }
    }
}
