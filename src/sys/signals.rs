//! The signals that a process can be sent, and what each means here.
//!
//! All of them are blocked before the first thread starts, which inherits the mask, and one thread
//! fetches them one at a time: no handler runs between two instructions of a worker, and no system
//! call of a worker is interrupted.
//!
//! A process inherits from its parent which signals are blocked and ignored. [`Signals::block`] makes
//! of that what a daemon should:
//!
//! - `SIGHUP`, `SIGINT` and `SIGQUIT` stay ignored if they were, as nohup(1) and a shell's `&` ask for;
//! - the mask is replaced, so that no signal stays blocked by chance;
//! - `SIGCHLD` has its default effect: where it is ignored, the kernel waits for children by itself,
//!   and the process id of a child may belong to another process at any time;
//! - `SIGXFSZ` is ignored, so that a log that reaches the limit of file sizes fails as on a full disk;
//! - `SIGPIPE` is ignored by the runtime of Rust before `main` (a test below checks it).

#![allow(unsafe_code)] // Signal masks, dispositions and sigtimedwait(2) are not in std.

use std::mem::zeroed;
use std::ptr::null_mut;
use std::time::{Duration, Instant};
use std::{io, process};

/// A signal by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`, the interrupt key of a terminal.
    Interrupt,
    /// `SIGTERM`, what service managers and kill(1) send.
    Terminate,
    /// `SIGHUP`, the end of a terminal, or a habit of those who rotate logs.
    HangUp,
    /// `SIGUSR1`, another habit of those who rotate logs.
    User1,
    /// `SIGUSR2`, which asks for a restart.
    User2,
    /// A signal that ends a process by its default effect.
    Fatal(Fatal),
    /// The signal of [`Signals::mark`], by which the process finds out that it has fetched all that
    /// came before.
    Mark,
}

/// A signal that ends a process, such as `SIGABRT`, which a watchdog sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    number: libc::c_int,
    /// Its name.
    pub name: &'static str,
}

impl Fatal {
    /// Ends the process by the default effect of this signal, which its parent sees.
    pub fn end_process(self) -> ! {
        let mut mask = empty();
        // SAFETY: `mask` is ours, and the number is that of a signal.
        unsafe { libc::sigaddset(&mut mask, self.number) };
        // SAFETY: the default effect of a signal runs no code of this process.
        unsafe { libc::signal(self.number, libc::SIG_DFL) };
        // SAFETY: the mask outlives the call, and a null old mask is not written.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &mask, null_mut()) };
        // SAFETY: raise(3) takes a number.
        unsafe { libc::raise(self.number) };
        process::abort()
    }
}

const fn fatal(number: libc::c_int, name: &'static str) -> (libc::c_int, Signal) {
    (number, Signal::Fatal(Fatal { number, name }))
}

/// All signals that are fetched. Those that a fault of the process itself causes are not among them,
/// such as `SIGSEGV`: they cannot wait.
const ALL: [(libc::c_int, Signal); 15] = [
    (libc::SIGINT, Signal::Interrupt),
    (libc::SIGTERM, Signal::Terminate),
    (libc::SIGHUP, Signal::HangUp),
    (libc::SIGUSR1, Signal::User1),
    (libc::SIGUSR2, Signal::User2),
    fatal(libc::SIGABRT, "SIGABRT"),
    fatal(libc::SIGQUIT, "SIGQUIT"),
    fatal(libc::SIGALRM, "SIGALRM"),
    fatal(libc::SIGVTALRM, "SIGVTALRM"),
    fatal(libc::SIGPROF, "SIGPROF"),
    fatal(libc::SIGXCPU, "SIGXCPU"),
    fatal(libc::SIGPOLL, "SIGPOLL"),
    fatal(libc::SIGPWR, "SIGPWR"),
    fatal(libc::SIGSTKFLT, "SIGSTKFLT"),
    (MARK, Signal::Mark),
];

/// A real-time signal: of those that wait, the kernel gives out the one with the lowest number first,
/// so that this comes after all others.
const MARK: libc::c_int = 60;

