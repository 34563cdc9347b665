//! Errors of system calls: how a failed call shows, and what an error means where
//! `std::io::ErrorKind` has no name for it.

use std::io;

/// Returns the error of a system call that has returned this status, if it has failed.
///
/// # Errors
/// The last error of the operating system, if the status is -1.
pub fn check(status: i32) -> io::Result<()> {
    if status == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns whether the process or the system has no descriptor left (`EMFILE`, `ENFILE`).
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Returns whether the kernel has no memory left for the call (`ENOBUFS`, `ENOMEM`).
pub fn is_out_of_memory(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let error = io::Error::from_raw_os_error;
        assert!(
            is_out_of_descriptors(&error(libc::EMFILE))
                && is_out_of_descriptors(&error(libc::ENFILE))
        );
        assert!(is_out_of_memory(&error(libc::ENOBUFS)) && is_out_of_memory(&error(libc::ENOMEM)));
        assert!(
            !is_out_of_descriptors(&error(libc::EAGAIN))
                && !is_out_of_memory(&error(libc::ECONNABORTED))
        );
    }
}
