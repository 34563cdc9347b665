//! Writes answers: the head, the content, the line in the access log, and the count.

use std::net::SocketAddr;
use std::sync::Arc;

use super::access_log::AccessLog;
use super::json::{error_body, malformed_body};
use super::meters::{BatchRefusal, RequestMeters, Row};
use super::shared::Shared;
use crate::event::EventsError;
use crate::http::content::ContentLimit;
use crate::http::{Content, Method, Persistence, Refusal, Request, Responses, Status};
use crate::limits::{DEBUG_LOG_PATH_BYTES_MAX, RETRY_AFTER_S};
use crate::log::{self, Level};
use crate::server::Reply;

/// The cost of an answer, in events, if its route has no cost of its own.
const ANSWER_COST: u32 = 4;

/// The media type of JSON texts.
pub const JSON: &str = "application/json";

/// Holds what the answers of one worker have in common.
pub struct Answers {
    pub shared: Arc<Shared>,
    worker: usize,
    pub responses: Responses,
    pub access_log: Option<AccessLog>,
    /// Content under construction, kept for its memory.
    content: Vec<u8>,
    statistics: Reading,
}

/// Keeps the statistics that the last answer showed. One reading serves all requests of a turn: the
/// client sent them before the turn began, so a reading of any moment since then is right for each.
#[derive(Default)]
struct Reading {
    json: Vec<u8>,
    is_of_this_turn: bool,
    /// How many requests of the worker's batch were committed when it was taken.
    committed: u32,
}

impl Answers {
    /// Returns the answers of worker `worker`, or of the operators' server if there is no such worker, dated `unix_s`.
    pub fn new(shared: &Arc<Shared>, worker: usize, unix_s: u64) -> Answers {
        Answers {
            shared: Arc::clone(shared),
            worker,
            responses: Responses::new(unix_s),
            access_log: shared.access_log.then(|| AccessLog::new(shared.trusted_proxy.clone())),
            content: Vec::new(),
            statistics: Reading::default(),
        }
    }

    /// Sets the dates to `unix_s`.
    pub fn refresh(&mut self, unix_s: u64) {
        self.responses.refresh(unix_s);
        if let Some(access_log) = &mut self.access_log {
            access_log.refresh(unix_s);
        }
    }

    /// Forgets the reading of the statistics: a turn begins, or they were reset.
    #[inline(always)]
    pub fn forget_reading(&mut self) {
        self.statistics.is_of_this_turn = false;
    }

    /// Forgets the reading of the statistics if requests were committed since; `committed` is their number
    /// now.
    pub fn follow_commit(&mut self, committed: u32) {
        if self.statistics.committed != committed {
            self.statistics.committed = committed;
            self.forget_reading();
        }
    }

    /// Returns this worker's meters.
    #[inline(always)]
    pub fn meters(&self) -> &RequestMeters {
        &self.shared.request_meters[self.worker]
    }

    /// Makes the lines of answered requests whole.
    #[inline]
    pub fn settled(&mut self) {
        if let Some(access_log) = &mut self.access_log {
            access_log.settle();
        }
    }

    /// Passes the lines of a round on.
    pub fn round_over(&mut self) {
        if let Some(access_log) = &mut self.access_log {
            access_log.settle();
            access_log.flush();
        }
    }

    /// Returns a clerk that answers `request`.
    pub fn clerk<'c>(
        &'c mut self,
        row: Row,
        peer: &'c SocketAddr,
        request: &'c Request<'c>,
        out: &'c mut Vec<u8>,
    ) -> Clerk<'c> {
        Clerk { answers: self, row, peer, request, out, grant: "" }
    }

    /// Appends the answer to a violation of the protocol.
    pub fn refuse(&mut self, peer: &SocketAddr, refusal: Refusal, out: &mut Vec<u8>) {
        let Refusal { error, head_only, limit } = refusal;
        let (status, start) = (error.status(), out.len());
        let reason = limit.map_or_else(|| error.message().into(), too_large);
        let body = error_body(&reason);
        if log::enabled(Level::Debug) {
            note_refusal(peer, b"", status, &reason);
        }
        if limit.is_some_and(|limit| limit.of_path) {
            self.meters().refuse_batch(BatchRefusal::TooLarge);
        }
        let content = Content::Bytes(JSON, &body).without_bytes_if(head_only);
        self.responses.write(out, status, Persistence::Close, "", content);
        self.meters().count(Row::NONE, status, 1);
        if let Some(access_log) = &mut self.access_log {
            access_log.refused(peer, status, &out[start..]);
        }
    }

    /// Appends the answer to a client for which there is no room, without content with `head_only`.
    pub fn overloaded(&mut self, head_only: bool, out: &mut Vec<u8>) {
        let message = "The server has as many connections as it may have; try again later.";
        self.unavailable(head_only, out, message);
    }

    /// Appends the answer to a client for whose request there is no memory, as above.
    pub fn lacking_memory(&mut self, head_only: bool, out: &mut Vec<u8>) {
        log::error("connections are closed: there is no memory for what their clients send", &[]);
        let message = "The server has no memory for this request now; try again later.";
        self.unavailable(head_only, out, message);
    }

    /// Appends the answer to a client for which there is no room; `message` says of what kind.
    fn unavailable(&mut self, head_only: bool, out: &mut Vec<u8>, message: &str) {
        let fields = format!("Retry-After: {RETRY_AFTER_S}\r\n");
        let body = error_body(message);
        let content = Content::Bytes(JSON, &body).without_bytes_if(head_only);
        self.responses.write(out, Status::ServiceUnavailable, Persistence::Close, &fields, content);
        self.meters().count(Row::NONE, Status::ServiceUnavailable, 1);
    }
}

