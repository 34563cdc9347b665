//! Tests of time-outs, on a machine that may be busy with something else.
//!
//! A test that must act within a time-out can be late itself. A late test cannot tell a server that
//! is wrong from a server that is right, so it tries again; only an attempt in which the test was in
//! time can fail.

use std::time::{Duration, Instant};

/// The attempts after which the machine counts as too busy for the test.
const ATTEMPTS_MAX: usize = 20;

/// Why an attempt did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong, if the test was in time.
    Wrong(String),
    /// Something came too late, which a busy machine can cause. A server that is always late fails
    /// every attempt.
    Late(String),
}

/// Measures how long the test stood still.
pub struct Pulse {
    last: Instant,
    longest: Duration,
}

impl Pulse {
    fn new() -> Pulse {
        Pulse { last: Instant::now(), longest: Duration::ZERO }
    }

    /// Notes that the test runs. To be called before and after each wait.
    pub fn beat(&mut self) {
        let now = Instant::now();
        self.longest = self.longest.max(now - self.last);
        self.last = now;
    }
}

/// Runs `attempt` until it succeeds. A wrong result fails the test at once, unless the test stood
/// still for `stall` or longer between two beats of the pulse.
pub fn undisturbed<R>(
    stall: Duration,
    mut attempt: impl FnMut(&mut Pulse) -> Result<R, Failure>,
) -> R {
    let mut failures = Vec::new();
    while failures.len() < ATTEMPTS_MAX {
        let mut pulse = Pulse::new();
        let failure = match attempt(&mut pulse) {
            Ok(result) => return result,
            Err(failure) => failure,
        };
        pulse.beat();
        if let Failure::Wrong(what) = &failure {
            assert!(pulse.longest >= stall, "{what} (longest pause {:?})", pulse.longest);
        }
        failures.push(failure);
    }
    panic!("the machine is too busy, or the server always late: {failures:?}");
}
