//! What a worker does with a time-out that is over.
//!
//! A client is late only if the worker has read everything that the client sent before the deadline. The
//! worker may be late itself: the process was stopped, a log or a disk was slow, more connections were
//! ready than one wait returns, or a client sent more than one turn takes.
//! So a connection whose time-out is over has another turn first, which receives:
//!
//! ```text
//! over ──► spared: a turn in the next round ──► its input is empty, and it waits for the same ──► end
//!                     ▲         │  │
//!                     └─────────┘  └──► it waits for something else: armed anew
//!                input is left over
//! ```
//!
//! The deadline itself does not move, so a client that trickles gains one turn. A client that sends
//! faster than the worker reads gains more, but no more than the bounds of a head or a body.
//!
//! The write time-out does not depend on input: there the worker asks the kernel what the peer has
//! taken.

use super::{Client, Worker};
use crate::http::HttpError;
use crate::server::Handler;
use crate::server::connection::{Desk, Next};
use crate::server::meters::Closed;
use crate::server::slab::Key;
use crate::server::timers::{Class, Expired};

impl<H: Handler> Worker<H> {
    /// Ends the connections whose time-out is over, and gives those one more turn that may have
    /// unread input.
    pub(super) fn end_expired(&mut self) {
        while let Some(expired) = self.timers.pop_expired(self.now) {
            let key = self.connections.key_at(expired.slot).expect("what is closed is disarmed");
            match expired.class {
                Class::Idle => self.end_first_idle_part(key, expired),
                Class::Write => self.with(key, |connection, _| connection.write_time_out()),
                Class::Header | Class::Body | Class::Rest | Class::Linger => {
                    self.end_or_spare(key, expired);
                }
            }
        }
        self.timers.spare(self.spared.drain(..));
    }

    /// Goes on with an idle connection whose peer has taken its answers, or waits for the peer to
    /// take them.
    fn end_first_idle_part(&mut self, key: Key, expired: Expired) {
        let Some(resident) = self.connections.get_mut(key) else { return };
        let untaken =
            if self.timers.idle_has_rest() { resident.connection.untaken() } else { None };
        match untaken {
            Some(next) => self.follow(key, next),
            None => self.timers.rest(expired),
        }
    }

    /// Ends a connection whose input is read, or gives it a turn in the next round.
    fn end_or_spare(&mut self, key: Key, expired: Expired) {
        let Some(resident) = self.connections.get_mut(key) else { return };
        if !expired.spared || resident.connection.may_have_input() {
            resident.connection.note_input(false);
            resident.be_due(key, &mut self.due);
            self.spared.push(expired);
            return;
        }
        match expired.class {
            Class::Header => {
                self.with(key, |connection, desk| {
                    connection.time_out(HttpError::HeaderTimeout, Closed::HeaderTimeout, desk)
                });
            }
            Class::Body => {
                self.with(key, |connection, desk| {
                    connection.time_out(HttpError::BodyTimeout, Closed::BodyTimeout, desk)
                });
            }
            Class::Linger => {
                let reason = resident.connection.lingering_reason();
                self.close(key, reason);
            }
            Class::Idle | Class::Rest | Class::Write => self.close(key, Closed::IdleTimeout),
        }
    }

    /// Lets a connection that is owed nothing do something, and follows from it.
    pub(super) fn with(
        &mut self,
        key: Key,
        work: impl FnOnce(&mut Client<H>, &mut Desk<'_, H>) -> Next,
    ) {
        if let Some((connection, mut desk)) = self.desk(key) {
            let next = work(connection, &mut desk);
            self.follow(key, next);
        }
    }
}
