//! What the logs have of a request: the reason of a refusal at `--log-level debug`, and the client's address
//! behind a proxy in the access log.

mod support;

use std::io::{self, Read};

use support::{Server, command, get};

fn post(path: &str, content: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

#[test]
fn each_refused_request_has_a_line_with_the_reason() {
    let known = r#"{"userId":"a","value":1}"#;
    let new = r#"{"userId":"b","value":1}"#;
    let rows = [
        (post("/event", "{}"), 400, "reason=\"The member userId is missing"),
        (post("/event", "x"), 400, "path=/event peer=127.0.0.1"),
        (post("/events", &format!("[{known},7]")), 400, "path=/events"),
        (post("/events", &format!("[{known},{known},{known}]")), 413, "--max-batch-events"),
        (post("/event", &" ".repeat(1_001)), 413, "--max-body"),
        (post("/event", new), 507, "--max-users is reached"),
        (post("/reset", ""), 403, "--allow-reset"),
        (get("/no\u{1b}where"), 400, "reason="),
        (get("/nowhere"), 404, "path=/nowhere"),
        (get("/event"), 405, "it takes POST"),
        (get("/stats").replace("Host: t\r\n", ""), 400, "Host"),
        (get("/stats").replace("1.1", "2.0"), 505, "status=505"),
        (
            get("/stats").replace("Host", "Content-Encoding: gzip\r\nContent-Length: 1\r\nHost")
                + "x",
            200,
            "",
        ),
    ];
    let server = Server::start(&[
        "--log-level",
        "debug",
        "--max-users",
        "1",
        "--max-batch-events",
        "2",
        "--max-body",
        "1000",
    ]);
    assert_eq!(server.once(&post("/event", known)).status, 200);
    for (request, status, words) in &rows {
        let answer = server.once(request);
        assert_eq!(answer.status, *status, "{request:?}: {}", answer.text());
        if *status != 200 {
            let line = server.line_with(words);
            assert!(line.contains(" DEBUG "), "{line}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
    let quiet = Server::start(&[]);
    for (request, ..) in &rows {
        quiet.once(request);
    }
    quiet.signal(libc::SIGTERM);
    let (_, lines) = quiet.wait();
    assert!(!lines.iter().any(|line| line.contains("refused")), "{lines:?}");
}

#[test]
fn the_access_log_has_the_client_behind_a_trusted_proxy() {
    let forwarded = |fields: &str| get("/health").replace("Host", &format!("{fields}Host"));
    let rows = [
        (forwarded(""), "127.0.0.1"),
        (forwarded("X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1"),
        (forwarded("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.7\r\n"), "192.0.2.1"),
        (forwarded("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1"),
        (forwarded("Forwarded: for=\"[2001:db8::1]:99\";proto=https\r\n"), "2001:db8::1"),
        (forwarded("Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n"), "127.0.0.1"),
        (forwarded("X-Forwarded-For: 1\" 2\r\n"), "127.0.0.1"),
        (
            post("/event", r#"{"userId":"a","value":1}"#)
                .replace("Host", "X-Forwarded-For: 192.0.2.8\r\nHost"),
            "192.0.2.8",
        ),
    ];
    for (proxies, is_trusted) in [("127.0.0.1,10.0.0.0/8", true), ("127.0.0.2", false)] {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut command = command(&["--access-log", "--trusted-proxy", proxies]);
        let server = Server::run(command.stdout(writer));
        drop(command);
        for (request, _) in &rows {
            assert_eq!(server.once(request).status, 200);
        }
        server.stop();
        let mut log = String::new();
        reader.read_to_string(&mut log).expect("text");
        let mut addresses: Vec<&str> =
            log.lines().map(|line| line.split(' ').next().expect("an address")).collect();
        let mut expected =
            rows.each_ref().map(|(_, client)| if is_trusted { *client } else { "127.0.0.1" });
        // Requests of different workers are logged in no order.
        addresses.sort_unstable();
        expected.sort_unstable();
        assert_eq!(addresses, expected, "{log}");
    }
}
