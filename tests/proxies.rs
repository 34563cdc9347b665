//! Real proxies that keep idle connections to the server, at the moment at which the server closes them.
//!
//! docs/operations.md says that a proxy must close first, and how. Here the server closes after one
//! second, the proxies after a part of it, and clients send at intervals around both.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{Client, Proxy, Server, TempDir, event, eventually, free_port, get, is_installed};

const CLIENTS: u64 = 40;
const LOAD: Duration = Duration::from_secs(5);

/// Sends events through a proxy that `configure` sets up for two ports, its own and the server's. Each
/// request must be answered `200`, and the server must have counted just those.
fn check(program: &str, file: &str, arguments: &[&str], configure: fn(u16, u16, &str) -> String) {
    let version = if program == "nginx" || program == "haproxy" { "-v" } else { "version" };
    if !is_installed(program, version) {
        return;
    }
    let server = Server::start(&["--workers", "2", "--idle-timeout", "1"]);
    let directory = TempDir::new(program);
    let port = free_port();
    let place = directory.path().display().to_string();
    let path = directory.path().join(file);
    fs::write(&path, configure(port, server.address.port(), &place)).expect("written");
    let mut command = Command::new(program);
    command.args(arguments).arg(&path).current_dir(directory.path()).env("HOME", directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _proxy = Proxy(command.spawn().expect("the proxy starts"));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("the proxy serves", || {
        Client::connect(address).is_ok_and(|mut client| {
            client.send(get("/health").as_bytes());
            client.try_answer(true).is_some_and(|answer| answer.status == 200)
        })
    });
    let (counted, end) = (AtomicU64::new(0), Instant::now() + LOAD);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let counted = &counted;
            scope.spawn(move || {
                for round in 0.. {
                    // What is waited for here is the time itself: both time-outs lie in this span, and
                    // the pauses fall on all parts of it.
                    thread::sleep(Duration::from_millis((number * 613 + round * 389) % 1_500));
                    if Instant::now() > end {
                        break;
                    }
                    let mut client = Client::connect(address).expect("the proxy accepts");
                    client.send(event("user", 1.0).as_bytes());
                    let answer = client.answer();
                    assert_eq!(answer.status, 200, "{}", answer.head);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let counted = counted.into_inner();
    assert!(counted > CLIENTS, "{counted} requests");
    assert_eq!(server.stop().events, counted);
}

#[test]
fn nginx_never_answers_502_if_it_closes_first() {
    check("nginx", "nginx.conf", &["-c"], |port, server, place| {
        format!(
            "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/errors;\n\
             events {{}}\nhttp {{\n access_log off;\n client_body_temp_path {place}/b;\n \
             proxy_temp_path {place}/p;\n fastcgi_temp_path {place}/f;\n uwsgi_temp_path {place}/u;\n \
             scgi_temp_path {place}/s;\n \
             upstream millrace {{ server 127.0.0.1:{server}; keepalive 64; keepalive_timeout 600ms; }}\n \
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://millrace; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_next_upstream off; }} }}\n}}\n"
        )
    });
}

#[test]
fn haproxy_never_answers_502_if_it_closes_first() {
    check("haproxy", "haproxy.cfg", &["-db", "-f"], |port, server, _| {
        format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n retries 0\n\
             frontend clients\n bind 127.0.0.1:{port}\n default_backend millrace\n\
             backend millrace\n http-reuse always\n \
             server one 127.0.0.1:{server} pool-purge-delay 250ms pool-low-conn 0\n"
        )
    });
}

#[test]
fn caddy_never_answers_502_if_it_closes_first() {
    check(
        "caddy",
        "Caddyfile",
        &["run", "--adapter", "caddyfile", "--config"],
        |port, server, _| {
            format!(
                "{{\n admin off\n auto_https off\n}}\n\
             :{port} {{\n reverse_proxy 127.0.0.1:{server} {{\n \
             transport http {{\n keepalive 600ms\n }}\n }}\n}}\n"
            )
        },
    );
}
