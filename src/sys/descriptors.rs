//! The limit of open descriptors, and one descriptor that is held in reserve.
//!
//! A server that has used up its descriptors cannot even accept a client to refuse it. The
//! [`Reserve`] is a descriptor that can be given up for that moment: release it, accept, answer
//! `503`, close, restore it.

#![allow(unsafe_code)] // getrlimit(2), setrlimit(2) and eventfd(2) have no safe wrapper in std.

use std::io;
use std::mem::zeroed;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Raises the soft limit of open descriptors to the hard one, and returns the limit then in force.
///
/// The soft limit is often 1,024 for the sake of programs that use select(2).
///
/// # Errors
///
/// Those of getrlimit(2) and setrlimit(2).
pub fn raise_limit() -> io::Result<u64> {
    let mut limit = read_limit()?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        write_limit(&limit)?;
    }
    Ok(limit.rlim_cur)
}

/// Returns the soft limit of open descriptors.
///
/// # Errors
///
/// Those of getrlimit(2).
pub fn limit() -> io::Result<u64> {
    read_limit().map(|limit| limit.rlim_cur)
}

/// Takes descriptor `number`, which the process was started with (sd_listen_fds(3)). Programs that
/// this process starts do not get it. Must be called once for each number, before any other descriptor
/// is opened.
///
/// # Errors
///
/// `EBADF` if it is not open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) takes numbers, and fails when the first is no descriptor.
    let status = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if status == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and the caller promises that nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A descriptor that is held back and given up when all others are in use.
#[derive(Debug)]
pub struct Reserve {
    held: Option<OwnedFd>,
}

impl Reserve {
    /// Takes the descriptor.
    ///
    /// # Errors
    ///
    /// Those of eventfd(2), when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { held: Some(take()?) })
    }

    /// Gives the descriptor up, so that the next call that needs one succeeds. Returns false if it
    /// was given up before.
    pub fn release(&mut self) -> bool {
        self.held.take().is_some()
    }

    /// Takes a descriptor again if it was given up. Returns false if none is left; the caller tries
    /// again after a close.
    pub fn restore(&mut self) -> bool {
        if self.held.is_none() {
            self.held = take().ok();
        }
        self.held.is_some()
    }
}

/// Opens a descriptor that needs no file and no device, so that a confined thread can open it too.
fn take() -> io::Result<OwnedFd> {
    // SAFETY: eventfd(2) takes numbers.
    match unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just opened it, so nothing else owns it.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

fn read_limit() -> io::Result<libc::rlimit> {
    // SAFETY: an `rlimit` is two integers, for which all zeros is a value.
    let mut limit: libc::rlimit = unsafe { zeroed() };
    // SAFETY: the kernel writes one `rlimit`, to where one lives.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

fn write_limit(limit: &libc::rlimit) -> io::Result<()> {
    // SAFETY: the kernel reads one `rlimit`, which outlives the call.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::alone;
    use super::*;
    use std::iter;

    #[test]
    fn the_soft_limit_rises_to_the_hard_one() {
        alone("sys::descriptors::tests::the_soft_limit_rises_to_the_hard_one", || {
            let hard = read_limit().unwrap().rlim_max;
            write_limit(&libc::rlimit { rlim_cur: 64, rlim_max: hard }).unwrap();
            assert_eq!(limit().unwrap(), 64);
            assert_eq!(raise_limit().unwrap(), hard);
            assert_eq!(limit().unwrap(), hard);
        });
    }

    #[test]
    fn the_reserve_lends_the_last_descriptor() {
        alone("sys::descriptors::tests::the_reserve_lends_the_last_descriptor", || {
            let hard = read_limit().unwrap().rlim_max;
            write_limit(&libc::rlimit { rlim_cur: 64, rlim_max: hard }).unwrap();
            let mut reserve = Reserve::new().unwrap();
            let mut others: Vec<OwnedFd> = iter::from_fn(|| take().ok()).collect();
            assert!(take().is_err() && Reserve::new().is_err());

            assert!(reserve.release() && !reserve.release());
            let refused = take().unwrap();
            assert!(!reserve.restore());
            drop(refused);
            assert!(reserve.restore() && reserve.restore());
            assert!(take().is_err());

            others.pop();
            assert!(take().is_ok());
        });
    }
}
