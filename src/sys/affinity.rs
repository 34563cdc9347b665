//! The processors that the process may use, and binding a thread to one of them.
//!
//! Workers have numbers from 0, but the allowed processors may be any set (a container's cpuset,
//! `taskset`). So worker `i` gets the `i`-th processor *of that set*, and the count starts over when
//! there are more workers than processors. The set is that of the main thread, which is never bound: the
//! calling thread's own set has one processor once it is bound.

#![allow(unsafe_code)] // sched_getaffinity(2) and sched_setaffinity(2) have no safe wrapper in std.

use std::mem::{size_of, zeroed};
use std::{io, process, thread};

/// Returns how many threads can run at once: the number of allowed processors, or fewer where a
/// cgroup's quota is smaller; 1 where the system does not tell.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Binds the calling thread to the `index`-th processor that the process may use, counted modulo their
/// number, and returns that processor.
///
/// # Errors
///
/// Those of sched_setaffinity(2), for instance on a machine of more than 1,024 processors, whose masks
/// do not fit the C library's fixed one.
pub fn pin(index: usize) -> io::Result<usize> {
    let allowed = members(&mask(process::id())?);
    let processor = *allowed
        .get(index % allowed.len().max(1))
        .ok_or_else(|| io::Error::other("the process may use no processor"))?;
    bind(processor)?;
    Ok(processor)
}

/// Lowers the priority of the calling thread (nice(1)): other threads run first where there are fewer
/// processors than threads that could run.
///
/// # Errors
///
/// Those of setpriority(2).
pub fn yield_to_others() -> io::Result<()> {
    const NICENESS: libc::c_int = 10;
    // SAFETY: setpriority(2) takes numbers; on Linux 0 means the calling thread.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS as _, 0, NICENESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn bind(processor: usize) -> io::Result<()> {
    // SAFETY: a `cpu_set_t` is an array of integers, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: CPU_SET indexes the set's own array and panics beyond it; `set` is ours.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: `set` outlives the call and the size is its own; 0 means the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the mask of a thread; 0 means the calling thread, a process's id its main thread.
fn mask(thread: u32) -> io::Result<libc::cpu_set_t> {
    // SAFETY: as in `bind`.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    let bytes = size_of::<libc::cpu_set_t>();
    // SAFETY: the kernel writes at most `bytes` bytes into `set`, which has as many.
    match unsafe { libc::sched_getaffinity(thread.cast_signed(), bytes, &mut set) } {
        0 => Ok(set),
        _ => Err(io::Error::last_os_error()),
    }
}

fn members(set: &libc::cpu_set_t) -> Vec<usize> {
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: CPU_ISSET reads the set's own array, and the index is below its size in bits.
        .filter(|&processor| unsafe { libc::CPU_ISSET(processor, set) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_reads_back_the_processor_it_asked_for() {
        let allowed = members(&mask(process::id()).unwrap());
        assert!(!allowed.is_empty() && processors() <= allowed.len());
        for index in 0..2 * allowed.len() {
            let expected = allowed[index % allowed.len()];
            // One thread is bound twice: the second time must not be limited by the first.
            thread::spawn(move || {
                pin(index + 1).unwrap();
                assert_eq!(pin(index).unwrap(), expected);
                assert_eq!(members(&mask(0).unwrap()), [expected]);
            })
            .join()
            .unwrap();
        }
    }

    #[test]
    fn a_processor_that_is_not_there_is_an_error() {
        let last = libc::CPU_SETSIZE as usize - 1;
        if !members(&mask(process::id()).unwrap()).contains(&last) {
            assert!(thread::spawn(move || bind(last)).join().unwrap().is_err());
        }
    }
}
