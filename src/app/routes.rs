//! The route table: one row for each resource. Add a route by adding a row, and its label to the
//! metrics' documents and to `openapi.json`.
//!
//! The `405` answers, the `404` text, the labels of metrics and the tests of `openapi.json` and
//! docs/api.md come from this table.

use super::answers::Clerk;
use super::meters::Row;
use super::operator;
use crate::http::{Method, Request, target};
use crate::server::Reply;

/// A resource of this server.
pub struct Route {
    /// The path, compared in full.
    pub path: &'static str,
    /// The name in metrics.
    pub label: &'static str,
    /// The methods it takes.
    pub methods: Methods,
    /// How its requests are answered.
    pub(super) service: Service,
    /// The cost of a request beside the bytes of its answer, in events (70 ns), as measured. Where
    /// requests are staged, the server charges 1 for each.
    cost: u32,
    /// Whether the text of `404` names it.
    suggested: bool,
    /// Whether pages of other origins may use it, if `--allow-origin` names them.
    pub(super) is_open_to_pages: bool,
    /// At which entrances it is, where operators have an entrance of their own.
    pub entrances: Entrances,
}

/// Names the entrances at which a route is, where operators have one of their own. Otherwise every
/// route is at the only entrance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrances {
    /// At the entrance of clients.
    Clients,
    /// At both.
    Both,
    /// At the entrance of operators.
    Operators,
}

/// Identifies the entrance through which a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// There is no other.
    Only,
    /// That of clients.
    Clients,
    /// That of operators (`--admin-listen`).
    Operators,
}

impl Entrances {
    /// Returns whether `entrance` is one of these.
    const fn include(self, entrance: Entrance) -> bool {
        match entrance {
            Entrance::Only => true,
            Entrance::Clients => matches!(self, Entrances::Clients | Entrances::Both),
            Entrance::Operators => matches!(self, Entrances::Both | Entrances::Operators),
        }
    }
}

/// Names the way in which the requests of a route are answered.
pub(super) enum Service {
    /// Content is an event: it is staged, and answered after the commit.
    Event,
    /// Content is a list of events, which is staged as a whole.
    Events,
    /// An answer that depends on no event.
    Plain(Answerer),
    /// An answer that shows or changes the statistics, so that events staged before it are
    /// committed first.
    OfStatistics(Answerer),
}

/// Writes the answer to a request.
pub(super) type Answerer = fn(Clerk<'_>) -> Reply;

/// The methods of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// It takes content.
    Post,
    /// It can be read; `HEAD` works wherever `GET` does.
    Get,
}

/// The routes, the busiest first.
pub static ROUTES: [Route; 9] = [
    Route {
        path: "/event",
        label: "event",
        methods: Methods::Post,
        service: Service::Event,
        cost: 4,
        suggested: true,
        is_open_to_pages: true,
        entrances: Entrances::Clients,
    },
    Route {
        path: "/events",
        label: "events",
        methods: Methods::Post,
        service: Service::Events,
        cost: 4,
        suggested: true,
        is_open_to_pages: true,
        entrances: Entrances::Clients,
    },
    Route {
        path: "/stats",
        label: "stats",
        methods: Methods::Get,
        service: Service::OfStatistics(operator::statistics),
        cost: 8,
        suggested: true,
        is_open_to_pages: true,
        entrances: Entrances::Both,
    },
    Route {
        path: "/health",
        label: "health",
        methods: Methods::Get,
        service: Service::Plain(operator::health),
        cost: 4,
        suggested: true,
        is_open_to_pages: false,
        entrances: Entrances::Both,
    },
    Route {
        path: "/metrics",
        label: "metrics",
        methods: Methods::Get,
        service: Service::OfStatistics(operator::metrics),
        // A third of what it costs: four in a turn, so that they leave in one piece of some size.
        cost: 24,
        suggested: true,
        is_open_to_pages: false,
        entrances: Entrances::Operators,
    },
    Route {
        path: "/reset",
        label: "reset",
        methods: Methods::Post,
        service: Service::OfStatistics(operator::reset),
        cost: 2_400,
        suggested: false,
        is_open_to_pages: true,
        entrances: Entrances::Operators,
    },
    Route {
        path: "/",
        label: "page",
        methods: Methods::Get,
        service: Service::Plain(operator::page),
        cost: 8,
        suggested: true,
        is_open_to_pages: false,
        entrances: Entrances::Operators,
    },
    Route {
        path: "/live",
        label: "live",
        methods: Methods::Get,
        service: Service::OfStatistics(operator::live),
        cost: 4,
        suggested: false,
        is_open_to_pages: false,
        entrances: Entrances::Operators,
    },
    Route {
        path: "/openapi.json",
        label: "openapi",
        methods: Methods::Get,
        service: Service::Plain(operator::open_api),
        cost: 8,
        suggested: false,
        is_open_to_pages: false,
        entrances: Entrances::Operators,
    },
];

