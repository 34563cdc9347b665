//! `/live`: the data of the dashboard, as server-sent events (WHATWG HTML, 9.2).
//!
//! This file writes an event. `server/streams.rs` sends the same event to all watchers, four
//! times a second.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::json::write_statistics;
use super::metrics::request_errors;
use super::shared::Shared;
use crate::journal::Figures;
use crate::limits::{LIVE_RETRY_MS, LIVE_TICK_MS};
use crate::sys::clock;

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

/// Appends one event, a line of JSON. Everything except the errors and the connections is of one instant.
fn write_event(out: &mut Vec<u8>, shared: &Shared) {
    let snapshot = shared.statistics.snapshot();
    let now_ns = clock::exact_ns();
    let up_ms = now_ns.saturating_sub(shared.started_ns) / 1_000_000;
    let version = env!("CARGO_PKG_VERSION");
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(out, "data: {{\"version\":\"{version}\",\"upMs\":{up_ms},\"stats\":");
    write_statistics(out, &snapshot);
    let connections = shared.server_meters.iter().map(|meters| meters.connections.read());
    let _ = write!(
        out,
        ",\"connections\":{},\"watchers\":{},\"workers\":[",
        connections.sum::<u64>(),
        shared.streams.open()
    );
    for (worker, (events, meters)) in
        snapshot.worker_events.iter().zip(&shared.server_meters[..]).enumerate()
    {
        let comma = if worker > 0 { "," } else { "" };
        let _ = write!(out, "{comma}[{events},{}]", meters.connections.read());
    }
    out.extend_from_slice(b"],");
    if let Some(keeper) = shared.keeper() {
        write_state(out, &keeper.figures());
    }
    out.extend_from_slice(b"\"errors\":{");
    let errors = request_errors(shared).filter(|&(_, count)| count > 0);
    for (i, (reason, count)) in errors.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{reason}\":{count}");
    }
    out.extend_from_slice(b"}}\n\n");
}

/// Appends the member about the state directory.
fn write_state(out: &mut Vec<u8>, figures: &Figures) {
    let Figures { fsync, counted, disk_bytes, disk_full, recovery, .. } = figures;
    let (mode, synced_unix_s) = (fsync.name(), counted.last_sync_unix_s);
    let recovery_ms = recovery.as_millis();
    let _ = write!(
        out,
        "\"state\":{{\"fsync\":\"{mode}\",\"syncedUnixS\":{synced_unix_s},\"bytes\":{disk_bytes},\"full\":{disk_full},\"recoveryMs\":{recovery_ms}}},"
    );
}
