//! Requests that a page in a browser sends (WHATWG Fetch, 3.2).
//!
//! A browser lets every page send requests to every server, also to one that only listens on
//! localhost. Some of them need no permission: a form, `sendBeacon` with text, an image. So a page that
//! its user does not trust could count here, or reset. The server refuses such requests:
//!
//! ```text
//! Sec-Fetch-Site: same-origin, none    our own page, or the user's own act
//! Sec-Fetch-Site: anything else        another origin's page
//! without it, Origin names our Host    our own page; older browsers
//! without it, any other Origin         another origin's page
//! neither field                        no browser; not judged
//! ```
//!
//! `Sec-Fetch-Site` comes first because a proxy may have changed `Host`. A page whose origin
//! `--allow-origin` names is granted what it asks for: [`Sender::grant`] returns the fields that let the
//! browser show it the answer. They allow credentials, because `sendBeacon` always sends them; the
//! server reads none.

use super::routes::Route;
use super::shared::Shared;
use crate::http::origin::is_of_host;
use crate::http::{Extras, Request};
use crate::options::Origins;

/// How long a browser may remember the answer to a preflight, in seconds. Browsers cut it down to
/// at most two hours.
const PREFLIGHT_AGE_S: u32 = 7_200;

/// Whose page sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender<'r> {
    /// The server's own, or none.
    Own,
    /// A page of this origin, which is allowed.
    Allowed(&'r str),
    /// A page of another origin.
    Foreign,
}

impl<'r> Sender<'r> {
    /// Judges who sends a request.
    pub fn of(request: &Request<'r>, allowed: &Origins) -> Sender<'r> {
        if !request.extras.has(Extras::PAGE) || is_own(request) {
            return Sender::Own;
        }
        let mut origins = request.values("Origin");
        match (origins.next(), origins.next()) {
            (Some(origin), None) if allowed.include(origin) => {
                str::from_utf8(origin).map_or(Sender::Foreign, Sender::Allowed)
            }
            _ => Sender::Foreign,
        }
    }

    /// Returns the field lines by which the browser lets the page see the answer of `route`; nothing
    /// if the page needs none or gets none.
    pub fn grant(&self, route: &Route) -> String {
        match self {
            Sender::Allowed(origin) if route.is_open_to_pages => format!(
                "Access-Control-Allow-Origin: {origin}\r\n\
                 Access-Control-Allow-Credentials: true\r\n\
                 Access-Control-Expose-Headers: Millrace-Duplicate, Retry-After\r\n\
                 Vary: Origin\r\n"
            ),
            _ => String::new(),
        }
    }

    /// Returns the field lines that answer a preflight of `route`, beside those of
    /// [`grant`](Self::grant); nothing if `request` is none.
    pub fn permission(&self, route: &Route, request: &Request<'_>) -> String {
        let is_preflight = request.field("Access-Control-Request-Method").is_some();
        if !is_preflight || !route.is_open_to_pages || !matches!(self, Sender::Allowed(_)) {
            return String::new();
        }
        let private = match request.field("Access-Control-Request-Private-Network") {
            Some(b"true") => "Access-Control-Allow-Private-Network: true\r\n",
            _ => "",
        };
        format!(
            "Access-Control-Allow-Methods: {}\r\n\
             Access-Control-Allow-Headers: Content-Type, Millrace-Producer, Millrace-Seq\r\n\
             Access-Control-Max-Age: {PREFLIGHT_AGE_S}\r\n{private}",
            route.methods.allow()
        )
    }
}

/// Returns the field lines by which the browser lets the sender of `request` see the answer of `route`.
pub(super) fn grant(shared: &Shared, request: &Request<'_>, route: &Route) -> String {
    Sender::of(request, &shared.allow_origin).grant(route)
}

/// Returns whether the request comes from a page of this server, or from no page.
fn is_own(request: &Request<'_>) -> bool {
    let mut sites = request.values("Sec-Fetch-Site").peekable();
    if sites.peek().is_some() {
        return sites.all(|site| matches!(site, b"same-origin" | b"none"));
    }
    let host = request.field("Host").unwrap_or_default();
    request.values("Origin").all(|origin| is_of_host(origin, host))
}
