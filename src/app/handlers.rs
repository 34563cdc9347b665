//! What one worker answers.
//!
//! Events are staged in the worker's shard and answered together when the turn is settled: one
//! section of the statistics and one copy of prepared answers for all events of a pipeline. Any
//! other answer settles first, so answers leave in the order of the requests, and a client that
//! asks for statistics behind its own events in one pipeline finds them counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::access_log::AccessLog;
use super::page::{OPEN_API, PAGE, PAGE_GZIP, POLICY, accepts_gzip};
use super::routes::{Resolution, Route, SERVER_METHODS, resolve};
use super::{live, metrics};
use crate::event::{self, Scratch};
use crate::http::{Content, Method, Persistence, Refusal, Request, Responses, Status};
use crate::limits::RETRY_AFTER_S;
use crate::server::{After, Detached, Handler};
use crate::stats::{Shard, Snapshot};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
/// Server-sent events (WHATWG HTML, 9.2).
const EVENTS: &str = "text/event-stream";

/// The page may be kept, but not used without asking whether it is still the same.
const PAGE_FIELDS: &str = "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n\
                           X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";

/// Statistics are of one instant; no cache may serve them at another (RFC 9111, 5.2.2.5).
const NO_STORE: &str = "Cache-Control: no-store\r\n";

/// As above, for what comes in the format that is asked for (RFC 9110, 12.5.5).
const NO_STORE_VARY_ACCEPT: &str = "Cache-Control: no-store\r\nVary: Accept\r\n";

/// The handler of one worker.
pub struct App {
    shared: Arc<Shared>,
    worker: usize,
    shard: Shard,
    responses: Responses,
    scratch: Scratch,
    /// Content under construction, kept for its memory.
    content: Vec<u8>,
    access_log: Option<AccessLog>,
}

/// An answer to be written.
struct Answer<'a> {
    status: Status,
    /// Whole further field lines.
    fields: &'a str,
    content: Content<'a>,
}

impl App {
    /// The handler of worker `worker`.
    pub fn new(shared: &Arc<Shared>, worker: usize, unix_s: u64) -> App {
        App {
            shard: shared.statistics.shard(worker),
            responses: Responses::new(unix_s),
            scratch: Scratch::new(),
            content: Vec::new(),
            access_log: shared.access_log.then(AccessLog::new),
            worker,
            shared: Arc::clone(shared),
        }
    }

