//! The JSON texts of answers.

use crate::event::EventsError;
use crate::stats::Snapshot;

/// Returns `{"error":"…"}`. The message must not need escapes.
pub fn error_body(message: impl AsRef<str>) -> Vec<u8> {
    let message = message.as_ref();
    debug_assert!(message.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\'));
    format!("{{\"error\":\"{message}\"}}").into_bytes()
}

/// Returns the answer to a request whose events were counted.
pub fn counted_body(events: usize) -> Vec<u8> {
    format!("{{\"counted\":{events}}}").into_bytes()
}

/// Returns the answer to a list of events that is malformed.
pub fn malformed_body(error: &EventsError) -> Vec<u8> {
    let EventsError { cause, index, line, offset } = error;
    let message = cause.message();
    format!(
        "{{\"error\":\"{message}\",\"index\":{index},\"line\":{line},\"offset\":{offset},\"counted\":0}}"
    )
    .into_bytes()
}

/// Appends the statistics in the form of `/stats`; `null` stands for a number beyond the range of a
/// double.
pub fn write_statistics(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let mut integers = itoa::Buffer::new();
    let mut floats = ryu::Buffer::new();
    out.extend_from_slice(b"{\"totalRequests\":");
    out.extend_from_slice(integers.format(snapshot.events).as_bytes());
    out.extend_from_slice(b",\"uniqueUsers\":");
    out.extend_from_slice(integers.format(snapshot.users).as_bytes());
    for (name, value) in [(&b",\"sum\":"[..], snapshot.sum), (b",\"avg\":", snapshot.average())] {
        out.extend_from_slice(name);
        out.extend_from_slice(value.map_or("null", |value| floats.format(value)).as_bytes());
    }
    out.push(b'}');
}
