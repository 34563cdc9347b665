//! The handler of one worker. It finds the route of a request. It passes events to the intake, and all
//! other requests to the reply that both doors have in common.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use super::answers::{Answers, JSON};
use super::draft::{Bounds, Draft, Slice, is_large};
use super::intake::{Intake, Rows, Unstaged};
use super::json::counted_body;
use super::meters::BatchRefusal;
use super::pages::{Sender, grant};
use super::reply::reply;
use super::routes::{Entrance, Resolution, RouteNumber, resolve};
use super::shared::Shared;
use crate::event::{EventError, FrameError};
use crate::http::{Content, Extras, Refusal, Request, Status};
use crate::limits::RETRY_AFTER_S;
use crate::server::{Detached, Handler, Part, Reply};

/// Handles the requests of one worker.
pub struct App {
    intake: Intake,
    answers: Answers,
    entrance: Entrance,
}

impl App {
    /// Returns the handler of worker `worker`.
    pub fn new(shared: &Arc<Shared>, worker: usize, unix_s: u64) -> App {
        App {
            intake: Intake::new(
                shared.statistics.shard(worker),
                shared.keeper().map(|keeper| keeper.ledger(worker)),
                Rows { one: RouteNumber::EVENT.row(), many: RouteNumber::EVENTS.row() },
                Bounds { events_max: shared.events_max, event_bytes_max: shared.event_bytes_max },
            ),
            answers: Answers::new(shared, worker, unix_s),
            entrance: if shared.has_operators_server { Entrance::Clients } else { Entrance::Only },
        }
    }

