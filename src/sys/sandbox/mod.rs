//! Rights that are given up for good, so that an intruder does not find them.
//!
//! [`give_up_privileges`] takes all capabilities from a thread and those that it starts, and any way to
//! get some by starting a program. [`confine_thread`] does that too, and installs a seccomp filter
//! (seccomp(2)). Every thread of a server is confined, each with the rights that it needs: those that
//! handle what clients send, which are the workers, the thread of the dashboards and those of the logs
//! ([`calls`]), and the main thread with its helpers ([`supervisor`]). The filter sorts system calls
//! into
//!
//! - those such a thread needs, most of them with certain arguments only: allowed;
//! - those that only an intruder would make (starting programs, opening sockets or files for writing,
//!   executable memory, signals to others): the process ends on the spot;
//! - all others: they fail, most as if the kernel were too old to have them, for which C libraries are
//!   prepared. So a library that uses a new call one day does not end the server.
//!
//! Threads of one process share its memory, so an intruder in a worker can also change what the other
//! threads do, within their rights. What no thread may do is done by another process
//! ([`starter`](super::starter)). docs/security.md describes what is left to such an intruder.

#![allow(unsafe_code)] // prctl(2), capset(2) and seccomp(2) are not in std.

mod calls;
mod filter;
mod landlock;
mod rights;
mod supervisor;

use std::io;

use super::errors::check;
pub use rights::Rights;

/// Gives up all capabilities of the calling thread, and for it and all that it starts any way to new
/// ones. Must be called after the last port below 1024 is bound.
///
/// # Errors
/// The errors of prctl(2) and capset(2).
pub fn give_up_privileges() -> io::Result<()> {
    // SAFETY: prctl(2) takes numbers for this option.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // An ambient capability is a permitted one, so this drops those too.
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, process: 0 };
    let none = [CapabilityData { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: the kernel reads a header and, for this version, two sets, which live for the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } as i32)
}

/// Makes the kernel refuse all system calls to the calling thread, and to those it starts, except
/// those of `rights`, after it has given up its privileges. Where the kernel has Landlock, the thread
/// can reach no files and no other processes even by a call that is allowed.
///
/// # Errors
/// The errors of landlock_restrict_self(2) and seccomp(2), such as those of a kernel without filters; `Unsupported` on a processor
/// whose calls are not listed.
pub fn confine_thread(rights: &Rights) -> io::Result<()> {
    give_up_privileges()?;
    let restricted = landlock::restrict_thread(rights.state.as_deref());
    filter_calls(rights)?;
    restricted.map(drop)
}

fn filter_calls(rights: &Rights) -> io::Result<()> {
    let program = rights.program().ok_or(io::ErrorKind::Unsupported)?;
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_ptr().cast_mut(),
    };
    let install = |flags: libc::c_ulong| {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the kernel copies the program, which lives for the call.
        let status = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const filter) };
        check(status as i32)
    };
    // Without the flag, kernels before 5.16 switch off speculation past stores for the thread.
    install(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW).or_else(|_| install(0))
}

/// `struct __user_cap_header_struct` of capget(2), which the libc crate does not have.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    process: libc::c_int,
}

/// `struct __user_cap_data_struct`.
#[derive(Clone, Copy)]
#[repr(C)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[cfg(test)]
mod tests;
