//! Requests of pages in browsers: whose are counted, and what the answers let the browser show.
//! `tests/browser` tries the same with a real one.

mod support;

use support::{Answer, Server};

const BODY: &str = r#"{"userId":"u","value":1}"#;

fn ask(server: &Server, line: &str, fields: &str) -> Answer {
    let body = if line.starts_with("POST") { BODY } else { "" };
    let length = body.len();
    server.once(&format!(
        "{line} HTTP/1.1\r\nHost: counter.example:8080\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn only_our_own_pages_may_change_anything_unless_an_origin_is_allowed() {
    const SHOP: &str = "https://shop.example";
    // Fields, then whether it counts without the option, with SHOP allowed, with all allowed.
    let cases = [
        ("", [true, true, true]),
        ("Origin: http://counter.example:8080\r\n", [true, true, true]),
        ("Origin: https://COUNTER.example:8080\r\n", [true, true, true]),
        ("Origin: http://counter.example\r\n", [false, false, true]),
        ("Origin: http://counter.example:80\r\n", [false, false, true]),
        ("Origin: https://shop.example\r\n", [false, true, true]),
        ("Origin: http://shop.example\r\n", [false, false, true]),
        ("Origin: https://shop.example:8443\r\n", [false, false, true]),
        ("Origin: https://shop.example.evil.example\r\n", [false, false, true]),
        ("Origin: null\r\n", [false, false, true]),
        ("Origin:\r\n", [false, false, false]),
        ("Origin: shop.example\r\n", [false, false, false]),
        ("Origin: https://shop.example\r\nOrigin: https://shop.example\r\n", [false, false, false]),
        ("Sec-Fetch-Site: same-origin\r\n", [true, true, true]),
        ("Sec-Fetch-Site: none\r\n", [true, true, true]),
        ("Sec-Fetch-Site: same-origin\r\nOrigin: https://proxy.example\r\n", [true, true, true]),
        ("Sec-Fetch-Site: same-site\r\n", [false, false, false]),
        ("Sec-Fetch-Site: cross-site\r\n", [false, false, false]),
        (
            "sec-fetch-site: cross-site\r\nOrigin: http://counter.example:8080\r\n",
            [false, false, true],
        ),
        ("Sec-Fetch-Site: cross-site\r\nOrigin: https://shop.example\r\n", [false, true, true]),
        ("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n", [false, false, false]),
        ("Sec-Fetch-Site: same-origin, cross-site\r\n", [false, false, false]),
        ("Sec-Fetch-Site:\r\n", [false, false, false]),
        ("Sec-Fetch-Mode: cors\r\n", [true, true, true]),
    ];
    let servers = [
        &["--allow-reset"][..],
        &["--allow-reset", "--allow-origin", SHOP],
        &["--allow-reset", "--allow-origin", "*"],
    ];
    for (number, options) in servers.into_iter().enumerate() {
        let server = Server::start(options);
        for (fields, allowed) in &cases {
            for (line, path_counts) in [("POST /event", 1), ("POST /events", 1), ("POST /reset", 0)]
            {
                let (before, refused) = (server.count(), refused(&server));
                let answer = ask(&server, line, fields);
                let place = format!("{options:?} {line} {fields:?}: {}", answer.head);
                if allowed[number] {
                    assert_eq!(answer.status, 200, "{place}");
                    let expected = if line == "POST /reset" { 0 } else { before + path_counts };
                    assert_eq!(server.count(), expected, "{place}");
                } else {
                    assert_eq!(answer.status, 403, "{place}");
                    assert!(answer.text().contains("--allow-origin"), "{}", answer.text());
                    assert_eq!(server.count(), before, "{place}");
                    assert_eq!(self::refused(&server), refused + 1.0, "{place}");
                }
            }
        }
    }
}

fn refused(server: &Server) -> f64 {
    server.metric("millrace_http_request_errors_total{reason=\"foreign_page\"}")
}

#[test]
fn the_answers_to_an_allowed_page_let_the_browser_show_them() {
    let server = Server::start(&["--allow-origin", "https://shop.example,http://b.example:81"]);
    for origin in ["https://shop.example", "http://b.example:81", "https://SHOP.example"] {
        let fields = format!("Origin: {origin}\r\n");
        let cross = format!("Sec-Fetch-Site: cross-site\r\n{fields}");
        for (line, fields, status) in [
            ("POST /event", &fields, 200),
            ("POST /event", &cross, 200),
            ("POST /events", &fields, 200),
            ("GET /stats", &fields, 200),
            ("GET /event", &fields, 405),
            ("OPTIONS /event", &fields, 204),
            ("POST /reset", &fields, 403),
        ] {
            let answer = ask(&server, line, fields);
            assert_eq!(answer.status, status, "{line} {fields}");
            let of = |name: &str| answer.field(name);
            assert_eq!(of("access-control-allow-origin"), Some(origin), "{line} {fields}");
            assert_eq!(of("access-control-allow-credentials"), Some("true"), "{line}");
            assert_eq!(of("vary"), Some("Origin"), "{line}");
            assert_eq!(of("access-control-allow-methods"), None, "{line}: no preflight");
        }
    }
    // An event that is none, and one of a chain of pipelined ones.
    let mut client = server.connect();
    let page = "Host: t\r\nOrigin: https://shop.example\r\n";
    let before = server.count();
    client.send(
        format!(
            "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 24\r\n\r\n{BODY}\
             POST /event HTTP/1.1\r\n{page}Content-Length: 24\r\n\r\n{BODY}\
             POST /event HTTP/1.1\r\n{page}Content-Length: 2\r\n\r\n{{}}\
             POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 24\r\n\r\n{BODY}"
        )
        .as_bytes(),
    );
    let answers: Vec<Answer> = (0..4).map(|_| client.answer()).collect();
    let seen: Vec<(u16, bool)> = answers
        .iter()
        .map(|it| (it.status, it.field("access-control-allow-origin").is_some()))
        .collect();
    assert_eq!(seen, [(200, false), (200, true), (400, true), (200, false)]);
    assert_eq!(server.count(), before + 3);
}

#[test]
fn preflights() {
    let server = Server::start(&["--allow-origin", "https://shop.example"]);
    let ask = |path: &str, origin: &str, further: &str| {
        let fields = format!(
            "Origin: {origin}\r\nSec-Fetch-Site: cross-site\r\n\
             Access-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: content-type\r\n{further}"
        );
        ask(&server, &format!("OPTIONS {path}"), &fields)
    };
    for path in ["/event", "/events", "/stats", "/reset"] {
        let answer = ask(path, "https://shop.example", "");
        assert_eq!(answer.status, 204, "{path}");
        let allow = answer.field("allow").expect("a list of methods");
        assert_eq!(answer.field("access-control-allow-methods"), Some(allow), "{path}");
        let headers = answer.field("access-control-allow-headers");
        assert_eq!(headers, Some("Content-Type, Millrace-Producer, Millrace-Seq"), "{path}");
        assert_eq!(answer.field("access-control-max-age"), Some("7200"), "{path}");
        assert_eq!(answer.field("access-control-allow-private-network"), None, "{path}");
        let private = "Access-Control-Request-Private-Network: true\r\n";
        let answer = ask(path, "https://shop.example", private);
        assert_eq!(answer.field("access-control-allow-private-network"), Some("true"), "{path}");
    }
    for (path, origin) in [
        ("/event", "https://other.example"),
        ("/event", "null"),
        ("/metrics", "https://shop.example"),
        ("/live", "https://shop.example"),
    ] {
        let answer = ask(path, origin, "");
        assert_eq!(answer.status, 204, "{path} {origin}");
        for name in ["access-control-allow-origin", "access-control-allow-methods"] {
            assert_eq!(answer.field(name), None, "{path} {origin}");
        }
    }
    assert_eq!(server.count(), 0);
}
