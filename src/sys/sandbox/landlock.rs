//! A second wall behind the filter for system calls: Landlock (landlock(7)), where the kernel has it.
//!
//! Landlock judges what a call means and not which call it is. A thread that is restricted opens no
//! file, binds and connects no TCP socket and sends no signal outside, by any call that the filter
//! might have forgotten. It is a restriction of threads and inherited by those that they start. A thread
//! that keeps a state directory may open the files there and no others.

#![allow(unsafe_code)] // landlock_create_ruleset(2) and landlock_restrict_self(2) are not in std.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

use crate::sys::errors::check;

/// `struct landlock_ruleset_attr` of linux/landlock.h. An older kernel takes a longer structure whose
/// rest is zero.
#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scopes: u64,
}

/// Accesses to files that version 1 has, from executing (bit 0) to making symbolic links (bit 12).
const FILES_OF_1: u64 = (1 << 13) - 1;
/// Each version that adds an access to files, with its bit: moving, truncating, requests to devices.
const FILES_LATER: [(i64, u64); 3] = [(2, 1 << 13), (3, 1 << 14), (5, 1 << 15)];
/// Binding and connecting TCP sockets.
const NETWORK_OF_4: u64 = 0b11;
/// Sockets with abstract names, and signals, of processes outside.
const SCOPES_OF_6: u64 = 0b11;

const CREATE_RULESET_VERSION: libc::c_uint = 1;
/// A rule for everything below a place.
const RULE_PATH_BENEATH: libc::c_uint = 1;
/// What a state directory needs: writing and reading files, listing, making files (bits 1, 2, 3, 8) and
/// truncating them (bit 14).
const IN_STATE_DIRECTORY: u64 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 8 | 1 << 14;
/// Reading a file.
const READING: u64 = 1 << 2;
/// By which a state directory finds out whether the machine has restarted.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    place: libc::c_int,
}

/// Takes all of that from the calling thread, except the files of `state`, as far as the kernel's
/// version of Landlock has it. Returns that version; 0 if the kernel has none, or does not use it.
///
/// # Errors
/// Those of landlock_restrict_self(2), and of opening `state`.
pub fn restrict_thread(state: Option<&Path>) -> io::Result<i64> {
    let version = create(ptr::null(), 0, CREATE_RULESET_VERSION);
    if version < 1 {
        return Ok(0);
    }
    let files = FILES_LATER.iter().filter(|(since, _)| version >= *since);
    let ruleset = Ruleset {
        files: files.fold(FILES_OF_1, |all, (_, bit)| all | bit),
        network: if version >= 4 { NETWORK_OF_4 } else { 0 },
        scopes: if version >= 6 { SCOPES_OF_6 } else { 0 },
    };
    let created = create(&raw const ruleset, size_of::<Ruleset>(), 0);
    check(created as i32)?;
    // SAFETY: the kernel has just opened it, so nothing else owns it.
    let created = unsafe { OwnedFd::from_raw_fd(created as i32) };
    if let Some(state) = state {
        allow(&created, &File::open(state)?, IN_STATE_DIRECTORY & ruleset.files)?;
        // Where there is none, the state directory does without.
        if let Ok(boot_id) = File::open(BOOT_ID) {
            allow(&created, &boot_id, READING)?;
        }
    }
    let ruleset = created.as_raw_fd();
    // SAFETY: landlock_restrict_self(2) takes numbers.
    let status = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) };
    check(status as i32)?;
    Ok(version)
}

/// Adds the rule that files at or below `place` may be used so.
fn allow(ruleset: &OwnedFd, place: &File, allowed: u64) -> io::Result<()> {
    let beneath = Beneath { allowed, place: place.as_raw_fd() };
    let (ruleset, rule) = (ruleset.as_raw_fd(), &raw const beneath);
    // SAFETY: the kernel reads one structure, which lives for the call.
    let status =
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, rule, 0) };
    check(status as i32)
}

fn create(ruleset: *const Ruleset, bytes: usize, flags: libc::c_uint) -> i64 {
    // SAFETY: the kernel reads this number of bytes of a structure that lives for the call.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ruleset, bytes, flags) }
}
