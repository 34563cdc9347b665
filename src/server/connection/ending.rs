//! The end of a connection: its last answer leaves, then our FIN, then the peer closes.
//!
//! Closing a socket that has unread input resets the connection, and the reset destroys an answer
//! that the peer has not read yet (RFC 9112, 9.6). So a connection that ends lingers: it sends its
//! FIN and throws away what the peer still sends, until the peer closes too, or sends too much, or
//! takes too long.

use super::phase::{Lingering, Phase};
use super::{Connection, Desk, Input, Next};
use crate::http::refusal::is_head;
use crate::http::{HttpError, Refusal};
use crate::limits::LINGER_BYTES_MAX;
use crate::server::Handler;
use crate::server::meters::{Activity, Closed};
use crate::server::stream::{Stream, has_sent_head, receive};
use crate::server::timers::Class;

impl<S: Stream, D> Connection<S, D> {
    /// Returns whether requests may still come, so that the connection can go on elsewhere.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Returns why a connection that lingers is about to be closed.
    pub fn lingering_reason(&self) -> Closed {
        match self.phase {
            Phase::Ending(reason) | Phase::Lingering(Lingering { reason, .. }) => reason,
            Phase::Open => Closed::ByPeer,
        }
    }

    /// Answers a time-out within a request, and ends.
    pub fn time_out<H: Handler>(
        &mut self,
        error: HttpError,
        reason: Closed,
        desk: &mut Desk<'_, H>,
    ) -> Next {
        desk.output.clear();
        let refusal = Refusal::new(error, self.held.filled());
        desk.handler.refuse(&self.peer, refusal, desk.output);
        desk.meters.http_errors[error as usize].add(1);
        self.send_last(reason, desk)
    }

    /// Answers a client that there are too many connections, and ends.
    pub fn turn_away<H: Handler>(&mut self, desk: &mut Desk<'_, H>) -> Next {
        let head_only = has_sent_head(&mut self.stream, desk.input, desk.meters);
        desk.output.clear();
        desk.handler.overloaded(head_only, desk.output);
        self.send_last(Closed::Overload, desk)
    }

    /// Answers a client that there is no memory for its request, and ends.
    pub(super) fn lack_memory<H: Handler>(&mut self, desk: &mut Desk<'_, H>) -> Next {
        desk.output.clear();
        desk.handler.lacking_memory(is_head(self.held.filled()), desk.output);
        self.send_last(Closed::NoMemory, desk)
    }

    /// Ends once all answers have left; reads no further request.
    pub(super) fn end<H>(&mut self, reason: Closed, desk: &mut Desk<'_, H>) -> Next {
        desk.buffers.take_back(&mut self.held);
        self.phase = Phase::Ending(reason);
        if self.unsent.is_empty() {
            return self.linger(reason, desk);
        }
        self.shift(Activity::Writing, desk.meters);
        Next::Wait { class: Class::Write, restart: true }
    }

    /// Sends our FIN behind the last answer, and waits for the peer to close.
    pub(super) fn linger<H>(&mut self, reason: Closed, desk: &mut Desk<'_, H>) -> Next {
        if self.stream.shutdown_write().is_err() {
            return Next::Close(reason);
        }
        self.note_input(false);
        self.shift(Activity::Closing, desk.meters);
        self.discard(Lingering { reason, left_bytes: LINGER_BYTES_MAX }, desk)
    }

    /// Throws away what the peer sends after its last answer.
    pub(super) fn discard<H>(&mut self, lingering: Lingering, desk: &mut Desk<'_, H>) -> Next {
        self.phase = Phase::Lingering(lingering);
        let Lingering { reason, left_bytes } = lingering;
        if self.input == Input::Empty {
            return Next::Wait { class: Class::Linger, restart: false };
        }
        match receive(&mut self.stream, desk.input, desk.meters) {
            Ok(Some(received)) if received > 0 && received <= left_bytes => {
                let left_bytes = left_bytes - received;
                self.phase = Phase::Lingering(Lingering { reason, left_bytes });
                Next::Again { answered: false }
            }
            Ok(None) => {
                self.input = Input::Empty;
                Next::Wait { class: Class::Linger, restart: false }
            }
            Ok(Some(_)) | Err(_) => Next::Close(reason),
        }
    }

    /// Sends the output as the last of this connection.
    fn send_last<H>(&mut self, reason: Closed, desk: &mut Desk<'_, H>) -> Next {
        desk.buffers.take_back(&mut self.held);
        match self.send_output(desk) {
            Ok(()) => self.end(reason, desk),
            Err(_) => Next::Close(Closed::SocketError),
        }
    }
}
