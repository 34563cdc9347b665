//! Memory that runs out, and memory that comes back.

mod support;

use std::process::{Command, Stdio};

use support::{Client, Server, event, get};

/// A request whose content lacks its last byte.
fn half(content_bytes: usize) -> Vec<u8> {
    let head =
        format!("POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: {content_bytes}\r\n\r\n");
    [head.as_bytes(), &vec![b' '; content_bytes - 1]].concat()
}

/// The resident memory of the server, in MiB.
fn resident_mib(server: &Server) -> f64 {
    server.metric("process_resident_memory_bytes") / f64::from(1 << 20)
}

const BODY_BYTES: usize = 64 * 1024;

/// Without memory for what clients send, those clients are told so, and nothing else happens.
#[test]
fn without_memory_for_bodies_their_clients_are_answered_503_and_the_rest_goes_on() {
    // Enough for the start and some hundred bodies of 64 KiB.
    let program = env!("CARGO_BIN_EXE_millrace");
    let mut command = Command::new("sh");
    let script = format!("ulimit -v 330000; exec {program} -l 127.0.0.1:0 -w 2");
    command.args(["-c", &script]).env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
    let server = Server::run(&mut command);
    let mut good = server.connect();
    let mut clients: Vec<Client> = Vec::new();
    // The sample is not there before the first of them.
    let refused = || {
        let page = server.once(&get("/metrics")).text();
        let sample = r#"millrace_http_requests_total{route="none",code="503"} "#;
        let value = page.lines().find_map(|line| line.strip_prefix(sample)?.parse::<f64>().ok());
        value.unwrap_or(0.0)
    };
    for number in 0..6_000 {
        let Ok(mut client) = Client::connect(server.address) else { break };
        // The server may answer before all of it is sent, and close.
        client.send(&half(BODY_BYTES));
        clients.push(client);
        if number % 100 == 0 && refused() > 20.0 {
            break;
        }
    }
    assert!(refused() > 20.0, "memory ran out: {} clients", clients.len());
    for number in 0..100 {
        good.send(event(&format!("user_{number}"), 1.0).as_bytes());
        assert_eq!(good.answer().status, 200, "an event needs no buffer");
    }
    let has_answer = |client: &&mut Client| {
        client.stream.set_nonblocking(true).expect("a mode");
        let found = client.stream.peek(&mut [0; 1]).is_ok_and(|bytes| bytes > 0);
        client.stream.set_nonblocking(false).expect("a mode");
        found
    };
    let told = clients.iter_mut().find(has_answer).expect("one of them has an answer").answer();
    assert_eq!((told.status, told.field("retry-after")), (503, Some("1")), "{}", told.head);
    assert!(told.text().contains("no memory for this request"), "{}", told.text());
    drop(clients);
    server.wait_until("all of them are gone", |server| {
        server.metric(r#"millrace_connections{state="reading"}"#) == 0.0
    });
    let closed = r#"millrace_connections_closed_total{reason="no_memory"}"#;
    server.wait_until("their ends are counted", |server| server.metric(closed) > 20.0);
    assert_eq!(server.stop().events, 100);
}

/// What clients have made the server hold goes back to the system when they are gone.
#[test]
fn memory_comes_back_after_each_wave_of_bodies() {
    let server = Server::start(&["--workers", "2"]);
    let before = resident_mib(&server);
    for wave in 0..4 {
        let clients: Vec<Client> = (0..600)
            .map(|_| {
                let mut client = server.connect();
                client.send(&half(BODY_BYTES));
                client
            })
            .collect();
        server.wait_until("all bodies are held", |server| {
            server.metric(r#"millrace_connections{state="reading"}"#) == 600.0
                && resident_mib(server) > before + 30.0
        });
        drop(clients);
        server.wait_until("all of them are gone", |server| {
            server.metric(r#"millrace_connections{state="reading"}"#) == 0.0
        });
        // Two workers keep 4 MiB of buffers each.
        let after = resident_mib(&server);
        assert!(after < before + 16.0, "wave {wave}: {before:.1} MiB before, {after:.1} after");
    }
}