/// Writes the answer to one request. The caller calls one of its methods, once.
pub struct Clerk<'c> {
    answers: &'c mut Answers,
    /// Where the answer is counted.
    row: Row,
    peer: &'c SocketAddr,
    pub request: &'c Request<'c>,
    out: &'c mut Vec<u8>,
    /// The field lines by which a browser lets a page see the answer.
    grant: &'c str,
}

impl<'c> Clerk<'c> {
    /// Adds `grant` to the fields of the answer, see [`Sender::grant`](super::pages::Sender::grant).
    pub fn granting(self, grant: &'c str) -> Clerk<'c> {
        Clerk { grant, ..self }
    }

    /// Returns the meters of this worker.
    pub fn meters(&self) -> &RequestMeters {
        self.answers.meters()
    }

    /// Returns what all workers share.
    pub fn shared(&self) -> &Shared {
        &self.answers.shared
    }

    /// Writes an answer. `fields` are whole further field lines.
    pub fn answer(self, status: Status, fields: &str, content: Content<'_>) -> Reply {
        let content = content.without_bytes_if(self.request.method == Method::Head);
        let persistence = Persistence::of(self.request.version, self.request.persistent);
        self.write(status, persistence, fields, content, |_| ());
        Reply::Answered { cost: ANSWER_COST }
    }

    /// Answers `200` with content that `build` appends to the buffer.
    pub fn answer_built(
        self,
        media_type: &'static str,
        fields: &str,
        build: impl FnOnce(&mut Vec<u8>, &Shared),
    ) -> Reply {
        let mut content = std::mem::take(&mut self.answers.content);
        content.clear();
        build(&mut content, &self.answers.shared);
        let answers = &mut *self.answers;
        let clerk = Clerk { answers, ..self };
        clerk.answer(Status::Ok, fields, Content::Bytes(media_type, &content));
        self.answers.content = content;
        Reply::Answered { cost: ANSWER_COST }
    }

    /// Answers `200` with the statistics of one instant of this turn; `read` appends them to a buffer.
    pub fn answer_reading(
        self,
        media_type: &'static str,
        fields: &str,
        read: impl FnOnce(&mut Vec<u8>, &Shared),
    ) -> Reply {
        let mut reading = std::mem::take(&mut self.answers.statistics);
        if !reading.is_of_this_turn {
            reading.json.clear();
            read(&mut reading.json, &self.answers.shared);
            reading.is_of_this_turn = true;
        }
        let answers = &mut *self.answers;
        let clerk = Clerk { answers, ..self };
        let reply = clerk.answer(Status::Ok, fields, Content::Bytes(media_type, &reading.json));
        self.answers.statistics = reading;
        reply
    }

    /// Notes that the statistics have changed by something other than a commit.
    pub fn forget_reading(&mut self) {
        self.answers.forget_reading();
    }

    /// Answers with an error. The place of the call has an allowance of its own in the log.
    #[track_caller]
    pub fn error(self, status: Status, fields: &str, message: &str) -> Reply {
        self.note_refusal(status, message);
        let body = error_body(message);
        self.answer(status, fields, Content::Bytes(JSON, &body))
    }

    /// Answers that an event of a list is wrong.
    #[track_caller]
    pub fn malformed(self, error: &EventsError) -> Reply {
        self.note_refusal(Status::BadRequest, error.cause.message());
        let body = malformed_body(error);
        self.answer(Status::BadRequest, "", Content::Bytes(JSON, &body))
    }

    #[track_caller]
    fn note_refusal(&self, status: Status, reason: &str) {
        if log::enabled(Level::Debug) {
            note_refusal(self.peer, self.request.path(), status, reason);
        }
    }

    /// Begins an answer without an end with what `begin` appends.
    pub fn begin_stream(
        self,
        media_type: &'static str,
        fields: &str,
        begin: impl FnOnce(&mut Vec<u8>),
    ) -> Reply {
        self.write(Status::Ok, Persistence::Close, fields, Content::Stream(media_type), begin);
        Reply::Detach
    }

    fn write(
        self,
        status: Status,
        persistence: Persistence,
        fields: &str,
        content: Content<'_>,
        begin: impl FnOnce(&mut Vec<u8>),
    ) {
        let Clerk { answers, row, peer, request, out, grant } = self;
        let start = out.len();
        let granted = (!grant.is_empty()).then(|| format!("{fields}{grant}"));
        let fields = granted.as_deref().unwrap_or(fields);
        answers.responses.write(out, status, persistence, fields, content);
        begin(out);
        answers.meters().count(row, status, 1);
        if let Some(access_log) = &mut answers.access_log {
            let place = access_log.line(peer, request);
            access_log.complete(place, status, &out[start..]);
        }
    }
}

/// Logs why a request is refused, for an operator who asks for it by `--log-level debug`.
#[track_caller]
fn note_refusal(peer: &SocketAddr, path: &[u8], status: Status, reason: &str) {
    let path = String::from_utf8_lossy(&path[..path.len().min(DEBUG_LOG_PATH_BYTES_MAX)]);
    let fields: log::Fields = &[
        ("status", &status.code()),
        ("reason", &reason),
        ("path", &&*path),
        ("peer", &peer.ip().to_canonical()),
    ];
    log::debug("request refused", fields);
}

/// Returns the text of `413` for content that is larger than `limit`.
fn too_large(limit: ContentLimit) -> String {
    let ContentLimit { bytes, of_path } = limit;
    let option = if of_path { "--max-batch-body" } else { "--max-body" };
    format!(
        "The content of this request may have at most {bytes} bytes; send less, or raise {option}."
    )
}
