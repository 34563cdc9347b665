//! The end of a process: it announces the end to its clients, finishes the requests in flight within
//! a bounded time, and ends.

use std::time::{Duration, Instant};

use super::keep;
use super::report::{end_by, say_final_statistics};
use super::state::Supervisor;
use super::wake::{Phase, Wake, is_stop};
use crate::handover::Offer;
use crate::limits::STOP_PATIENCE_MS;
use crate::log;
use crate::sys::signals::Signal;

/// Names the sender of the order to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A signal to this process.
    Signal,
    /// The predecessor, which passed on a signal of its own. The sender of that signal may send one
    /// to this process as well, and means the same stop.
    PassedOn,
}

/// Signals that tell the process to stop, beyond the one that began the stop.
struct Further {
    /// Whether the next signal means the stop that is under way.
    is_echo: bool,
}

impl Further {
    /// Counts a signal. Returns whether it is a further one.
    fn counts(&mut self) -> bool {
        !std::mem::take(&mut self.is_echo)
    }
}

impl Supervisor<'_> {
    /// Stops serving: answers the requests in flight, and prints the final statistics.
    pub(super) fn stop(&mut self, cause: Cause) {
        self.post.manager.stopping();
        let mut further = Further { is_echo: cause == Cause::PassedOn };
        self.delay(&mut further);
        self.await_connections(&mut further);
        self.servers.drain();
        self.finish(None, &mut further);
        self.servers.end_operators();
        keep::close(&self.shared);
        say_final_statistics(&self.shared);
    }

    /// Ends after another process has taken the service over. A signal is for that process too.
    pub(super) fn end_behind(&mut self, successor: &Offer) {
        self.finish(Some(successor), &mut Further { is_echo: true });
        self.servers.end_operators();
        // A signal may have come that the other thread has not fetched yet.
        if self.signals.mark().is_err() {
            return;
        }
        let deadline = Instant::now() + Duration::from_millis(STOP_PATIENCE_MS);
        while let Some(wake) = self.post.next(Some(deadline), Phase::Ending(deadline)) {
            match wake {
                Wake::Signal(Signal::Mark) => return,
                Wake::Signal(signal) if is_stop(signal, self.on_terminal) => pass_on(successor),
                _ => {}
            }
        }
    }

    /// Goes on serving for the drain delay, while `/health` tells load balancers to send no more
    /// clients. A further signal ends the delay.
    fn delay(&mut self, further: &mut Further) {
        let delay = self.options.drain_delay;
        if delay.is_zero() {
            return;
        }
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        log::info("told to stop: the drain delay begins", &[("delay_ms", &delay_ms)]);
        self.shared.announce_stop();
        let deadline = Instant::now() + delay;
        loop {
            let phase = Phase::Serving(&self.shared, &self.servers);
            match self.post.next(Some(deadline), phase) {
                Some(Wake::Signal(signal)) if is_stop(signal, self.on_terminal) => {
                    if further.counts() {
                        log::warn("a further signal: the drain delay ends", &[]);
                        return;
                    }
                }
                Some(Wake::Ended(generation)) if generation == self.generation => return,
                Some(wake) => self.note(wake),
                None => return,
            }
        }
    }

    /// Waits for connections of the predecessor, whose requests are in flight, for the drain
    /// time-out at the most.
    fn await_connections(&mut self, further: &mut Further) {
        let deadline = Instant::now() + self.options.drain_timeout;
        while self.connections_come {
            let phase = Phase::Serving(&self.shared, &self.servers);
            match self.post.next(Some(deadline), phase) {
                Some(Wake::Signal(signal)) if is_stop(signal, self.on_terminal) => {
                    if further.counts() {
                        return;
                    }
                }
                Some(wake) => self.note(wake),
                None => return,
            }
        }
    }

    /// Takes note of an event that changes nothing about the end of the process.
    fn note(&mut self, wake: Wake) {
        match wake {
            Wake::Connection(connection) => self.servers.arrive(connection),
            Wake::ConnectionsLeft => self.connections_come = false,
            Wake::Signal(Signal::User2) => log::warn("no restart: the process stops", &[]),
            Wake::Signal(Signal::Fatal(fatal)) => end_by(fatal, Some(&self.shared)),
            Wake::Signal(_)
            | Wake::Ended(_)
            | Wake::StopPassedOn
            | Wake::WorkersDepart
            | Wake::Served(_)
            | Wake::HandOverEnded => {}
        }
    }

    /// Lets the requests in flight end, for the drain time-out at the most.
    fn finish(&mut self, successor: Option<&Offer>, further: &mut Further) {
        let deadline = Instant::now() + self.options.drain_timeout;
        while !self.post.has_ended(self.generation) {
            match self.post.next(Some(deadline), Phase::Ending(deadline)) {
                Some(Wake::Signal(signal)) if is_stop(signal, self.on_terminal) => {
                    if let Some(successor) = successor {
                        pass_on(successor);
                    }
                    if further.counts() {
                        log::warn("a further signal: open connections are cut", &[]);
                        return self.cut();
                    }
                }
                Some(Wake::Signal(Signal::Fatal(fatal))) if successor.is_some() => {
                    end_by(fatal, None);
                }
                Some(wake) => self.note(wake),
                None => {
                    log::warn("the drain time-out is over: open connections are cut", &[]);
                    return self.cut();
                }
            }
        }
        self.servers.join();
    }

    /// Ends the workers at once. A worker that hangs must not keep the process from its end.
    fn cut(&mut self) {
        self.servers.cut();
        let deadline = Instant::now() + Duration::from_millis(STOP_PATIENCE_MS);
        while !self.post.has_ended(self.generation) {
            if self.post.next(Some(deadline), Phase::Ending(deadline)).is_none() {
                return log::error("a worker hangs; the process ends without it", &[]);
            }
        }
        self.servers.join();
    }
}

/// Orders a successor that serves to stop.
pub(super) fn pass_on(successor: &Offer) {
    log::info("told to stop after the hand-over: the successor stops", &[]);
    if let Err(error) = successor.stop() {
        log::warn("the successor cannot be told to stop", &[("error", &error)]);
    }
}