/// The methods that some route takes, for `OPTIONS *`.
const SERVER_METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// A place in [`ROUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteNumber(u8);

impl RouteNumber {
    /// The route that counts events.
    pub const EVENT: RouteNumber = RouteNumber(0);
    /// The route that counts lists of events.
    pub const EVENTS: RouteNumber = RouteNumber(1);

    /// Returns the row of the table.
    #[inline(always)]
    pub fn route(self) -> &'static Route {
        &ROUTES[usize::from(self.0)]
    }

    /// Returns the row in which the answers of this route are counted.
    #[inline(always)]
    pub(super) const fn row(self) -> Row {
        Row::of_route(self.0 as usize)
    }
}

/// Names what a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A route, with a method that it takes.
    Found(RouteNumber),
    /// `OPTIONS` of a route, or of the server as a whole (`*`, RFC 9110, 9.3.7).
    Options(Option<RouteNumber>),
    /// There is no route with this path.
    NotFound,
    /// The route does not take this method (RFC 9110, 15.5.6); a target without a path has no route.
    MethodNotAllowed(Option<RouteNumber>),
    /// HTTP does not define this method.
    NotImplemented,
}

impl Resolution {
    /// Returns the row in which the answer is counted.
    pub(super) fn row(self) -> Row {
        match self {
            Resolution::Found(number) => number.row(),
            Resolution::Options(route) | Resolution::MethodNotAllowed(route) => {
                route.map_or(Row::NONE, RouteNumber::row)
            }
            Resolution::NotFound | Resolution::NotImplemented => Row::NONE,
        }
    }

    /// Returns the route, if there is one.
    pub(super) fn route(self) -> Option<&'static Route> {
        match self {
            Resolution::Found(number) => Some(number.route()),
            Resolution::Options(number) | Resolution::MethodNotAllowed(number) => {
                number.map(RouteNumber::route)
            }
            Resolution::NotFound | Resolution::NotImplemented => None,
        }
    }

    /// Returns whether the request changes something.
    pub(super) fn is_change(self) -> bool {
        matches!(self, Resolution::Found(number) if number.route().methods == Methods::Post)
    }

    /// Gives an answer the cost that the table has for its route, if it has one.
    pub(super) fn charge(self, reply: Reply) -> Reply {
        match (reply, self) {
            (Reply::Answered { .. }, Resolution::Found(number)) => {
                Reply::Answered { cost: number.route().cost }
            }
            _ => reply,
        }
    }

    /// Returns whether the answer shows or changes the statistics.
    pub(super) fn concerns_statistics(self) -> bool {
        let Resolution::Found(number) = self else { return false };
        matches!(number.route().service, Service::OfStatistics(_))
    }
}

impl Methods {
    /// Returns the methods as the `Allow` field lists them.
    pub const fn allow(self) -> &'static str {
        match self {
            Methods::Post => "POST, OPTIONS",
            Methods::Get => "GET, HEAD, OPTIONS",
        }
    }

    const fn take(self, method: Method) -> bool {
        match self {
            Methods::Post => matches!(method, Method::Post),
            Methods::Get => matches!(method, Method::Get | Method::Head),
        }
    }
}

/// Finds what a request asks for that has come through an entrance of clients.
#[inline]
pub fn resolve(request: &Request<'_>, entrance: Entrance) -> Resolution {
    debug_assert_ne!(entrance, Entrance::Operators);
    // The row that a server is flooded with is a constant here, which saves 15 instructions.
    const EVENT: &Route = &ROUTES[RouteNumber::EVENT.0 as usize];
    if request.path() == EVENT.path.as_bytes() && EVENT.methods.take(request.method) {
        return Resolution::Found(RouteNumber::EVENT);
    }
    resolve_any(request, entrance)
}

/// Finds what a request asks for.
#[cold]
#[inline(never)]
pub(super) fn resolve_any(request: &Request<'_>, entrance: Entrance) -> Resolution {
    if request.method == Method::Unknown {
        return Resolution::NotImplemented;
    }
    match find(request.path(), entrance).or_else(|| find(path_of_root(request), entrance)) {
        Some(number) if number.route().methods.take(request.method) => Resolution::Found(number),
        Some(number) if request.method == Method::Options => Resolution::Options(Some(number)),
        Some(number) => Resolution::MethodNotAllowed(Some(number)),
        None if request.target() == b"*" => Resolution::Options(None),
        None if request.path().is_empty() => Resolution::MethodNotAllowed(None),
        None => Resolution::NotFound,
    }
}

