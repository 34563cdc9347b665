//! What the state directory needs of the kernel beyond std: a lock on an open file, the right to use a
//! directory, the user that the process runs as, and the number of this boot.

#![allow(unsafe_code)] // flock(2) is in std only since Rust 1.89; faccessat(2) and geteuid(2) are not at all.

use std::ffi::CString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::errors::check;

/// The kernel's random number for the time from one start of the machine to the next.
pub type BootId = [u8; 16];

/// Takes the lock on an open file for this process alone; returns false if another process has it.
///
/// The lock belongs to the open file description. It goes with a descriptor that is passed on, and ends
/// when the last descriptor of it is closed, however the process ends (flock(2)).
///
/// # Errors
/// Those of flock(2), for instance on a file system without locks.
pub fn try_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    loop {
        // SAFETY: flock(2) takes numbers, and the descriptor is open.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            ErrorKind::WouldBlock => return Ok(false),
            ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// Checks that this process may list a directory, and make and remove files in it. Changes nothing.
///
/// # Errors
/// Those of faccessat(2).
pub fn check_usable(directory: &Path) -> io::Result<()> {
    let path = CString::new(directory.as_os_str().as_bytes())?;
    let mode = libc::R_OK | libc::W_OK | libc::X_OK;
    // SAFETY: faccessat(2) reads a string that ends in zero and lives for the call.
    let status = unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) };
    check(status)
}

/// Returns the user that decides what this process may do with files.
pub fn effective_user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Returns the number of this boot, or `None` where the kernel or a sandbox does not tell it.
pub fn boot_id() -> Option<BootId> {
    parse_boot_id(&fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?)
}

/// Reads a number in the form of RFC 9562: 32 digits, in groups.
fn parse_boot_id(text: &str) -> Option<BootId> {
    let digits: String = text.trim_end().chars().filter(|&character| character != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(&digits, 16).ok()?;
    // An emulated kernel that has no such number may show zeros.
    (number != 0).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::{env, process};

    #[test]
    fn a_lock_is_held_by_one_open_file_and_its_copies() {
        let path = env::temp_dir().join(format!("millrace-lock-{}", process::id()));
        let first = File::create(&path).unwrap();
        let second = File::open(&path).unwrap();
        assert!(try_lock(first.as_fd()).unwrap() && try_lock(first.as_fd()).unwrap());
        assert!(!try_lock(second.as_fd()).unwrap());
        let copy = first.try_clone().unwrap();
        drop(first);
        assert!(!try_lock(second.as_fd()).unwrap());
        drop(copy);
        assert!(try_lock(second.as_fd()).unwrap());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn boot_ids_are_read_or_not_there() {
        let id = parse_boot_id("67f38346-e0f8-49d0-8d04-422096c43bfe\n").unwrap();
        assert_eq!((id[0], id[15]), (0x67, 0xfe));
        for text in ["", "67f38346", "+7f38346-e0f8-49d0-8d04-422096c43bfe", &"0".repeat(32)] {
            assert_eq!(parse_boot_id(text), None, "{text}");
        }
        assert_eq!(boot_id(), boot_id());
    }
}
