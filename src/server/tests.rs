//! The server with a handler made for tests: what no request to the real one can provoke.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::http::{Content, Persistence, Responses, Status};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers with how many requests it has seen; panics at `/panic`, or when it settles after
/// `/panic-later`.
struct Fragile {
    responses: Responses,
    answered: usize,
    owed: usize,
    panics_later: bool,
}

impl Handler for Fragile {
    fn tick(&mut self, unix_s: u64) {
        self.responses.refresh(unix_s);
    }

    fn request(&mut self, _: &SocketAddr, request: &Request<'_>, _: &mut Vec<u8>) {
        assert_ne!(request.path(), b"/panic", "asked to panic");
        self.panics_later |= request.path() == b"/panic-later";
        self.owed += 1;
    }

    fn settle(&mut self, out: &mut Vec<u8>) {
        assert!(!self.panics_later, "asked to panic later");
        for _ in 0..std::mem::take(&mut self.owed) {
            self.answered += 1;
            let content = self.answered.to_string();
            let content = Content::Bytes("text/plain", content.as_bytes());
            self.responses.write(out, Status::Ok, Persistence::Implied, "", content);
        }
    }

    fn abandon(&mut self) {
        self.owed = 0;
        self.panics_later = false;
    }

    fn refuse(&mut self, _: &SocketAddr, _: HttpError, _: &mut Vec<u8>) {}

    fn overloaded(&mut self, _: &mut Vec<u8>) {}

    fn drain(&mut self) {}
}

fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut room = [0; 4096];
    let received = stream.read(&mut room).unwrap();
    String::from_utf8_lossy(&room[..received]).into_owned()
}

#[test]
fn a_panic_ends_one_connection_and_nothing_else() {
    let config = Config {
        workers: 1,
        pin: false,
        backlog: 16,
        connections_max: 100,
        content_bytes_max: 100,
        timeouts: Durations {
            header: PATIENCE,
            body: PATIENCE,
            idle: PATIENCE,
            write: PATIENCE,
            linger: PATIENCE,
        },
    };
    let bound = Bound::new(([127, 0, 0, 1], 0).into(), &config).unwrap();
    let address = bound.address();
    let meters: Arc<[Meters]> = [Meters::default()].into();
    let (done, ended) = mpsc::channel();
    let fragile =
        |_| Fragile { responses: Responses::new(0), answered: 0, owed: 0, panics_later: false };
    let server =
        bound.start(config, Arc::clone(&meters), fragile, move || done.send(()).unwrap()).unwrap();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");

    let mut bystander = connect();
    assert!(exchange(&mut bystander, &get("/")).ends_with("\r\n\r\n1"));
    for (panics, path) in ["/panic", "/panic-later"].iter().enumerate() {
        // What was not settled before the panic is neither answered nor counted.
        let mut victim = connect();
        let answer = exchange(&mut victim, &[get("/"), get(path)].concat());
        assert_eq!(answer, "", "the connection is closed");
        assert_eq!(meters[0].panics.read(), panics as u64 + 1);
        let next = panics + 2;
        assert!(
            exchange(&mut bystander, &get("/")).ends_with(&format!("\r\n\r\n{next}")),
            "the worker goes on"
        );
    }
    drop(bystander);
    server.drain();
    ended.recv_timeout(PATIENCE).unwrap();
    server.join();
    assert_eq!(meters[0].connections.read(), 0);
    assert_eq!(meters[0].closed[meters::Closed::Panic as usize].read(), 2);
}

#[test]
fn an_address_is_taken_once_however_many_workers_share_it() {
    let timeouts = Durations {
        header: PATIENCE,
        body: PATIENCE,
        idle: PATIENCE,
        write: PATIENCE,
        linger: PATIENCE,
    };
    let config = Config {
        workers: 3,
        pin: false,
        backlog: 16,
        connections_max: 9,
        content_bytes_max: 9,
        timeouts,
    };
    let first = Bound::new(([127, 0, 0, 1], 0).into(), &config).unwrap();
    assert_eq!(first.listeners.len(), 3);
    for workers in [1, 2] {
        let error = Bound::new(first.address(), &Config { workers, ..config }).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
    let address = first.address();
    drop(first);
    assert!(Bound::new(address, &config).is_ok());
}