fn find(path: &[u8], entrance: Entrance) -> Option<RouteNumber> {
    let is_here =
        |route: &Route| route.path.as_bytes() == path && route.entrances.include(entrance);
    let index = ROUTES.iter().position(is_here)?;
    Some(RouteNumber(index as u8))
}

/// Returns `/` for a target in absolute form without a path, which stands for it (RFC 9112, 3.2.2);
/// otherwise the path as it is.
fn path_of_root<'b>(request: &Request<'b>) -> &'b [u8] {
    let path = request.path();
    if target::is_root(request.target(), path) { b"/" } else { path }
}

/// Returns the rows in which answers are counted, with their labels.
pub(super) fn rows() -> Box<[(Row, &'static str)]> {
    let routes = (0..).map(Row::of_route).zip(ROUTES.iter().map(|route| route.label));
    routes.chain([(Row::NONE, "none")]).collect()
}

/// Returns the methods of a route, or of the server as a whole, as the `Allow` field lists them.
pub(super) fn allowed(route: Option<RouteNumber>) -> &'static str {
    route.map_or(SERVER_METHODS, |number| number.route().methods.allow())
}

/// Returns the text of `404` at an entrance.
pub(super) fn not_found(entrance: Entrance) -> String {
    let is_suggested = |route: &&Route| route.suggested && route.entrances.include(entrance);
    let paths: Vec<&str> = ROUTES.iter().filter(is_suggested).map(|route| route.path).collect();
    let (last, others) = paths.split_last().unwrap_or((&"/", &[]));
    format!("There is nothing at this path; try {} or {last}.", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Exchange, Memo, Step};

    #[test]
    fn every_route_is_in_the_table_once() {
        for (i, route) in ROUTES.iter().enumerate() {
            let name = route.path.trim_matches('/').trim_end_matches(".json");
            assert_eq!(route.label, if name.is_empty() { "page" } else { name });
            assert_eq!(find(route.path.as_bytes(), Entrance::Only), Some(RouteNumber(i as u8)));
        }
        assert_eq!(RouteNumber::EVENT.route().path, "/event");
        assert_eq!(RouteNumber::EVENTS.route().path, "/events");
    }

    #[test]
    fn resolution() {
        use Method::{Connect, Get, Head, Post, Unknown};
        use Resolution::{Found, MethodNotAllowed, NotFound, NotImplemented};
        let route = |path: &str| find(path.as_bytes(), Entrance::Only).unwrap();
        for (method, target, expected) in [
            (Post, "/event", Found(route("/event"))),
            (Get, "/event", MethodNotAllowed(Some(route("/event")))),
            (Method::Options, "/event", Resolution::Options(Some(route("/event")))),
            (Get, "/stats", Found(route("/stats"))),
            (Head, "/stats", Found(route("/stats"))),
            (Post, "/stats", MethodNotAllowed(Some(route("/stats")))),
            (Unknown, "/stats", NotImplemented),
            (Unknown, "/nothing", NotImplemented),
            (Get, "/nothing", NotFound),
            (Method::Options, "/nothing", NotFound),
            (Get, "/stats/", NotFound),
            (Get, "http://h/health", Found(route("/health"))),
            (Get, "/", Found(route("/"))),
            (Head, "http://h", Found(route("/"))),
            (Get, "http://h?q", Found(route("/"))),
            (Post, "/", MethodNotAllowed(Some(route("/")))),
            (Get, "//", NotFound),
            (Get, "/live?x=y", Found(route("/live"))),
            (Get, "/openapi.json", Found(route("/openapi.json"))),
            (Method::Options, "*", Resolution::Options(None)),
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
            assert_eq!(resolve(&request, Entrance::Only), expected, "{method:?} {target}");
        }
    }

    #[test]
    fn the_text_of_404_names_paths() {
        for (entrance, paths) in [
            (Entrance::Only, "/event, /events, /stats, /health, /metrics or /"),
            (Entrance::Clients, "/event, /events, /stats or /health"),
            (Entrance::Operators, "/stats, /health, /metrics or /"),
        ] {
            assert_eq!(not_found(entrance), format!("There is nothing at this path; try {paths}."));
        }
    }

    #[test]
    fn each_door_has_its_routes() {
        for (label, clients, operators) in [
            ("event", true, false),
            ("events", true, false),
            ("stats", true, true),
            ("health", true, true),
            ("metrics", false, true),
            ("reset", false, true),
            ("page", false, true),
            ("live", false, true),
            ("openapi", false, true),
        ] {
            let route = ROUTES.iter().find(|route| route.label == label).unwrap();
            let at = |entrance| find(route.path.as_bytes(), entrance).is_some();
            let found = [Entrance::Only, Entrance::Clients, Entrance::Operators].map(at);
            assert_eq!(found, [true, clients, operators], "{label}");
        }
    }
}
