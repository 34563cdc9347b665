//! The four forms of a request target (RFC 9112, 3.2), reduced to the path that is routed.
//!
//! Paths are compared as they were sent. Nothing is percent-decoded and no dot segment is removed,
//! since no route of this server needs either.
//!
//! Path and query may hold a few bytes that RFC 3986 does not allow, because browsers send them as
//! they are (WHATWG URL, 1.3): see [`PATH`] and [`QUERY`]. None of them can end a target, and the
//! query is ignored, so no reader can find another request in the same bytes. A `%` need not have
//! two hexadecimal digits behind it, for the same reason.

use std::ops::Range;

use super::authority::Authority;
use super::error::HttpError;
use super::method::Method;
use super::scan::{PATH, QUERY};

/// The path of asterisk-form and authority-form, which have none. It matches no route.
const NO_PATH: Range<usize> = 0..0;

/// Returns where in `target` its path is, without the query; empty for `*` and for authority-form.
///
/// # Errors
/// `Target` if it has none of the four forms, or a form that does not go with the method.
pub fn path(method: Method, target: &[u8]) -> Result<Range<usize>, HttpError> {
    let path = match target {
        _ if method == Method::Connect => authority_form(target),
        [b'/', ..] => path_and_query(target, 0),
        b"*" if method == Method::Options => Some(NO_PATH),
        _ => absolute_form(target),
    };
    path.ok_or(HttpError::Target)
}

/// `uri-host ":" port` (RFC 9112, 3.2.3). An empty or impossible port is refused (RFC 9110, 9.3.6).
fn authority_form(target: &[u8]) -> Option<Range<usize>> {
    Authority::read(target)?.port_number().map(|_| NO_PATH)
}

/// `http://authority path` (RFC 9112, 3.2.2)
fn absolute_form(target: &[u8]) -> Option<Range<usize>> {
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    let authority_at =
        schemes.iter().map(|scheme| scheme.len()).zip(schemes).find_map(|(length, scheme)| {
            target.get(..length)?.eq_ignore_ascii_case(scheme).then_some(length)
        })?;
    let rest = &target[authority_at..];
    let authority_length =
        rest.iter().position(|&byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Authority::read(&rest[..authority_length])?;
    path_and_query(target, authority_at + authority_length)
}

/// Where the path is that begins at `path_at`. Only a query may follow it.
fn path_and_query(target: &[u8], path_at: usize) -> Option<Range<usize>> {
    let path_end = path_at + PATH.run_length(&target[path_at..]);
    match &target[path_end..] {
        [] => {}
        [b'?', query @ ..] if QUERY.run_length(query) == query.len() => {}
        _ => return None,
    }
    Some(path_at..path_end)
}

/// Returns whether the path of a valid target means `/`: also where absolute-form has no path
/// (RFC 9110, 4.2.3).
pub fn is_root(target: &[u8], path: &[u8]) -> bool {
    path == b"/" || (path.is_empty() && target.contains(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        use Method::*;
        for (method, target, expected) in [
            (Get, "/", Some("/")),
            (Get, "/stats?x=/y?z", Some("/stats")),
            (Get, "/stats?", Some("/stats")),
            (Get, "//a", Some("//a")),
            (Get, "/%zz%", Some("/%zz%")),
            (Get, "/a[b]|^", Some("/a[b]|^")),
            (Get, "/a?f={a}|b^c`\\[]%", Some("/a")),
            (Get, "/a{b}", None),
            (Get, "/a\\b", None),
            (Get, "/a`b", None),
            (Get, "/a?b\"c", None),
            (Get, "/a?b<c", None),
            (Get, "/a?b>c", None),
            (Get, "/a?b#c", None),
            (Get, "/a?b c", None),
            (Get, "/a?\u{e4}", None),
            (Get, "/a?b\u{7f}", None),
            (Get, "/a?b\t", None),
            (Options, "*", Some("")),
            (Options, "/*", Some("/*")),
            (Options, "**", None),
            (Options, "*?x", None),
            (Get, "*", None),
            (Head, "*", None),
            (Get, "?x", None),
            (Get, "stats", None),
            (Get, "/a#b", None),
            (Get, "#", None),
            (Get, "/a\u{7f}", None),
            (Get, "/a\"", None),
            (Post, "http://h/event", Some("/event")),
            (Post, "HTTP://h:80/event?q", Some("/event")),
            (Get, "https://[::1]:8080", Some("")),
            (Get, "http://h?q", Some("")),
            (Get, "http://%41/a", Some("/a")),
            (Get, "http://h:/a", Some("/a")),
            (Get, "http://h/a?{}", Some("/a")),
            (Get, "http:///stats", None),
            (Get, "http://", None),
            (Get, "http://?q", None),
            (Get, "http://:80/stats", None),
            (Get, "http://u@h/stats", None),
            (Get, "http://u:p@h/stats", None),
            (Get, "http://@h/stats", None),
            (Get, "http://h%zz/stats", None),
            (Get, "http://h|/stats", None),
            (Get, "http://[::1/stats", None),
            (Get, "http://[::g]/stats", None),
            (Get, "http://h:8o/stats", None),
            (Get, "http://h#f", None),
            (Get, "http://h\\/stats", None),
            (Get, "ftp://h/stats", None),
            (Get, "http:/stats", None),
            (Get, "http:stats", None),
            (Get, "//", Some("//")),
            (Connect, "h:443", Some("")),
            (Connect, "[::1]:443", Some("")),
            (Connect, "h", None),
            (Connect, "h:", None),
            (Connect, "h:0", None),
            (Connect, "h:65536", None),
            (Connect, ":443", None),
            (Connect, "u@h:443", None),
            (Connect, "http://h:443", None),
            (Connect, "http://h/", None),
            (Connect, "/", None),
            (Get, "h:443", None),
            (Get, "", None),
        ] {
            let found = path(method, target.as_bytes()).ok().map(|range| &target[range]);
            assert_eq!(found, expected, "{method:?} {target}");
        }
    }

    #[test]
    fn an_absolute_target_without_a_path_is_the_root() {
        assert!(is_root(b"/", b"/"));
        assert!(is_root(b"http://h", b""));
        assert!(!is_root(b"*", b""));
        assert!(!is_root(b"h:443", b""));
    }
}
