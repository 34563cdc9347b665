//! The four forms of a request target (RFC 9112, 3.2), reduced to the path that is routed.
//!
//! Paths are compared as they were sent: nothing is percent-decoded and no dot segment is removed,
//! since no route of this server needs either.

use std::ops::Range;

use super::HttpError;
use super::fields::is_uri_host_and_port;
use super::head::Method;
use super::scan::{PATH, TARGET};

/// The path of asterisk-form and authority-form, which have none: it matches no route.
const NO_PATH: Range<usize> = 0..0;

/// Where in `target` its path stands, without the query; empty for `*` and for authority-form.
pub fn path(method: Method, target: &[u8]) -> Result<Range<usize>, HttpError> {
    if TARGET.run_length(target) != target.len() {
        return Err(HttpError::Target);
    }
    match target {
        [b'/', ..] => Ok(0..PATH.run_length(target)),
        b"*" if method == Method::Options => Ok(NO_PATH),
        _ if method == Method::Connect => authority_form(target),
        _ => absolute_form(target),
    }
}

/// `uri-host ":" port` (RFC 9112, 3.2.3).
fn authority_form(target: &[u8]) -> Result<Range<usize>, HttpError> {
    let with_port = target.last().is_some_and(u8::is_ascii_digit) && target.contains(&b':');
    if with_port && is_uri_host_and_port(target) { Ok(NO_PATH) } else { Err(HttpError::Target) }
}

/// `http://authority path` (RFC 9112, 3.2.2); user information is refused (RFC 9110, 4.2.4).
fn absolute_form(target: &[u8]) -> Result<Range<usize>, HttpError> {
    let authority_at = ["http://", "https://"]
        .iter()
        .find(|scheme| {
            target
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
        })
        .map(|scheme| scheme.len())
        .ok_or(HttpError::Target)?;
    let rest = &target[authority_at..];
    let authority_length =
        rest.iter().position(|&byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = &rest[..authority_length];
    if authority.is_empty() || authority[0] == b':' || !is_uri_host_and_port(authority) {
        return Err(HttpError::Target);
    }
    let path_at = authority_at + authority_length;
    Ok(path_at..path_at + PATH.run_length(&target[path_at..]))
}

/// Whether the path of a target that was accepted stands for `/`: absolute-form without one
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
            (Get, "//a", Some("//a")),
            (Options, "*", Some("")),
            (Get, "*", None),
            (Get, "stats", None),
            (Get, "/a#b", None),
            (Get, "/a\u{7f}", None),
            (Get, "/a\"", None),
            (Post, "http://h/event", Some("/event")),
            (Post, "HTTP://h:80/event?q", Some("/event")),
            (Get, "https://[::1]:8080", Some("")),
            (Get, "http://h?q", Some("")),
            (Get, "http:///stats", None),
            (Get, "http://:80/stats", None),
            (Get, "http://u@h/stats", None),
            (Get, "ftp://h/stats", None),
            (Get, "http:/stats", None),
            (Connect, "h:443", Some("")),
            (Connect, "[::1]:443", Some("")),
            (Connect, "h", None),
            (Connect, "h:", None),
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
