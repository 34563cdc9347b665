//! The static route table: what exists, and which methods it takes.

use crate::http::{Method, Request, target};

/// A resource of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Counts an event.
    Event,
    /// Answers the statistics.
    Stats,
    /// Says whether the server is well.
    Health,
    /// Sets the statistics to zero.
    Reset,
    /// Metrics for Prometheus.
    Metrics,
    /// The dashboard.
    Page,
    /// What the dashboard shows, as it changes.
    Live,
    /// The description of this interface.
    OpenApi,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A route, with a method that it takes.
    Found(Route),
    /// `OPTIONS *`: what the server as a whole can do (RFC 9110, 9.3.7).
    Server,
    /// Nothing stands at this path.
    NotFound,
    /// The route does not take this method, but these (RFC 9110, 15.5.6); a path-less target has
    /// no route.
    MethodNotAllowed(Option<Route>),
    /// HTTP does not define this method.
    NotImplemented,
}

/// One row a route, the busiest first.
const TABLE: [(&str, Route); Route::COUNT] = [
    ("/event", Route::Event),
    ("/stats", Route::Stats),
    ("/health", Route::Health),
    ("/metrics", Route::Metrics),
    ("/reset", Route::Reset),
    ("/", Route::Page),
    ("/live", Route::Live),
    ("/openapi.json", Route::OpenApi),
];

/// What the server takes anywhere, for `OPTIONS *`.
pub const SERVER_METHODS: &str = "GET, HEAD, POST";

impl Route {
    /// How many routes there are.
    pub const COUNT: usize = 8;

    /// A name for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Route::Event => "event",
            Route::Stats => "stats",
            Route::Health => "health",
            Route::Reset => "reset",
            Route::Metrics => "metrics",
            Route::Page => "page",
            Route::Live => "live",
            Route::OpenApi => "openapi",
        }
    }

    /// The methods it takes, as the `Allow` field lists them.
    pub const fn methods(self) -> &'static str {
        match self {
            Route::Event | Route::Reset => "POST",
            _ => "GET, HEAD",
        }
    }

    const fn takes(self, method: Method) -> bool {
        match self {
            Route::Event | Route::Reset => matches!(method, Method::Post),
            _ => matches!(method, Method::Get | Method::Head),
        }
    }

    /// Every route, with its path.
    pub fn all() -> impl Iterator<Item = (&'static str, Route)> {
        TABLE.into_iter()
    }
}

/// Finds what a request asks for.
#[inline]
pub fn resolve(request: &Request<'_>) -> Resolution {
    if request.method == Method::Unknown {
        return Resolution::NotImplemented;
    }
    let find = |path: &[u8]| TABLE.iter().find(|(other, _)| other.as_bytes() == path);
    match find(request.path()).or_else(|| find(path_of_root(request))) {
        Some(&(_, route)) if route.takes(request.method) => Resolution::Found(route),
        Some(&(_, route)) => Resolution::MethodNotAllowed(Some(route)),
        None if request.target() == b"*" => Resolution::Server,
        None if request.path().is_empty() => Resolution::MethodNotAllowed(None),
        None => Resolution::NotFound,
    }
}

/// `/` for a target in absolute form without a path, which stands for it (RFC 9112, 3.2.2);
/// otherwise the path as it is.
#[cold]
fn path_of_root<'b>(request: &Request<'b>) -> &'b [u8] {
    let path = request.path();
    if target::is_root(request.target(), path) { b"/" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Exchange, Memo, Step};

    #[test]
    fn every_route_is_in_the_table_once() {
        for (i, (path, route)) in Route::all().enumerate() {
            let name = path.trim_matches('/').trim_end_matches(".json");
            assert_eq!(route.label(), if name.is_empty() { "page" } else { name });
            assert_eq!(Route::all().position(|(_, other)| other == route), Some(i));
        }
    }

    #[test]
    fn resolution() {
        use Method::*;
        use Resolution::*;
        for (method, target, expected) in [
            (Post, "/event", Found(Route::Event)),
            (Get, "/event", MethodNotAllowed(Some(Route::Event))),
            (Get, "/stats", Found(Route::Stats)),
            (Head, "/stats", Found(Route::Stats)),
            (Post, "/stats", MethodNotAllowed(Some(Route::Stats))),
            (Unknown, "/stats", NotImplemented),
            (Unknown, "/nothing", NotImplemented),
            (Get, "/nothing", NotFound),
            (Get, "/stats/", NotFound),
            (Get, "http://h/health", Found(Route::Health)),
            (Get, "/", Found(Route::Page)),
            (Head, "http://h", Found(Route::Page)),
            (Get, "http://h?q", Found(Route::Page)),
            (Post, "/", MethodNotAllowed(Some(Route::Page))),
            (Get, "//", NotFound),
            (Get, "/live?x=y", Found(Route::Live)),
            (Get, "/openapi.json", Found(Route::OpenApi)),
            (Options, "*", Server),
            (Connect, "h:80", MethodNotAllowed(None)),
        ] {
            let name = match method {
                Unknown => "BREW".to_owned(),
                method => format!("{method:?}").to_uppercase(),
            };
            let mut input = format!("{name} {target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
            let step = Exchange::new(0).advance(&mut input, &mut Memo::default());
            let Step::Request { request, .. } = step else { panic!("{step:?}") };
            assert_eq!(request.method, method);
            assert_eq!(resolve(&request), expected, "{method:?} {target}");
        }
    }
}
