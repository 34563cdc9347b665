//! The JSON texts of answers.

use crate::stats::Snapshot;

/// Returns `{"error":"…"}`. The message must not need escapes.
pub fn error_body(message: &str) -> Vec<u8> {
    debug_assert!(message.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\'));
    format!("{{\"error\":\"{message}\"}}").into_bytes()
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
