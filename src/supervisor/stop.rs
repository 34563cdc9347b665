//! The end of a process: what is in flight is finished, within bounds, and then everything ends.

use std::time::{Duration, Instant};

use super::{Phase, Supervisor, Wake, say_final_statistics};
use crate::limits::STOP_PATIENCE_MS;
use crate::log;
use crate::sys::signals::Signal;

impl Supervisor<'_> {
    /// Stops serving: what is in flight is answered, and the final statistics are printed.
    pub(super) fn stop(&mut self) {
        self.manager.stopping();
        self.server.drain();
        self.finish();
        say_final_statistics(&self.shared);
    }

    /// Lets what is in flight come to its end, for the drain time-out at the most.
    pub(super) fn finish(&mut self) {
        let deadline = Instant::now() + self.options.drain_timeout;
        loop {
            match self.next(Some(deadline), Phase::Ending) {
                Some(Wake::Ended(generation)) if generation == self.generation => {
                    self.server.join();
                    return;
                }
                Some(Wake::Signal(Signal::Interrupt | Signal::Terminate)) => {
                    log::warn("second signal: connections that were still open are cut", &[]);
                    break;
                }
                Some(Wake::Signal(_) | Wake::Ended(_)) => {}
                None => {
                    log::warn(
                        "the drain time-out is over: connections that were still open are cut",
                        &[],
                    );
                    break;
                }
            }
        }
        self.cut();
    }

    /// Ends the workers at once. A worker that hangs must not keep the process from its end.
    fn cut(&mut self) {
        self.server.cut();
        let deadline = Instant::now() + Duration::from_millis(STOP_PATIENCE_MS);
        loop {
            match self.next(Some(deadline), Phase::Ending) {
                Some(Wake::Ended(generation)) if generation == self.generation => {
                    return self.server.join();
                }
                Some(_) => {}
                None => return log::error("a worker hangs; the process ends without it", &[]),
            }
        }
    }
}
