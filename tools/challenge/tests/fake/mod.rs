//! What the test servers share: requests, counts, and the client that is run against them.

#![allow(dead_code)] // Each test file uses its part.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use serde_json::Value;

/// A request: a question for the statistics if it has no events.
#[derive(Debug, Default)]
pub struct Request {
    pub is_event: bool,
    pub is_batch: bool,
    pub events: Vec<(String, f64)>,
    /// Name and number of a producer.
    pub producer: Option<(String, u64)>,
}

/// What has been counted.
#[derive(Default)]
pub struct Counts {
    pub events: u64,
    pub users: BTreeSet<String>,
    pub sum: f64,
    /// The last number of each producer.
    pub last: BTreeMap<String, u64>,
}

impl Counts {
    pub fn count(&mut self, request: &Request) {
        for (user, value) in &request.events {
            self.events += 1;
            self.users.insert(user.clone());
            self.sum += value;
        }
        if let Some((name, number)) = &request.producer {
            self.last.insert(name.clone(), *number);
        }
    }

    /// The answer to a question, chunked, with `lie` more events than there are.
    pub fn statistics(&self, lie: u64) -> String {
        // A server that has counted nothing does not lie: the client would not begin.
        let events = if self.events > 0 { self.events + lie } else { 0 };
        let (users, sum) = (self.users.len(), self.sum);
        let average = if events == 0 { 0.0 } else { sum / events as f64 };
        let body = format!(
            r#"{{"totalRequests":{events},"uniqueUsers":{users},"sum":{sum:?},"avg":{average:?}}}"#
        );
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    }
}

/// An answer with these header lines and content.
pub fn answer(status: &str, fields: &str, content: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{content}", content.len())
}

/// The right answer to a request that is counted.
pub fn ok(request: &Request) -> String {
    let content = format!("{{\"counted\":{}}}", request.events.len());
    answer("200 OK", "", if request.is_batch { &content } else { "" })
}

/// Reads a request. Returns `None` at the end of the connection.
pub fn read_request(read: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    read.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut name, mut number) = (0, None, None);
    loop {
        line.clear();
        read.read_line(&mut line).ok()?;
        let Some((field, value)) = line.trim_end().split_once(": ") else { break };
        match field {
            "Content-Length" => length = value.parse().ok()?,
            "Millrace-Producer" => name = Some(value.to_owned()),
            "Millrace-Seq" => number = Some(value.parse().ok()?),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).ok()?;
    let is_batch = path == "/events";
    let is_event = is_batch || path == "/event";
    let events = if is_event { parse_events(&body)? } else { Vec::new() };
    Some(Request { is_event, is_batch, events, producer: name.zip(number) })
}

/// One event, an array of events, or one event on each line.
fn parse_events(body: &[u8]) -> Option<Vec<(String, f64)>> {
    let text = std::str::from_utf8(body).ok()?;
    let values: Vec<Value> = match text.strip_prefix('[') {
        Some(_) => serde_json::from_str(text).ok()?,
        None => text.lines().map(serde_json::from_str).collect::<Result<_, _>>().ok()?,
    };
    let event =
        |value: &Value| Some((value["userId"].as_str()?.to_owned(), value["value"].as_f64()?));
    values.iter().map(event).collect()
}

/// Serves each connection on a thread of its own; returns the URL.
pub fn serve(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || serve_on(&listener, serve));
    url
}

/// The same, on this listener, for ever.
pub fn serve_on(listener: &TcpListener, serve: impl Fn(TcpStream) + Send + Sync + 'static) {
    let serve = Arc::new(serve);
    for stream in listener.incoming().map_while(Result::ok) {
        let serve = Arc::clone(&serve);
        thread::spawn(move || serve(stream));
    }
}

pub fn say(stream: &mut TcpStream, answer: impl AsRef<[u8]>) -> bool {
    stream.write_all(answer.as_ref()).is_ok()
}

/// Runs the client; returns its exit status and report.
pub fn challenge(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_challenge"))
        .args(["--json", "--events", "3000", "--connections", "10", "--users", "70"])
        .args(arguments)
        .output()
        .expect("the client runs");
    // Shown if the test fails.
    print!("{}", String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), report)
}
