//! The sandbox of a thread.

use crate::log;
use crate::sys::sandbox::{self, Rights};

/// Confines the calling thread, see [`sandbox`]; logs a warning if this kernel cannot.
pub fn confine(thread: &str, rights: &Rights) {
    if let Err(error) = sandbox::confine_thread(rights) {
        log::warn(
            "a thread keeps system calls that it does not need",
            &[("thread", &thread), ("error", &error)],
        );
    }
}
