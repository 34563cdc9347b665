//! The signals by which an operator asks for something.
//!
//! They are blocked before the first thread starts, so that every thread inherits the mask, and then
//! fetched by one thread, one signal at a time: no handler runs between two instructions of a worker,
//! and no system call of a worker is interrupted. `SIGPIPE` needs nothing here: the runtime of Rust
//! ignores it before `main`, which a test below checks.

#![allow(unsafe_code)] // Signal masks and sigtimedwait(2) are not in std.

use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`, the interrupt key of a terminal.
    Interrupt,
    /// `SIGTERM`, what service managers and kill(1) send.
    Terminate,
    /// `SIGHUP`, the end of a terminal, or what programs that rotate logs send.
    HangUp,
    /// `SIGUSR2`, ours to define.
    User2,
}

const ALL: [(libc::c_int, Signal); 4] = [
    (libc::SIGINT, Signal::Interrupt),
    (libc::SIGTERM, Signal::Terminate),
    (libc::SIGHUP, Signal::HangUp),
    (libc::SIGUSR2, Signal::User2),
];

/// The signals of [`Signal`], blocked, and waiting to be fetched.
// Only `block` makes one, so the thread that waits has blocked them.
pub struct Signals {
    mask: libc::sigset_t,
}

impl Signals {
    /// Blocks the signals for the calling thread and every thread it starts from now on; to be
    /// called before the first. `SIGHUP` stays ignored if it is, as nohup(1) has it.
    ///
    /// # Errors
    ///
    /// What the kernel reports.
    pub fn block() -> io::Result<Self> {
        let hang_up_is_ignored = is_ignored(libc::SIGHUP)?;
        let wanted = ALL.iter().map(|&(number, _)| number);
        let mask = mask(wanted.filter(|&it| it != libc::SIGHUP || !hang_up_is_ignored));
        // SAFETY: the mask outlives the call, and a null old mask is not written.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &mask, null_mut()) } {
            0 => Ok(Self { mask }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Waits until a signal comes, at most for `timeout` (none: for ever), and takes it; `None`
    /// when the time is up.
    ///
    /// # Errors
    ///
    /// What the kernel reports.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Option<Signal>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let remaining = deadline.map(|deadline| {
                let remaining = deadline.saturating_duration_since(Instant::now());
                libc::timespec {
                    // 68 years fit the field on every architecture.
                    tv_sec: remaining.as_secs().min(i32::MAX as u64) as _,
                    tv_nsec: remaining.subsec_nanos().into(),
                }
            });
            let remaining = remaining.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: mask and time outlive the call, a null time waits for ever, and a null
            // description of the signal is not written.
            let number = unsafe { libc::sigtimedwait(&self.mask, null_mut(), remaining) };
            if let Some(&(_, signal)) = ALL.iter().find(|&&(other, _)| other == number) {
                return Ok(Some(signal));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                // A debugger or SIGSTOP in between: the rest of the time remains to be waited.
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(None),
                _ => return Err(error),
            }
        }
    }
}

/// Blocks all signals for the calling thread.
pub fn block_all() {
    // SAFETY: a `sigset_t` is an array of integers; `sigfillset` makes it a set.
    let mut all: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: `all` is ours.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: the mask outlives the call, which cannot fail with these arguments.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &all, null_mut()) };
}

/// Returns whether this process was started with the signal ignored.
fn is_ignored(number: libc::c_int) -> io::Result<bool> {
    // SAFETY: for this structure all zeros is a value.
    let mut action: libc::sigaction = unsafe { zeroed() };
    // SAFETY: a null new action changes nothing, and the kernel writes the old one to where one lives.
    match unsafe { libc::sigaction(number, std::ptr::null(), &mut action) } {
        0 => Ok(action.sa_sigaction == libc::SIG_IGN),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The set of these signals.
fn mask(numbers: impl Iterator<Item = libc::c_int>) -> libc::sigset_t {
    // SAFETY: a `sigset_t` is an array of integers; `sigemptyset` makes it a set.
    let mut mask: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: `mask` is ours.
    unsafe { libc::sigemptyset(&mut mask) };
    for number in numbers {
        // SAFETY: `mask` is ours, and the numbers are signals.
        unsafe { libc::sigaddset(&mut mask, number) };
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn signals_are_fetched_one_by_one_and_waiting_ends() {
        // A thread of its own, whose mask ends with it.
        thread::spawn(|| {
            let signals = Signals::block().unwrap();
            let soon = Some(Duration::from_millis(20));
            for (number, signal) in ALL {
                // SAFETY: the signal is sent to this thread, which has blocked it.
                unsafe { libc::raise(number) };
                assert_eq!(signals.wait(None).unwrap(), Some(signal));
            }
            let start = Instant::now();
            assert_eq!(signals.wait(soon).unwrap(), None);
            assert!(start.elapsed() >= Duration::from_millis(20));
            assert_eq!(signals.wait(Some(Duration::ZERO)).unwrap(), None);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn writing_to_who_has_gone_is_an_error_and_no_death() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
