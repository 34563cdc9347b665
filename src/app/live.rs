//! `/live`: the data of the dashboard, as server-sent events (WHATWG HTML, 9.2).
//!
//! This file writes an event. `server/streams.rs` sends the same event to all watchers, four
//! times a second.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::json::write_statistics;
use super::metrics::{answers_by_status, batches, request_errors};
use super::shared::Shared;
use crate::journal::Figures;
use crate::limits::{LIVE_RETRY_MS, LIVE_TICK_MS};
use crate::server::meters::{Cell, DURATION_BOUNDS_NS, Meters};
use crate::sys::{clock, process};

/// Starts to serve watchers; to be called once.
///
/// # Errors
/// If no thread can be started.
pub fn start(shared: &Arc<Shared>, confined: bool) -> io::Result<()> {
    let of_thread = Arc::clone(shared);
    shared.streams.start(Duration::from_millis(LIVE_TICK_MS), confined, move |line| {
        write_event(line, &of_thread);
    })
}

/// Appends the beginning of a stream: how soon a browser may reconnect after its end.
pub(super) fn write_beginning(out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "retry: {LIVE_RETRY_MS}\n\n");
}

/// Appends one event, a line of JSON. The statistics and the events of each worker are of one instant;
/// the other figures are read one after the other.
fn write_event(out: &mut Vec<u8>, shared: &Shared) {
    let snapshot = shared.statistics.snapshot();
    let now_ns = clock::exact_ns();
    let up_ms = now_ns.saturating_sub(shared.started_ns) / 1_000_000;
    let version = env!("CARGO_PKG_VERSION");
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(out, "data: {{\"version\":\"{version}\",\"upMs\":{up_ms},\"stats\":");
    write_statistics(out, &snapshot);
    let connections = total(shared, |meters| &meters.connections);
    let _ = write!(out, ",\"connections\":{connections},\"watchers\":{}", shared.streams.open());
    let workers = snapshot.worker_events.iter().zip(&shared.server_meters[..]);
    let workers =
        workers.map(|(events, meters)| format!("[{events},{}]", meters.connections.read()));
    write_list(out, "workers", '[', workers, ']');
    write_process(out, shared);
    write_requests(out, shared);
    if let Some(keeper) = shared.keeper() {
        write_state(out, &keeper.figures());
    }
    out.extend_from_slice(b"}\n\n");
}

/// Returns the sum of a cell over all threads that serve.
fn total(shared: &Shared, cell: impl Fn(&Meters) -> &Cell) -> u64 {
    shared.all_meters().map(|meters| cell(meters).read()).sum()
}

/// Appends a member whose value is an array or an object with these parts.
fn write_list(
    out: &mut Vec<u8>,
    name: &str,
    open: char,
    parts: impl Iterator<Item = impl Display>,
    close: char,
) {
    let _ = write!(out, ",\"{name}\":{open}");
    for (i, part) in parts.enumerate() {
        let _ = write!(out, "{}{part}", if i > 0 { "," } else { "" });
    }
    let _ = write!(out, "{close}");
}

/// Appends the members about the process: what it uses, and what it may use.
fn write_process(out: &mut Vec<u8>, shared: &Shared) {
    if let Some(Ok((cpu_s, memory_bytes))) = shared.process.as_ref().map(process::Source::usage) {
        let _ = write!(out, ",\"cpuS\":{cpu_s:.2},\"memoryBytes\":{memory_bytes}");
    }
    let received_bytes = total(shared, |meters| &meters.received_bytes);
    let sent_bytes = total(shared, |meters| &meters.sent_bytes);
    let _ = write!(out, ",\"receivedBytes\":{received_bytes},\"sentBytes\":{sent_bytes}");
    let _ = write!(out, ",\"connectionsMax\":{}", shared.connections_max());
    if let Some(users_max) = shared.users_max {
        let _ = write!(out, ",\"usersMax\":{users_max}");
    }
}

/// Appends the members about requests: answers by status, durations, batches, errors. They count
/// since the start, also after a reset.
fn write_requests(out: &mut Vec<u8>, shared: &Shared) {
    let answers = answers_by_status(shared).filter(|&(_, count)| count > 0);
    let answers = answers.map(|(code, count)| format!("\"{code}\":{count}"));
    write_list(out, "answers", '{', answers, '}');
    write_list(out, "boundsNs", '[', DURATION_BOUNDS_NS.iter(), ']');
    let classes = 0..=DURATION_BOUNDS_NS.len();
    let durations = classes.map(|class| total(shared, |meters| &meters.durations.classes[class]));
    write_list(out, "durations", '[', durations, ']');
    let (batches, events) = batches(&shared.request_meters);
    let _ = write!(out, ",\"batches\":[{batches},{events}]");
    let errors = request_errors(shared).filter(|&(_, count)| count > 0);
    let errors = errors.map(|(reason, count)| format!("\"{reason}\":{count}"));
    write_list(out, "errors", '{', errors, '}');
}

/// Appends the member about the state directory. The age of the last sync is by the server's clock, since
/// the browser's may differ.
fn write_state(out: &mut Vec<u8>, figures: &Figures) {
    let Figures { fsync, counted, disk_bytes, disk_full, recovery, .. } = figures;
    let (mode, recovery_ms) = (fsync.name(), recovery.as_millis());
    let _ = write!(out, ",\"state\":{{\"fsync\":\"{mode}\",\"syncAgeS\":");
    let _ = match counted.last_sync_unix_s {
        0 => out.write_all(b"null"),
        then => write!(out, "{}", clock::unix_seconds().saturating_sub(then)),
    };
    let _ =
        write!(out, ",\"bytes\":{disk_bytes},\"full\":{disk_full},\"recoveryMs\":{recovery_ms}}}");
}
