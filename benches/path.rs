//! What a request costs in user space beyond its head and its body: the route, the answer, and all
//! of it together, from received bytes to bytes to send.
//!
//! `path` is a turn of a worker's connection without the socket: recognize each request, route it, read
//! the event, count it, answer; and two copies of the bytes, which stand for receiving and sending. Users are those of the challenge, all of them known. Its figures are for one
//! request.

// Of the function that criterion's macro makes.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millrace::app::routes::{Entrance, resolve};
use millrace::app::{App, Shared};
use millrace::http::{Content, Exchange, Memo, Persistence, Request, Responses, Status, Step};
use millrace::options::{Invocation, Options, parse};
use millrace::server::offline::Offline;

const CONTENT_BYTES_MAX: usize = 65_536;
const USERS: usize = 75_000;

fn event(index: usize) -> String {
    let body = format!("{{\"userId\":\"user_{}\",\"value\":{}}}", index % USERS, index % 1_000);
    format!(
        "POST /event HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The whole request at the start of `input`, whose head is remembered.
fn request<'i>(exchange: &mut Exchange, memo: &mut Memo, input: &'i mut [u8]) -> Request<'i> {
    match exchange.advance(input, memo) {
        Step::Request { request, .. } => request,
        step => panic!("{step:?}"),
    }
}

fn options() -> Options {
    match parse(["--workers=1".into()], []) {
        Ok(Invocation::Run { options, .. }) => options,
        other => panic!("{other:?}"),
    }
}

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for (name, line) in [
        ("first", "POST /event HTTP/1.1"),
        ("last", "POST /reset HTTP/1.1"),
        ("none", "GET /nowhere HTTP/1.1"),
    ] {
        let (mut exchange, mut memo) = (Exchange::new(CONTENT_BYTES_MAX), Memo::default());
        let mut input = format!("{line}\r\nHost: a\r\n\r\n").into_bytes();
        let request = request(&mut exchange, &mut memo, &mut input);
        group.bench_function(name, |b| b.iter(|| resolve(black_box(&request), Entrance::Only)));
    }
    group.finish();
}

fn response(c: &mut Criterion) {
    let responses = Responses::new(1_700_000_000);
    let mut out = Vec::with_capacity(64 * 1024);
    let mut group = c.benchmark_group("response");
    for count in [1, 16] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("usual_{count}"), |b| {
            b.iter(|| {
                out.clear();
                responses.write_usual(&mut out, black_box(count));
                out.len()
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    let statistics =
        b"{\"totalRequests\":1000000,\"uniqueUsers\":75000,\"sum\":499500000.0,\"avg\":499.5}";
    group.bench_function("statistics", |b| {
        b.iter(|| {
            out.clear();
            let content = Content::Bytes("application/json", black_box(statistics));
            responses.write(&mut out, Status::Ok, Persistence::Implied, "", content);
            out.len()
        });
    });
    group.finish();
}

fn path(c: &mut Criterion) {
    let mut group = c.benchmark_group("path");
    for in_flight in [1, 16] {
        let shared = Shared::new(&options(), 1, [1, 2]).expect("memory");
        let app = App::new(&shared, 0, 1_700_000_000);
        let mut connection = Offline::new(app, CONTENT_BYTES_MAX);
        let inputs: Vec<Vec<u8>> = (0..USERS / in_flight)
            .map(|turn| {
                let events = (0..in_flight).map(|number| event(turn * in_flight + number));
                events.collect::<String>().into_bytes()
            })
            .collect();
        let mut turn = |input: &[u8]| connection.turn(input).len();
        // All users known, everything touched once.
        inputs.iter().for_each(|input| assert!(turn(input) > 0));
        let mut next = inputs.iter().cycle();
        group.throughput(Throughput::Elements(in_flight as u64));
        group.bench_function(format!("in_flight_{in_flight}"), |b| {
            b.iter(|| turn(black_box(next.next().expect("a cycle has no end"))));
        });
    }
    group.finish();
}

criterion_group!(benches, route, response, path);
criterion_main!(benches);
