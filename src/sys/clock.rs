//! The clocks: coarse ones that cost a few nanoseconds, and an exact one that costs some 20 ns.
//!
//! - The coarse clocks are exact to the timer tick, 1 to 10 ms. They are read from a page that the kernel
//!   shares, without the hardware counter, whose reading is a system call on virtual machines without a
//!   stable one. The field `Date` and the access log need no more than their seconds.
//! - The exact clock measures durations. A worker reads it at the beginning of each round, for the
//!   durations and the time-outs of all connections in that round, and once more when the answers of a
//!   turn have left.

#![allow(unsafe_code)] // std reads only the exact clocks; the coarse ones need clock_gettime(2).

use std::mem::zeroed;
use std::time::Duration;

/// A moment on the monotonic clock, in whole milliseconds. Moments of one boot can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    ms: u64,
}

impl Moment {
    /// Returns the present, late by at most one timer tick and never before an earlier result.
    pub fn now() -> Self {
        let time = read(libc::CLOCK_MONOTONIC_COARSE, libc::CLOCK_MONOTONIC);
        Self { ms: time.as_millis() as u64 }
    }

    /// Returns the moment at which [`exact_ns`] returned `ns`.
    pub const fn from_exact_ns(ns: u64) -> Self {
        Self { ms: ns / 1_000_000 }
    }

    /// Makes a moment from its number of milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// Returns the milliseconds since a fixed, unspecified moment.
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// Returns the milliseconds from `earlier` to this moment; 0 if `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.ms.saturating_sub(earlier.ms)
    }

    /// Returns this moment plus `span`. A fraction of a millisecond is rounded up, so that a time-out
    /// never ends early.
    pub const fn after(self, span: Duration) -> Self {
        let span_ms = span.as_nanos().div_ceil(1_000_000);
        let span_ms = if span_ms > u64::MAX as u128 { u64::MAX } else { span_ms as u64 };
        Self { ms: self.ms.saturating_add(span_ms) }
    }
}

/// Returns the exact number of nanoseconds since a fixed, unspecified moment, the same as [`Moment`]'s.
pub fn exact_ns() -> u64 {
    let time = timespec(libc::CLOCK_MONOTONIC).expect("the kernel keeps this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Returns the whole seconds since 1970-01-01T00:00:00Z, late by at most one timer tick.
pub fn unix_seconds() -> u64 {
    read(libc::CLOCK_REALTIME_COARSE, libc::CLOCK_REALTIME).as_secs()
}

/// Reads the clock `coarse`, or `exact` where the kernel or a sandbox does not offer it.
fn read(coarse: libc::clockid_t, exact: libc::clockid_t) -> Duration {
    try_read(coarse).or_else(|| try_read(exact)).expect("the kernel keeps this clock")
}

fn try_read(clock: libc::clockid_t) -> Option<Duration> {
    // A clock set before 1970 counts as 1970.
    timespec(clock).map(|time| Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32))
}

#[inline]
fn timespec(clock: libc::clockid_t) -> Option<libc::timespec> {
    // SAFETY: a `timespec` is two integers, for which all zeros is a value.
    let mut time: libc::timespec = unsafe { zeroed() };
    // SAFETY: the kernel writes one `timespec`, to where one lives.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    (status == 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Instant, SystemTime};

    #[test]
    fn the_coarse_clock_never_goes_back_and_keeps_pace_with_the_exact_one() {
        let before = Instant::now();
        let start = Moment::now();
        let mut last = start;
        while last.ms_since(start) < 60 {
            let now = Moment::now();
            assert!(now >= last);
            last = now;
            assert!(before.elapsed() < Duration::from_secs(20), "the clock stands still");
        }
        // Each of the two readings may be late by a tick of at most 10 ms.
        let at_most_ms = before.elapsed().as_millis() as u64 + 11;
        assert!(last.ms_since(start) <= at_most_ms, "{} of {at_most_ms} ms", last.ms_since(start));
    }

    #[test]
    fn the_calendar_agrees_with_std() {
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let (before, seconds, after) = (now(), unix_seconds(), now());
        // The coarse clock may be a tick late.
        assert!((before - 1..=after).contains(&seconds), "{before} {seconds} {after}");
    }

    #[test]
    fn an_unknown_clock_falls_back_to_the_exact_one() {
        let unknown = 15; // No Linux clock has this number.
        assert_eq!(try_read(unknown), None);
        assert!(read(unknown, libc::CLOCK_MONOTONIC) > Duration::ZERO);
    }

    #[test]
    fn spans_round_up_and_saturate() {
        for (start, span, end) in [
            (5, Duration::from_secs(2), 2_005),
            (5, Duration::from_micros(1), 6),
            (5, Duration::ZERO, 5),
            (5, Duration::MAX, u64::MAX),
        ] {
            assert_eq!(Moment::from_ms(start).after(span).ms(), end);
        }
        assert_eq!(Moment::from_ms(3).ms_since(Moment::from_ms(5)), 0);
    }
}