    /// Answers every request except a valid event. This is a function of its own, because most requests
    /// are events: in one function with the rest, each event would cost 20 instructions more.
    #[cold]
    #[inline(never)]
    fn request_other(
        &mut self,
        resolution: Resolution,
        peer: &SocketAddr,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Reply {
        if resolution.concerns_statistics() {
            self.intake.commit();
            self.answers.follow_commit(self.intake.staged());
        }
        match resolution {
            Resolution::Found(RouteNumber::EVENTS)
                if request.extras.is_none() || self.admits(request) =>
            {
                resolution.charge(self.request_many(peer, request, out))
            }
            other => reply(&mut self.answers, self.entrance, other, peer, request, out),
        }
    }

    /// Stages a list of events, or answers that there is nothing to stage.
    fn request_many(
        &mut self,
        peer: &SocketAddr,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Reply {
        if is_large(request.content) {
            return Reply::Large;
        }
        match self.intake.stage_many(&mut self.answers, peer, request) {
            Ok(()) => Reply::Staged,
            Err(unstaged) => self.answer_unstaged(unstaged, peer, request, out),
        }
    }

    /// Answers a request for a list of events, of which nothing is staged.
    fn answer_unstaged(
        &mut self,
        unstaged: Unstaged,
        peer: &SocketAddr,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Reply {
        let grant = grant(&self.answers.shared, request, RouteNumber::EVENTS.route());
        let events_max = self.answers.shared.events_max;
        let clerk =
            self.answers.clerk(RouteNumber::EVENTS.row(), peer, request, out).granting(&grant);
        match unstaged {
            Unstaged::Empty => {
                clerk.meters().count_batch(0);
                clerk.answer(Status::Ok, "", Content::Bytes(JSON, &counted_body(0)))
            }
            Unstaged::Malformed(error) if error.cause == FrameError::EventTooLarge.into() => {
                clerk.meters().refuse_batch(BatchRefusal::Malformed(error.cause));
                let message = format!(
                    "Event {} has more than {} bytes, so none of these were counted; send a smaller one, or raise --max-body.",
                    error.index,
                    clerk.shared().event_bytes_max
                );
                clerk.error(Status::ContentTooLarge, "", &message)
            }
            Unstaged::Memory => {
                let fields = format!("Retry-After: {RETRY_AFTER_S}\r\n");
                let message = "There is no memory to read this request; send it again later.";
                clerk.error(Status::ServiceUnavailable, &fields, message)
            }
            Unstaged::Malformed(error) => {
                clerk.meters().refuse_batch(BatchRefusal::Malformed(error.cause));
                clerk.malformed(&error)
            }
            Unstaged::TooMany => {
                clerk.meters().refuse_batch(BatchRefusal::TooMany);
                let message = format!(
                    "One request may have at most {events_max} events, so none of these were counted; send fewer, or raise --max-batch-events."
                );
                clerk.error(Status::ContentTooLarge, "", &message)
            }
        }
    }

    /// Returns whether the content of a request with extras may be staged.
    #[cold]
    fn admits(&self, request: &Request<'_>) -> bool {
        !request.extras.has(Extras::CODED_CONTENT)
            && Sender::of(request, &self.answers.shared.allow_origin) != Sender::Foreign
    }

    /// Answers a request whose content is not an event.
    #[cold]
    fn request_malformed(
        &mut self,
        error: EventError,
        peer: &SocketAddr,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Reply {
        let grant = grant(&self.answers.shared, request, RouteNumber::EVENT.route());
        self.answers.meters().event_errors[error as usize].add(1);
        let clerk = self.answers.clerk(RouteNumber::EVENT.row(), peer, request, out);
        let clerk = clerk.granting(&grant);
        clerk.error(Status::BadRequest, "", error.message())
    }
}

impl Handler for App {
    type Draft = Draft;

    fn tick(&mut self, unix_s: u64) {
        self.answers.refresh(unix_s);
    }

    #[inline(always)]
    fn turn(&mut self) {
        self.answers.forget_reading();
    }

    #[inline]
    fn request(&mut self, peer: &SocketAddr, request: &Request<'_>, out: &mut Vec<u8>) -> Reply {
        match resolve(request, self.entrance) {
            Resolution::Found(RouteNumber::EVENT)
                if request.extras.is_none() || self.admits(request) =>
            {
                match self.intake.stage(&mut self.answers, peer, request) {
                    Ok(()) => Reply::Staged,
                    Err(error) => self.request_malformed(error, peer, request, out),
                }
            }
            other => self.request_other(other, peer, request, out),
        }
    }

    /// Only lists of events are called large.
    #[cold]
    fn request_large(
        &mut self,
        peer: &SocketAddr,
        request: &Request<'_>,
        draft: &mut Option<Box<Draft>>,
        out: &mut Vec<u8>,
    ) -> Part {
        match self.intake.stage_large(&mut self.answers, peer, request, draft) {
            Ok(Slice::Whole) => Part::Staged,
            Ok(Slice::Unfinished { cost }) => Part::Unfinished { cost },
            Err(unstaged) => {
                self.answer_unstaged(unstaged, peer, request, out);
                Part::Answered
            }
        }
    }

    #[inline(always)]
    fn staged(&self) -> u32 {
        self.intake.staged()
    }

    #[inline(always)]
    fn commits_once_a_round(&self) -> bool {
        self.intake.is_kept()
    }

    #[inline]
    fn commit(&mut self) {
        self.intake.commit();
    }

    #[inline]
    fn answer(&mut self, staged: Range<u32>, out: &mut Vec<u8>) {
        self.intake.answer(staged, &mut self.answers, out);
    }

    #[inline]
    fn settled(&mut self) {
        self.intake.settled();
        self.answers.settled();
    }

    fn round_over(&mut self) {
        self.answers.round_over();
    }

    fn abandon(&mut self, from: u32) {
        self.intake.abandon(from);
    }

    fn refuse(&mut self, peer: &SocketAddr, refusal: Refusal, out: &mut Vec<u8>) {
        self.answers.refuse(peer, refusal, out);
    }

    fn overloaded(&mut self, head_only: bool, out: &mut Vec<u8>) {
        self.answers.overloaded(head_only, out);
    }

    fn lacking_memory(&mut self, head_only: bool, out: &mut Vec<u8>) {
        self.answers.lacking_memory(head_only, out);
    }

    fn detached(&mut self, connection: Detached) {
        self.answers.shared.streams.take(connection);
    }

    fn depart(&mut self) {
        self.intake.depart();
    }

    fn drain(&mut self) {
        self.answers.shared.begin_draining();
    }
}
