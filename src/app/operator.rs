//! Answers operators and their tools: statistics, health, metrics, the dashboard.

use std::sync::atomic::Ordering;

use super::answers::{Clerk, JSON};
use super::json::write_statistics;
use super::keeper;
use super::page::{OPEN_API, PAGE, PAGE_GZIP, POLICY, accepts_gzip};
use super::{live, metrics};
use crate::http::origin::is_origin;
use crate::http::{Content, Method, Status};
use crate::limits::RETRY_AFTER_S;
use crate::server::Reply;

const HTML: &str = "text/html; charset=utf-8";
/// Server-sent events (WHATWG HTML, 9.2).
const EVENTS: &str = "text/event-stream";

/// A cache may keep the page, but must ask each time whether it is still the same.
const PAGE_FIELDS: &str = "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n\
                           X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";

/// A cache must ask each time whether the description is still the same: a restart may change it.
const NO_CACHE: &str = "Cache-Control: no-cache\r\n";

/// Statistics are of one instant; no cache may serve them at another (RFC 9111, 5.2.2.5).
const NO_STORE: &str = "Cache-Control: no-store\r\n";

/// As above; a proxy passes each event on at once (nginx gathers them otherwise).
const LIVE_FIELDS: &str = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";

/// Statistics whose format the client chooses (RFC 9110, 12.5.5).
const NO_STORE_VARY_ACCEPT: &str = "Cache-Control: no-store\r\nVary: Accept\r\n";

pub(super) fn statistics(clerk: Clerk<'_>) -> Reply {
    clerk.answer_reading(JSON, NO_STORE, |content, shared| {
        write_statistics(content, &shared.statistics.snapshot());
    })
}

pub(super) fn health(clerk: Clerk<'_>) -> Reply {
    let (status, content) = if clerk.shared().is_leaving() {
        (Status::ServiceUnavailable, &b"{\"status\":\"draining\"}"[..])
    } else {
        (Status::Ok, &b"{\"status\":\"healthy\"}"[..])
    };
    clerk.answer(status, NO_STORE, Content::Bytes(JSON, content))
}

pub(super) fn reset(mut clerk: Clerk<'_>) -> Reply {
    if !clerk.shared().reset_allowed {
        let message = "Reset is not enabled; start millrace with --allow-reset to enable it.";
        return clerk.error(Status::Forbidden, "", message);
    }
    clerk.forget_reading();
    let shared = clerk.shared();
    let was_reset = match shared.keeper() {
        None => shared.statistics.reset(),
        Some(keeper) => shared
            .statistics
            .reset_kept(|_| keeper.reset())
            .unwrap_or_else(|error| keeper::end(&error)),
    };
    if !was_reset {
        let message = "There is no memory for a reset; nothing was changed.";
        return clerk.error(Status::InsufficientStorage, "", message);
    }
    clerk.answer(Status::Ok, "", Content::Bytes(JSON, b"{\"status\":\"reset\"}"))
}

pub(super) fn metrics(clerk: Clerk<'_>) -> Reply {
    let format = metrics::MetricsFormat::accepted(clerk.request.values("Accept"));
    clerk.answer_built(format.media_type(), NO_STORE_VARY_ACCEPT, |content, shared| {
        metrics::write(content, shared, &shared.rows, format);
    })
}

pub(super) fn page(clerk: Clerk<'_>) -> Reply {
    let gzip = accepts_gzip(clerk.request.values("Accept-Encoding"));
    let coding = if gzip { "Content-Encoding: gzip\r\n" } else { "" };
    let fields = format!("Content-Security-Policy: {POLICY}\r\n{PAGE_FIELDS}{coding}");
    clerk.answer(Status::Ok, &fields, Content::Bytes(HTML, if gzip { PAGE_GZIP } else { PAGE }))
}

pub(super) fn open_api(clerk: Clerk<'_>) -> Reply {
    clerk.answer(Status::Ok, NO_CACHE, Content::Bytes(JSON, OPEN_API))
}

pub(super) fn live(clerk: Clerk<'_>) -> Reply {
    if clerk.request.method == Method::Head {
        return clerk.answer(Status::Ok, LIVE_FIELDS, Content::Stream(EVENTS));
    }
    let shared = clerk.shared();
    if shared.draining.load(Ordering::Relaxed) || !shared.streams.has_room() {
        let fields = format!("Retry-After: {RETRY_AFTER_S}\r\n");
        let message =
            "There are too many watchers, or the server is about to stop; try again later.";
        return clerk.error(Status::ServiceUnavailable, &fields, message);
    }
    clerk.begin_stream(EVENTS, LIVE_FIELDS, live::write_beginning)
}

/// Answers `OPTIONS` of a resource that takes these methods. `permission` are the field lines that a
/// preflight asks for.
pub(super) fn options(clerk: Clerk<'_>, methods: &str, permission: &str) -> Reply {
    let fields = format!("Allow: {methods}\r\n{permission}");
    clerk.answer(Status::NoContent, &fields, Content::Empty)
}

/// Answers a request that a page of another origin sends, and that would change something.
pub(super) fn foreign_page(clerk: Clerk<'_>) -> Reply {
    clerk.meters().pages_refused.add(1);
    let message = match clerk.request.field("Origin").map(str::from_utf8) {
        Some(Ok(origin)) if is_origin(origin.as_bytes()) => format!(
            "A page of another origin ({origin}) may not change anything here; start millrace with --allow-origin {origin} to let it."
        ),
        _ => "A page of another origin may not change anything here; --allow-origin names those that may.".to_owned(),
    };
    clerk.error(Status::Forbidden, "Vary: Origin\r\n", &message)
}

/// Answers a request with a method that the resource does not take; it takes `methods`.
pub(super) fn method_not_allowed(clerk: Clerk<'_>, methods: &str) -> Reply {
    let message = format!("This path does not take that method; it takes {methods}.");
    clerk.error(Status::MethodNotAllowed, &format!("Allow: {methods}\r\n"), &message)
}

/// Answers a request for a path without a route.
pub(super) fn nothing(clerk: Clerk<'_>, message: &str) -> Reply {
    clerk.error(Status::NotFound, "", message)
}

/// Answers a request with a method that HTTP does not define.
pub(super) fn not_implemented(clerk: Clerk<'_>) -> Reply {
    clerk.error(Status::NotImplemented, "", "This server does not know that method.")
}

/// Answers a request whose content has a coding.
pub(super) fn coded_content(clerk: Clerk<'_>) -> Reply {
    let message = "Content must not have a Content-Encoding other than identity.";
    clerk.error(Status::UnsupportedMediaType, "Accept-Encoding: identity\r\n", message)
}
