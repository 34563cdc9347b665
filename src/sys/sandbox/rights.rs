//! What a confined thread may do, and the program that the kernel runs for it.

#![allow(unsafe_code)] // gettid(2) is not in std.

use std::ops::RangeInclusive;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process;

use super::filter::Check::{Between, Is};
use super::filter::Verdict::{Allow, Die, Unknown};
use super::filter::{Check, Filter, Rule};
use super::{calls, supervisor};

/// What a confined thread may do beyond the calls that every such thread needs.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Descriptors of files that the thread writes (pwrite64(2)) and syncs (fdatasync(2)). They are
    /// opened before, for writing only, with numbers that nothing else has.
    pub journal: Option<RangeInclusive<RawFd>>,
    /// Whether the thread is the main one, or one of its helpers ([`supervisor`]).
    pub supervisor: bool,
    /// A directory in which the thread opens and makes files. Where the kernel has no Landlock, it can
    /// open any file that the user may open.
    pub state: Option<PathBuf>,
}

impl Rights {
    /// Returns the rights of the main thread and of its helpers, with the state directory if there is
    /// one.
    pub fn of_supervisor(state: Option<PathBuf>) -> Rights {
        Rights { supervisor: true, state, ..Rights::default() }
    }

    /// Returns the rights of a thread that writes a journal whose files are open.
    pub fn of_journal() -> Rights {
        Rights { journal: Some(0..=RawFd::MAX), ..Rights::default() }
    }

    /// Translates the rules for the calling thread. Returns `None` on a processor whose calls are not
    /// listed.
    pub(super) fn program(&self) -> Option<Vec<libc::sock_filter>> {
        let mut filter = Filter::new()?;
        if self.supervisor {
            supervisor::RULES.iter().for_each(|rule| filter.rule(rule));
        }
        if self.state.is_some() {
            supervisor::STATE.iter().for_each(|rule| filter.rule(rule));
        }
        calls::RULES.iter().for_each(|rule| filter.rule(rule));
        if let Some(files) = &self.journal {
            let range = [between(files)];
            // For: the journal. Leaves: spoiling what the journal will hold, as `write` does too.
            for call in [libc::SYS_pwrite64, libc::SYS_fdatasync] {
                filter.rule(&or_die(call, &[&range]));
            }
        }
        self.signals(&mut filter);
        for &call in calls::DEADLY.iter().chain(calls::DEADLY_OF_OLD) {
            filter.rule(&or_die(call, &[]));
        }
        Some(filter.finish(Unknown))
    }

    /// Adds the rules for signals, none of which is for another process.
    fn signals(&self, filter: &mut Filter) {
        let (process, thread) = (Is(0, process::id()), Is(0, thread_id()));
        let abort = libc::SIGABRT as u32;
        if self.supervisor {
            // For: ending by the signal that an operator has sent, as raise(3) of glibc does with the
            // first and musl with the second; the mark behind all signals that wait (sigqueue(3)).
            // Leaves: signals to this process.
            filter.rule(&or_die(libc::SYS_tgkill, &[&[process]]));
            filter.rule(&or_die(libc::SYS_tkill, &[&[thread]]));
            filter.rule(&or_die(libc::SYS_rt_sigqueueinfo, &[&[process]]));
        } else {
            // For: abort(3). Leaves: ending the process. The second call has no number of a process
            // among its arguments, so it is for the thread alone that is confined now, not for those
            // that it starts.
            filter.rule(&or_die(libc::SYS_tgkill, &[&[process, Is(2, abort)]]));
            filter.rule(&or_die(libc::SYS_tkill, &[&[thread, Is(1, abort)]]));
        }
    }
}

/// A call that ends the process unless all checks of one list hold.
fn or_die<'a>(call: libc::c_long, ways: &'a [&'a [Check<'a>]]) -> Rule<'a> {
    Rule { call, ways, then: Allow, otherwise: Die }
}

/// The first argument is one of these descriptors.
fn between(descriptors: &RangeInclusive<RawFd>) -> Check<'static> {
    Between(0, descriptors.start().cast_unsigned(), descriptors.end().cast_unsigned())
}

fn thread_id() -> u32 {
    // SAFETY: gettid(2) takes nothing and cannot fail.
    unsafe { libc::gettid() }.cast_unsigned()
}
