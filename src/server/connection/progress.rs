//! Whether a peer takes its answers.
//!
//! An edge for writing is no measure of it, because it comes only when much of the socket's queue is
//! free, and not at all for answers that the queue has taken whole. So the worker asks the kernel how
//! many bytes the peer has not acknowledged, [`WRITE_CHECKS`] times within a write time-out. A peer
//! that has taken less than [`WRITE_PROGRESS_BYTES_MIN`] since the last check that found progress
//! is closed when all these checks have passed without.

use super::phase::Phase;
use super::{Connection, Next};
use crate::limits::{WRITE_CHECKS, WRITE_PROGRESS_BYTES_MIN};
use crate::server::meters::Closed;
use crate::server::stream::Stream;
use crate::server::timers::Class;

impl<S: Stream, D> Connection<S, D> {
    /// Returns what comes next for an idle connection whose peer has not taken all its answers;
    /// `None` if it has.
    pub fn untaken(&mut self) -> Option<Next> {
        self.owed_bytes = self.stream.untaken_bytes().unwrap_or(0);
        self.idle_checks = 0;
        (self.owed_bytes > 0).then_some(Next::Wait { class: Class::Write, restart: true })
    }

    /// Checks what the peer has taken, and ends the connection at the last check without progress.
    pub fn write_time_out(&mut self) -> Next {
        let untaken_bytes = self.stream.untaken_bytes().unwrap_or(self.owed_bytes);
        let taken_bytes = self.owed_bytes.saturating_sub(untaken_bytes);
        if taken_bytes >= WRITE_PROGRESS_BYTES_MIN || untaken_bytes == 0 {
            self.owed_bytes = untaken_bytes;
            self.idle_checks = 0;
        } else {
            self.idle_checks += 1;
        }
        if self.idle_checks >= WRITE_CHECKS {
            return Next::Close(Closed::WriteTimeout);
        }
        let has_taken_all = untaken_bytes == 0 && self.unsent.is_empty();
        let class = match self.phase {
            Phase::Open if has_taken_all => Class::Idle,
            _ => Class::Write,
        };
        Next::Wait { class, restart: true }
    }
}