/// Signals that stay ignored if the process was started so.
const KEPT_IGNORED: [libc::c_int; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

/// The signals of [`Signal`], blocked, and waiting to be fetched.
// Only `block` makes one, so a caller that waits has blocked them.
#[derive(Debug)]
pub struct Signals(());

impl Signals {
    /// Blocks the signals for the calling thread and every thread it starts from now on; to be
    /// called before the first. Sets the effects of others as the head of this file describes.
    ///
    /// # Errors
    ///
    /// What the kernel reports.
    pub fn block() -> io::Result<Self> {
        set_effect(libc::SIGCHLD, libc::SIG_DFL)?;
        set_effect(libc::SIGXFSZ, libc::SIG_IGN)?;
        let mut mask = mask();
        for number in KEPT_IGNORED {
            if is_ignored(number)? {
                // A signal that is blocked would be kept, and fetched, although it is ignored.
                // SAFETY: `mask` is ours, and the number is that of a signal.
                unsafe { libc::sigdelset(&mut mask, number) };
            }
        }
        // SAFETY: the mask outlives the call, and a null old mask is not written.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &mask, null_mut()) } {
            0 => Ok(Self(())),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Sends a signal to this process that is fetched as [`Signal::Mark`], after all signals that
    /// came before.
    ///
    /// # Errors
    /// If too many signals wait.
    pub fn mark(&self) -> io::Result<()> {
        let value = libc::sigval { sival_ptr: null_mut() };
        // SAFETY: sigqueue(3) takes numbers and a value, which only `wait` receives.
        match unsafe { libc::sigqueue(process::id().cast_signed(), MARK, value) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
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
            let number = unsafe { libc::sigtimedwait(&mask(), null_mut(), remaining) };
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
    let mut all = empty();
    // SAFETY: `all` is ours.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: the mask outlives the call, which cannot fail with these arguments.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &all, null_mut()) };
}

/// Returns the set of the signals of [`Signal`].
fn mask() -> libc::sigset_t {
    let mut mask = empty();
    for (number, _) in ALL {
        // SAFETY: `mask` is ours, and the numbers are signals.
        unsafe { libc::sigaddset(&mut mask, number) };
    }
    mask
}

fn empty() -> libc::sigset_t {
    // SAFETY: a `sigset_t` is an array of integers; `sigemptyset` makes it a set.
    let mut mask: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: `mask` is ours.
    unsafe { libc::sigemptyset(&mut mask) };
    mask
}

fn set_effect(number: libc::c_int, effect: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: neither the default effect of a signal nor none runs code of this process.
    let before = unsafe { libc::signal(number, effect) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn is_ignored(number: libc::c_int) -> io::Result<bool> {
    // SAFETY: a `sigaction` is numbers and a set, for all of which zeros are a value.
    let mut action: libc::sigaction = unsafe { zeroed() };
    // SAFETY: the kernel writes one `sigaction`, to where one lives, and reads none.
    match unsafe { libc::sigaction(number, std::ptr::null(), &mut action) } {
        0 => Ok(action.sa_sigaction == libc::SIG_IGN),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::alone;
    use super::*;
    use std::io::Write;

    #[test]
    fn signals_are_fetched_one_by_one_and_waiting_ends() {
        alone("sys::signals::tests::signals_are_fetched_one_by_one_and_waiting_ends", || {
            set_effect(libc::SIGHUP, libc::SIG_DFL).unwrap();
            set_effect(libc::SIGINT, libc::SIG_DFL).unwrap();
            set_effect(libc::SIGQUIT, libc::SIG_DFL).unwrap();
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
        });
    }

    #[test]
    fn what_was_inherited_is_put_right_or_kept() {
        alone("sys::signals::tests::what_was_inherited_is_put_right_or_kept", || {
            for number in [libc::SIGHUP, libc::SIGCHLD, libc::SIGTERM] {
                set_effect(number, libc::SIG_IGN).unwrap();
            }
            let mut everything = empty();
            // SAFETY: the set is ours.
            unsafe { libc::sigfillset(&mut everything) };
            // SAFETY: the mask outlives the call, and a null old mask is not written.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &everything, null_mut()) };
            let signals = Signals::block().unwrap();
            // SAFETY: raise(3) takes a number, here and below.
            unsafe { libc::raise(libc::SIGHUP) };
            assert_eq!(signals.wait(Some(Duration::ZERO)).unwrap(), None, "it stays ignored");
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGTERM) };
            assert_eq!(signals.wait(Some(Duration::ZERO)).unwrap(), Some(Signal::Terminate));
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGXFSZ) };
            assert!(!is_ignored(libc::SIGCHLD).unwrap());
            let mut now = empty();
            // SAFETY: no mask is set, and the old one is written to where one lives.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut now) };
            for number in [libc::SIGCHLD, libc::SIGSEGV, libc::SIGWINCH] {
                // SAFETY: the set is ours.
                assert_eq!(unsafe { libc::sigismember(&now, number) }, 0, "{number}");
            }
        });
    }

    #[test]
    fn writing_to_a_pipe_without_a_reader_is_an_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
