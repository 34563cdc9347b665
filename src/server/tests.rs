//! The server with a handler made for tests: what no request to the real one can provoke.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use std::io;
use std::sync::Arc;

use super::meters::Meters;
use super::*;
use crate::http::{Content, Persistence, Responses, Status};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers with the number of requests it has committed; panics at `/panic`, when it commits after
/// `/panic-at-commit`, or when it answers after `/panic-at-answer`.
struct Fragile {
    responses: Responses,
    committed: usize,
    staged: u32,
    panics_at_commit: bool,
    panics_at_answer: bool,
}

impl Fragile {
    fn new() -> Fragile {
        Fragile {
            responses: Responses::new(0),
            committed: 0,
            staged: 0,
            panics_at_commit: false,
            panics_at_answer: false,
        }
    }
}

impl Handler for Fragile {
    type Draft = ();

    fn tick(&mut self, unix_s: u64) {
        self.responses.refresh(unix_s);
    }

    fn turn(&mut self) {}

    fn request_large(
        &mut self,
        _: &SocketAddr,
        _: &Request<'_>,
        _: &mut Option<Box<()>>,
        _: &mut Vec<u8>,
    ) -> Part {
        panic!("no request is called large")
    }

    fn request(&mut self, _: &SocketAddr, request: &Request<'_>, _: &mut Vec<u8>) -> Reply {
        assert_ne!(request.path(), b"/panic", "asked to panic");
        self.panics_at_commit |= request.path() == b"/panic-at-commit";
        self.panics_at_answer |= request.path() == b"/panic-at-answer";
        self.staged += 1;
        Reply::Staged
    }

    fn staged(&self) -> u32 {
        self.staged
    }

    fn commits_once_a_round(&self) -> bool {
        false
    }

    fn commit(&mut self) {
        assert!(!self.panics_at_commit, "asked to panic at the commit");
    }

    fn answer(&mut self, staged: Range<u32>, out: &mut Vec<u8>) {
        assert!(!self.panics_at_answer, "asked to panic at an answer");
        for _ in staged {
            self.committed += 1;
            let content = self.committed.to_string();
            let content = Content::Bytes("text/plain", content.as_bytes());
            self.responses.write(out, Status::Ok, Persistence::Implied, "", content);
        }
    }

    fn settled(&mut self) {
        self.staged = 0;
        self.panics_at_answer = false;
    }

    fn round_over(&mut self) {}

    fn abandon(&mut self, from: u32) {
        self.staged = from;
        self.panics_at_commit = false;
    }

    fn refuse(&mut self, _: &SocketAddr, _: Refusal, _: &mut Vec<u8>) {}

    fn lacking_memory(&mut self, _: bool, _: &mut Vec<u8>) {}

    fn overloaded(&mut self, _: bool, _: &mut Vec<u8>) {}

    fn detached(&mut self, _: Detached) {}

    fn depart(&mut self) {}

    fn drain(&mut self) {}
}

fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut room = [0; 4096];
    let received = stream.read(&mut room).unwrap();
    String::from_utf8_lossy(&room[..received]).into_owned()
}

fn config(workers: usize) -> Config {
    Config {
        threads: "worker",
        workers,
        pin: false,
        sandbox: false,
        backlog: 16,
        connections_max: 200,
        journal: None,
        content_limits: 100.into(),
        timeouts: Durations {
            header: PATIENCE,
            body: PATIENCE,
            idle: PATIENCE,
            write: PATIENCE,
            linger: PATIENCE,
        },
    }
}

#[test]
fn a_panic_ends_one_connection_and_nothing_else() {
    let config = config(1);
    let bound = Bound::new(([127, 0, 0, 1], 0).into(), &config).unwrap();
    let address = bound.address();
    let meters: Arc<[Meters]> = [Meters::default()].into();
    let (done, ended) = mpsc::channel();
    let mut server = bound
        .start(config, Arc::clone(&meters), |_| Fragile::new(), move || done.send(()).unwrap())
        .unwrap();
    server.begin();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");

    let mut bystander = connect();
    assert!(exchange(&mut bystander, &get("/")).ends_with("\r\n\r\n1"));
    for (panics, path) in ["/panic", "/panic-at-commit", "/panic-at-answer"].iter().enumerate() {
        // A request that was not answered before the panic is not answered behind it.
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
    assert_eq!(meters[0].closed[meters::Closed::Panic as usize].read(), 3);
}

#[test]
fn an_address_is_taken_once_however_many_workers_share_it() {
    let config = config(3);
    let first = Bound::new(([127, 0, 0, 1], 0).into(), &config).unwrap();
    assert_eq!(first.workers(), 3);
    for workers in [1, 2] {
        let error = Bound::new(first.address(), &Config { workers, ..config }).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
    let address = first.address();
    drop(first);
    assert!(Bound::new(address, &config).is_ok());
}

/// A server of one worker on its own address, and what tells its end.
fn moving_server(bound: Bound) -> (Server, Arc<[Meters]>) {
    let meters: Arc<[Meters]> = (0..bound.workers()).map(|_| Meters::default()).collect();
    let config = Config { workers: bound.workers(), ..config(1) };
    let server = bound.start(config, Arc::clone(&meters), |_| Fragile::new(), || ()).unwrap();
    server.begin();
    (server, meters)
}

#[test]
fn connections_and_queues_move_from_server_to_server_at_any_point_of_a_request() {
    let request = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n0\r\nt: u\r\n\r\n";
    let bound = Bound::new(([127, 0, 0, 1], 0).into(), &config(1)).unwrap();
    let address = bound.address();
    let (mut server, mut meters) = moving_server(bound);
    let mut clients: Vec<_> = (0..request.len())
        .map(|cut| {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(&request.as_bytes()[..cut]).unwrap();
            client
        })
        .collect();
    for round in 0..3 {
        let departed = server.depart();
        assert_eq!(meters[0].connections.read(), 0);
        server.join();
        // No worker accepts now; a new connection waits in the queue.
        clients.push(TcpStream::connect(address).unwrap());
        (server, meters) = moving_server(Bound::adopt(departed, round).unwrap());
    }
    for (cut, client) in clients.iter_mut().enumerate() {
        let rest = &request[if cut < request.len() { cut } else { 0 }..];
        assert!(exchange(client, rest).starts_with("HTTP/1.1 200 OK\r\n"), "cut at {cut}");
    }
    let connections: u64 = meters.iter().map(|meters| meters.connections.read()).sum();
    assert_eq!((meters.len(), connections), (2, clients.len() as u64));
    server.drain();
    server.join();
}
