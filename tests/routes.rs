//! Each route, each way to miss one, and what the answers look like.

mod support;

use std::process::{Command, Stdio};

use support::{Answer, Client, Server, Stats, event, get, post};

#[test]
fn an_event_is_counted_once_it_is_answered() {
    let server = Server::start(&[]);
    let answer = server.once(&event("user_42", 499.5));
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(answer.field("content-length"), Some("0"));
    let answer = server.once(&get("/stats"));
    assert_eq!(answer.text(), r#"{"totalRequests":1,"uniqueUsers":1,"sum":499.5,"avg":499.5}"#);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[test]
fn floats_have_a_point_or_an_exponent_and_what_has_no_double_is_null() {
    let server = Server::start(&["--allow-reset"]);
    for (values, expected) in [
        (&[][..], r#""uniqueUsers":0,"sum":0.0,"avg":0.0}"#),
        (&["3"], r#""sum":3.0,"avg":3.0}"#),
        (&["1e300"], r#""sum":1e300,"avg":1e300}"#),
        (&["1e308", "1e308"], r#""sum":null,"avg":null}"#),
        (&["1e308", "1e308", "-1e308", "-1e308"], r#""sum":0.0,"avg":0.0}"#),
        (&["1e16", "1", "-1e16"], r#""sum":1.0,"avg":0.3333333333333333}"#),
        (&["0.1"; 10], r#""sum":1.0,"avg":0.1}"#),
        (&["5e-324"], r#""sum":5e-324,"avg":5e-324}"#),
    ] {
        assert_eq!(server.once(&post("/reset", "")).text(), r#"{"status":"reset"}"#);
        for value in values {
            let body = format!(r#"{{"userId":"u","value":{value}}}"#);
            assert_eq!(server.once(&post("/event", &body)).status, 200, "{body}");
        }
        assert!(server.stats().ends_with(expected), "{values:?} gave {}", server.stats());
    }
}

#[test]
fn health() {
    let server = Server::start(&[]);
    let answer = server.once(&get("/health"));
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"status":"healthy"}"#));
}

#[test]
fn reset_must_be_allowed() {
    let server = Server::start(&[]);
    server.once(&event("a", 1.0));
    let answer = server.once(&post("/reset", ""));
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("--allow-reset"), "{}", answer.text());
    assert_eq!(server.count(), 1);
}

#[test]
fn reset_sets_everything_to_zero_and_users_are_new_again() {
    let server = Server::start(&["--allow-reset"]);
    server.once(&event("a", 1.0));
    assert_eq!(server.once(&post("/reset", "")).status, 200);
    assert_eq!(server.stats(), r#"{"totalRequests":0,"uniqueUsers":0,"sum":0.0,"avg":0.0}"#);
    server.once(&event("a", 2.0));
    assert_eq!(server.stats(), r#"{"totalRequests":1,"uniqueUsers":1,"sum":2.0,"avg":2.0}"#);
}

#[test]
fn head_is_get_without_the_content() {
    let server = Server::start(&[]);
    for path in ["/stats", "/health", "/metrics"] {
        let mut client = server.connect();
        client.send(get(path).replace("GET", "HEAD").as_bytes());
        let head = client.answer_to_head();
        client.send(get(path).as_bytes());
        let whole = client.answer();
        assert_eq!((head.status, head.field("content-type")), (200, whole.field("content-type")));
        assert_ne!(head.field("content-length"), Some("0"));
        if path != "/metrics" {
            assert_eq!(head.field("content-length"), whole.field("content-length"));
        }
    }
}

#[test]
fn misses_are_told_apart_and_keep_the_connection() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for (line, status, allow) in [
        ("GET //", 404, None),
        ("GET /nothing", 404, None),
        ("GET /stats/", 404, None),
        ("POST /nothing", 404, None),
        ("GET /event", 405, Some("POST, OPTIONS")),
        ("DELETE /event", 405, Some("POST, OPTIONS")),
        ("POST /stats", 405, Some("GET, HEAD, OPTIONS")),
        ("GET /reset", 405, Some("POST, OPTIONS")),
        ("PUT /health", 405, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS /metrics", 204, Some("GET, HEAD, OPTIONS")),
        ("CONNECT t:80", 405, Some("GET, HEAD, POST, OPTIONS")),
        ("OPTIONS /event", 204, Some("POST, OPTIONS")),
        ("OPTIONS /nothing", 404, None),
        ("BREW /event", 501, None),
        ("get /stats", 501, None),
        ("OPTIONS *", 204, Some("GET, HEAD, POST, OPTIONS")),
        ("GET /stats?a=b&c", 200, None),
        ("GET http://t/stats?x", 200, None),
        ("GET /health?", 200, None),
    ] {
        client.send(format!("{line} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("allow")), (status, allow), "{line}");
        if status >= 400 {
            let json: serde_json::Value =
                serde_json::from_str(&answer.text()).expect("an error is JSON");
            assert!(json["error"].as_str().is_some_and(|message| message.ends_with('.')), "{json}");
            assert_eq!(answer.field("content-type"), Some("application/json"));
        }
    }
}

#[test]
fn what_is_no_event_is_refused_with_a_reason_and_not_counted() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let long_id = format!(r#"{{"userId":"{}","value":1}}"#, "a".repeat(257));
    let too_deep =
        format!(r#"{{"x":{}{},"userId":"a","value":1}}"#, "[".repeat(129), "]".repeat(129));
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"userId":"a"}"#,
        r#"{"value":1}"#,
        r#"{"userId":"","value":1}"#,
        r#"{"userId":5,"value":1}"#,
        r#"{"userId":"a","value":"1"}"#,
        r#"{"userId":"a","value":1e400}"#,
        r#"{"userId":"a","value":NaN}"#,
        r#"{"userId":"a","value":01}"#,
        r#"{"userId":"a","value":1,}"#,
        r#"{"userId":"a","value":1}x"#,
        r#"{"userId":"\ud800","value":1}"#,
        "{\"userId\":\"a\nb\",\"value\":1}",
        "\u{feff}{\"userId\":\"a\",\"value\":1}",
        &long_id,
        &too_deep,
    ] {
        client.send(post("/event", body).as_bytes());
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().starts_with(r#"{"error":""#), "{body}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn unusual_events_are_events() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let deep = format!(r#"{{"x":{}{},"userId":"a","value":1}}"#, "[".repeat(128), "]".repeat(128));
    let bodies = [
        r#" { "value" : 1 , "userId" : "a" } "#,
        r#"{"userId":"\u0061","value":1e0}"#,
        r#"{"userId":7,"userId":"a","value":1e999,"value":1}"#,
        r#"{"\u0075serId":"a","value":1,"more":{"userId":"b","value":[1,2]}}"#,
        &deep,
    ];
    for body in bodies {
        client.send(post("/event", body).as_bytes());
        assert_eq!(client.answer().status, 200, "{body}");
    }
    let expected =
        Stats { events: bodies.len() as u64, users: 1, sum: Some(5.0), average: Some(1.0) };
    assert_eq!(Stats::parse(&server.stats()), expected);
}

#[test]
fn above_max_users_new_users_are_refused_and_known_ones_go_on() {
    let server = Server::start(&["--max-users", "2"]);
    let mut client = server.connect();
    // In one pipeline, so that refusals stand between other answers.
    let users = ["a", "b", "c", "a", "d", "b"];
    client.send(users.map(|user| event(user, 1.0)).concat().as_bytes());
    let statuses = users.map(|_| client.answer().status);
    assert_eq!(statuses, [200, 200, 507, 200, 507, 200]);
    assert_eq!(server.stats(), r#"{"totalRequests":4,"uniqueUsers":2,"sum":4.0,"avg":1.0}"#);
}

#[test]
fn metrics_tell_what_happened() {
    let server = Server::start(&["--workers", "2"]);
    let mut client = server.connect();
    client.send(
        [event("a", 1.5), event("b", -2.0), post("/event", "x"), get("/nothing")]
            .concat()
            .as_bytes(),
    );
    for status in [200, 200, 400, 404] {
        assert_eq!(client.answer().status, status);
    }
    let mut broken = server.connect();
    broken.send(b"GET / HTTP/1.1\r\nHost : t\r\n\r\n");
    assert_eq!(broken.answer().status, 400);
    for (sample, value) in [
        ("millrace_events_total", 2.0),
        ("millrace_unique_users", 2.0),
        ("millrace_value_sum", -0.5),
        (r#"millrace_http_requests_total{route="event",code="200"}"#, 2.0),
        (r#"millrace_http_requests_total{route="event",code="400"}"#, 1.0),
        (r#"millrace_http_requests_total{route="none",code="404"}"#, 1.0),
        (r#"millrace_http_request_errors_total{reason="field_line"}"#, 1.0),
        (r#"millrace_http_request_errors_total{reason="not_an_object"}"#, 1.0),
    ] {
        assert_eq!(server.metric(sample), value, "{sample}");
    }
    let per_worker: f64 = (0..2)
        .map(|i| server.metric(&format!("millrace_worker_events_total{{worker=\"{i}\"}}")))
        .sum();
    assert_eq!(per_worker, 2.0);
    assert!(server.metric("process_resident_memory_bytes") > 100_000.0);
    drop(client);
    server.wait_until("the close is counted", |server| {
        server.metric(r#"millrace_connections_closed_total{reason="peer"}"#) >= 1.0
    });
}

#[test]
fn the_access_log_has_a_line_a_request_in_the_combined_format() {
    let mut command = support::command(&["--access-log"]);
    let path = std::env::temp_dir().join(format!("millrace-access-{}.log", std::process::id()));
    command.stdout(std::fs::File::create(&path).expect("a file"));
    let server = Server::run(&mut command);
    let mut client: Client = server.connect();
    let with_fields =
        "GET /stats HTTP/1.1\r\nHost: t\r\nreferer: http://r/\r\nUser-Agent: a \"b\"\r\n\r\n";
    client.send(
        [&event("a", 1.0), with_fields, &get("/nothing?q\\"), "BAD\r\n\r\n"].concat().as_bytes(),
    );
    let statuses = [(); 4].map(|()| client.answer().status);
    assert_eq!(statuses, [200, 200, 404, 400]);
    server.stop();
    let log = std::fs::read_to_string(&path).expect("the log");
    std::fs::remove_file(&path).expect("the log is there");
    let lines: Vec<&str> = log.lines().collect();
    for (line, expected) in lines.iter().zip([
        r#""POST /event HTTP/1.1" 200 0 "-" "-""#,
        r#""GET /stats HTTP/1.1" 200 55 "http://r/" "a \x22b\x22""#,
        r#""GET /nothing?q\x5C HTTP/1.1" 404 "#,
        r#""-" 400 "#,
    ]) {
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        let (_, found) = line.split_once(" +0000] ").expect("a date");
        assert!(found.starts_with(expected), "{line}");
        assert!(found.ends_with('"') && found.split(' ').count() >= 5, "{line}");
    }
    assert_eq!(lines.len(), 4, "{log}");
}

#[test]
fn without_memory_new_users_are_refused_and_known_ones_go_on() {
    // Enough to start, and for some hundred thousand of the longest ids.
    let program = env!("CARGO_BIN_EXE_millrace");
    let mut command = Command::new("sh");
    let script = format!("ulimit -v 240000; exec {program} -l 127.0.0.1:0 -w 1 --allow-reset");
    command.args(["-c", &script]).env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
    let server = Server::run(&mut command);
    let mut client = server.connect();
    let refused = (0..20_000).find_map(|batch| {
        let id = |i: usize| format!("{:0>250}", batch * 100 + i);
        let events: String = (0..100).map(|i| event(&id(i), 1.0)).collect();
        client.send(events.as_bytes());
        let answers: Vec<Answer> = (0..100).map(|_| client.answer()).collect();
        answers.into_iter().find(|answer| answer.status == 507)
    });
    let refused = refused.expect("memory is limited").text();
    assert!(refused.contains("There is no memory for another user"), "{refused}");
    let users = Stats::parse(&server.stats()).users;
    assert!(users > 100_000);
    assert_eq!(server.once(&event(&format!("{:0>250}", 0), 1.0)).status, 200);
    assert_eq!(Stats::parse(&server.stats()).users, users);
    let errors = |reason| format!("millrace_http_request_errors_total{{reason=\"{reason}\"}}");
    assert!(server.metric(&errors("memory_full")) > 0.0);
    assert_eq!(server.metric(&errors("users_full")), 0.0);
    assert!(server.line_with("are refused").contains("no memory for another user"));
    server.stop();
}
