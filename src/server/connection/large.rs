//! A large request, of which the handler does a part in each turn.

use super::{Connection, Desk};
use crate::http::Request;
use crate::server::round::Account;
use crate::server::stream::Stream;
use crate::server::{Handler, Part};

impl<S: Stream, D> Connection<S, D> {
    /// Does a part of a large request.
    #[cold]
    #[inline(never)]
    pub(super) fn request_large<H: Handler<Draft = D>>(
        &mut self,
        request: &Request<'_>,
        account: &Account,
        desk: &mut Desk<'_, H>,
    ) -> Part {
        let (draft, out) = (&mut self.draft, desk.others.buffer());
        let part = desk.handler.request_large(&self.peer, request, draft, out);
        match part {
            Part::Staged => {}
            Part::Answered => {
                desk.others.note(account, desk.handler.staged());
            }
            Part::Unfinished { .. } => self.exchange.put_back(),
        }
        part
    }
}