    /// Stages a valid event; the usual kind of answer is put off.
    #[inline]
    fn event(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Option<Status> {
        let event = match event::parse(request.content, &mut self.scratch) {
            Ok(event) => event,
            Err(error) => {
                self.settle(out);
                self.shared.request_meters[self.worker].event_errors[error as usize].add(1);
                return Some(self.error(
                    Some(Route::Event),
                    request,
                    Status::BadRequest,
                    "",
                    error.message(),
                    out,
                ));
            }
        };
        if self.shard.is_full() {
            commit(
                &mut self.shard,
                &self.responses,
                &self.shared.request_meters[self.worker],
                Persistence::Implied,
                out,
            );
        }
        let persistence = Persistence::of(request.version, request.persistent);
        if persistence == Persistence::Implied && self.access_log.is_none() {
            self.shard.stage(event.user_id, event.value);
            return None;
        }
        // What was staged before has the usual answer; this one has not.
        let meters = &self.shared.request_meters[self.worker];
        commit(&mut self.shard, &self.responses, meters, Persistence::Implied, out);
        self.shard.stage(event.user_id, event.value);
        Some(commit(&mut self.shard, &self.responses, meters, persistence, out))
    }

    /// Answers anything but an event. Apart from it, since events are what a server is flooded with:
    /// in one function with the rest each would cost 20 instructions more.
    #[cold]
    #[inline(never)]
    fn request_other(
        &mut self,
        resolution: Resolution,
        peer: &SocketAddr,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> After {
        let answer_at = out.len();
        let (status, after) = match resolution {
            Resolution::Found(Route::Live) if self.admits_watcher(request) => {
                (self.begin_stream(out), After::Detach)
            }
            other => (self.answer_other(other, request, out), After::GoOn),
        };
        self.log(peer, request, status, &out[answer_at..]);
        after
    }

    fn log(&mut self, peer: &SocketAddr, request: &Request<'_>, status: Status, answer: &[u8]) {
        if let Some(access_log) = &mut self.access_log {
            access_log.request(peer, request, status, answer);
        }
    }

    fn answer_other(
        &mut self,
        resolution: Resolution,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Status {
        self.settle(out);
        match resolution {
            // An event whose content is not coded is staged and never gets here.
            Resolution::Found(Route::Event) => {
                let fields = "Accept-Encoding: identity\r\n";
                let message = "Content must not have a Content-Encoding other than identity.";
                let status = Status::UnsupportedMediaType;
                self.error(Some(Route::Event), request, status, fields, message, out)
            }
            Resolution::Found(Route::Stats) => {
                let snapshot = self.shared.statistics.snapshot();
                self.answer_built(Route::Stats, JSON, NO_STORE, request, out, |content, _| {
                    write_statistics(content, &snapshot);
                })
            }
            Resolution::Found(Route::Metrics) => {
                let format = metrics::Format::accepted(request.values("Accept"));
                let media_type = format.media_type();
                self.answer_built(
                    Route::Metrics,
                    media_type,
                    NO_STORE_VARY_ACCEPT,
                    request,
                    out,
                    |content, shared| metrics::write(content, shared, format),
                )
            }
            Resolution::Found(Route::Page) => {
                let gzip = accepts_gzip(request.values("Accept-Encoding"));
                let coding = if gzip { "Content-Encoding: gzip\r\n" } else { "" };
                let fields = format!("Content-Security-Policy: {POLICY}\r\n{PAGE_FIELDS}{coding}");
                let content = Content::Bytes(HTML, if gzip { PAGE_GZIP } else { PAGE });
                let answer = Answer { status: Status::Ok, fields: &fields, content };
                self.answer(Some(Route::Page), request, answer, out)
            }
            Resolution::Found(Route::OpenApi) => {
                let content = Content::Bytes(JSON, OPEN_API);
                let answer = Answer { status: Status::Ok, fields: "", content };
                self.answer(Some(Route::OpenApi), request, answer, out)
            }
            Resolution::Found(Route::Live) if request.method == Method::Head => {
                let answer = Answer {
                    status: Status::Ok,
                    fields: NO_STORE,
                    content: Content::Stream(EVENTS),
                };
                self.answer(Some(Route::Live), request, answer, out)
            }
            Resolution::Found(Route::Live) => {
                let fields = format!("Retry-After: {RETRY_AFTER_S}\r\n");
                let message = "There are too many watchers, or the server is about to stop; \
                               try again later.";
                let status = Status::ServiceUnavailable;
                self.error(Some(Route::Live), request, status, &fields, message, out)
            }
            Resolution::Found(Route::Health) if self.shared.draining.load(Ordering::Relaxed) => {
                let answer = Answer {
                    status: Status::ServiceUnavailable,
                    fields: NO_STORE,
                    content: Content::Bytes(JSON, b"{\"status\":\"draining\"}"),
                };
                self.answer(Some(Route::Health), request, answer, out)
            }
            Resolution::Found(Route::Health) => {
                let content = Content::Bytes(JSON, b"{\"status\":\"healthy\"}");
                self.answer(
                    Some(Route::Health),
                    request,
                    Answer { status: Status::Ok, fields: NO_STORE, content },
                    out,
                )
            }
            Resolution::Found(Route::Reset) if self.shared.reset_allowed => {
                self.shared.statistics.reset();
                let content = Content::Bytes(JSON, b"{\"status\":\"reset\"}");
                self.answer(
                    Some(Route::Reset),
                    request,
                    Answer { status: Status::Ok, fields: "", content },
                    out,
                )
            }
            Resolution::Found(Route::Reset) => {
                let message =
                    "Reset is not enabled; start millrace with --allow-reset to enable it.";
                self.error(Some(Route::Reset), request, Status::Forbidden, "", message, out)
            }
            Resolution::Server => {
                let fields = format!("Allow: {SERVER_METHODS}\r\n");
                self.answer(
                    None,
                    request,
                    Answer { status: Status::Ok, fields: &fields, content: Content::Empty },
                    out,
                )
            }
            Resolution::NotFound => {
                let message =
                    "There is nothing at this path; try /, /event, /stats, /health or /metrics.";
                self.error(None, request, Status::NotFound, "", message, out)
            }
            Resolution::MethodNotAllowed(route) => {
                let methods = route.map_or(SERVER_METHODS, Route::methods);
                let fields = format!("Allow: {methods}\r\n");
                let message = format!("This path does not take that method; it takes {methods}.");
                self.error(route, request, Status::MethodNotAllowed, &fields, &message, out)
            }
            Resolution::NotImplemented => {
                let message = "This server does not know that method.";
                self.error(None, request, Status::NotImplemented, "", message, out)
            }
        }
    }

    /// Whether this is a client who wants to watch, and may.
    fn admits_watcher(&self, request: &Request<'_>) -> bool {
        request.method == Method::Get
            && !self.shared.draining.load(Ordering::Relaxed)
            && self.shared.live.has_room()
    }

    /// Begins an answer without an end.
    fn begin_stream(&mut self, out: &mut Vec<u8>) -> Status {
        self.settle(out);
        let content = Content::Stream(EVENTS);
        let persistence = Persistence::Close;
        self.responses.write(out, Status::Ok, persistence, NO_STORE, content);
        live::write_beginning(out);
        self.shared.request_meters[self.worker].count(Some(Route::Live), Status::Ok, 1);
        Status::Ok
    }

    /// Answers `200` with content that is built for the occasion.
    fn answer_built(
        &mut self,
        route: Route,
        media_type: &'static str,
        fields: &str,
        request: &Request<'_>,
        out: &mut Vec<u8>,
        build: impl FnOnce(&mut Vec<u8>, &Shared),
    ) -> Status {
        let mut content = std::mem::take(&mut self.content);
        content.clear();
        build(&mut content, &self.shared);
        let answer =
            Answer { status: Status::Ok, fields, content: Content::Bytes(media_type, &content) };
        let status = self.answer(Some(route), request, answer, out);
        self.content = content;
        status
    }

    fn error(
        &mut self,
        route: Option<Route>,
        request: &Request<'_>,
        status: Status,
        fields: &str,
        message: &str,
        out: &mut Vec<u8>,
    ) -> Status {
        let body = error_body(message);
        self.answer(
            route,
            request,
            Answer { status, fields, content: Content::Bytes(JSON, &body) },
            out,
        )
    }

    fn answer(
        &mut self,
        route: Option<Route>,
        request: &Request<'_>,
        answer: Answer<'_>,
        out: &mut Vec<u8>,
    ) -> Status {
        let Answer { status, fields, content } = answer;
        let content = match content {
            Content::Bytes(media_type, bytes) if request.method == Method::Head => {
                Content::HeadOf(media_type, bytes)
            }
            content => content,
        };
        let persistence = Persistence::of(request.version, request.persistent);
        self.responses.write(out, status, persistence, fields, content);
        self.shared.request_meters[self.worker].count(route, status, 1);
        status
    }
}

/// Publishes what is staged and appends its answers; the last one's status.
#[inline]
fn commit(
    shard: &mut Shard,
    responses: &Responses,
    meters: &metrics::RequestMeters,
    persistence: Persistence,
    out: &mut Vec<u8>,
) -> Status {
    let staged = shard.staged();
    if staged == 0 {
        return Status::Ok;
    }
    let refused = shard.commit();
    if refused.is_none() && persistence == Persistence::Implied {
        responses.write_usual(out, staged);
        meters.count(Some(Route::Event), Status::Ok, staged as u64);
        return Status::Ok;
    }
    let mut status = Status::Ok;
    for index in 0..staged {
        if refused.contains(index) {
            status = Status::InsufficientStorage;
            let body = error_body(
                "The limit of distinct users is reached, so this event was not counted; raise --max-users to take more.",
            );
            responses.write(out, status, persistence, "", Content::Bytes(JSON, &body));
            meters.users_refused.add(1);
        } else {
            status = Status::Ok;
            responses.write(out, status, persistence, "", Content::Empty);
        }
        meters.count(Some(Route::Event), status, 1);
    }
    status
}

impl Handler for App {
    fn tick(&mut self, unix_s: u64) {
        self.responses.refresh(unix_s);
        if let Some(access_log) = &mut self.access_log {
            access_log.refresh(unix_s);
        }
    }

    #[inline]
    fn request(&mut self, peer: &SocketAddr, request: &Request<'_>, out: &mut Vec<u8>) -> After {
        let answer_at = out.len();
        match resolve(request) {
            Resolution::Found(Route::Event) if !request.content_is_coded => {
                if let Some(status) = self.event(request, out) {
                    self.log(peer, request, status, &out[answer_at..]);
                }
                After::GoOn
            }
            other => self.request_other(other, peer, request, out),
        }
    }

    fn detached(&mut self, connection: Detached) {
        self.shared.live.watch(connection);
    }

    #[inline]
    fn settle(&mut self, out: &mut Vec<u8>) {
        let meters = &self.shared.request_meters[self.worker];
        commit(&mut self.shard, &self.responses, meters, Persistence::Implied, out);
    }

    fn round_over(&mut self) {
        if let Some(access_log) = &mut self.access_log {
            access_log.flush();
        }
    }

    fn abandon(&mut self) {
        self.shard.discard();
    }

    fn refuse(&mut self, peer: &SocketAddr, refusal: Refusal, out: &mut Vec<u8>) {
        let answer_at = out.len();
        let Refusal { error, head_only } = refusal;
        let body = error_body(error.message());
        let content =
            if head_only { Content::HeadOf(JSON, &body) } else { Content::Bytes(JSON, &body) };
        self.responses.write(out, error.status(), Persistence::Close, "", content);
        self.shared.request_meters[self.worker].count(None, error.status(), 1);
        if let Some(access_log) = &mut self.access_log {
            access_log.refused(peer, error.status(), &out[answer_at..]);
        }
    }

    fn overloaded(&mut self, out: &mut Vec<u8>) {
        let fields = format!("Retry-After: {RETRY_AFTER_S}\r\n");
        let body =
            error_body("The server has as many connections as it may have; try again later.");
        let content = Content::Bytes(JSON, &body);
        self.responses.write(out, Status::ServiceUnavailable, Persistence::Close, &fields, content);
        self.shared.request_meters[self.worker].count(None, Status::ServiceUnavailable, 1);
    }

    fn drain(&mut self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }
}

/// `{"error":"…"}`; the messages need no escapes.
fn error_body(message: &str) -> Vec<u8> {
    debug_assert!(message.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\'));
    format!("{{\"error\":\"{message}\"}}").into_bytes()
}

/// The statistics as the contract words them: `null` for what is beyond the range of a double.
pub fn write_statistics(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let mut integers = itoa::Buffer::new();
    let mut floats = ryu::Buffer::new();
    out.extend_from_slice(b"{\"totalRequests\":");
    out.extend_from_slice(integers.format(snapshot.events).as_bytes());
    out.extend_from_slice(b",\"uniqueUsers\":");
    out.extend_from_slice(integers.format(snapshot.users).as_bytes());
    for (name, value) in [(&b",\"sum\":"[..], snapshot.sum), (b",\"avg\":", snapshot.average())] {
        out.extend_from_slice(name);
        out.extend_from_slice(value.map_or("null", |value| floats.format(value)).as_bytes());
    }
    out.push(b'}');
}
