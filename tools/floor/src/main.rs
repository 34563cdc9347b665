//! The floor: a server that does the least that a server on epoll can do for a request.
//!
//! It has one thread, with one `recv` and one `send` for each readiness event, edge-triggered as mio
//! is. It counts the requests in a read by their blank lines (`\r\n\r\n`, which ends every header
//! section and occurs nowhere else in the challenge's traffic), and sends `200` without content for
//! each of them. It parses nothing and keeps nothing; it has no time-outs, no limits and no fairness.
//! The distance of a real server from the floor is therefore what its work costs. `requests.rs` has
//! the cost of the counting.
//!
//! Compare the processor time of a request, not only the rates: if the client is busier than the
//! server, the rates are the client's, and equal.
//!
//! The floor does not look at content. A request counts when its header section ends. If its content
//! comes in a later segment, the answer is early; there is still exactly one for each request.

mod canned;
mod epoll;
mod requests;
mod socket;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use canned::Canned;
use epoll::{Epoll, Event, Events};
use requests::Tail;

fn main() -> ExitCode {
    let port = match port(std::env::args().skip(1)) {
        Ok(port) => port,
        Err(message) => {
            eprintln!(
                "floor: {message}\n\nusage: floor [--port PORT]   (0, the default, lets the system choose)"
            );
            return ExitCode::from(2);
        }
    };
    match serve(port) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the value of `--port`, or 0 without the option.
fn port(mut arguments: impl Iterator<Item = String>) -> Result<u16, String> {
    let mut port = 0;
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--port") {
            Some("") => arguments.next().ok_or("--port needs a value")?,
            Some(value) if value.starts_with('=') => value[1..].to_owned(),
            _ => return Err(format!("unknown argument {argument:?}")),
        };
        port = value.parse().map_err(|_| format!("{value:?} is not a port"))?;
    }
    Ok(port)
}

/// Serves until a signal ends the process.
fn serve(port: u16) -> io::Result<std::convert::Infallible> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    socket::set_backlog(&listener, BACKLOG)?;
    socket::set_nodelay_of_accepted(&listener)?;
    let epoll = Epoll::new()?;
    let mut events = Events::new(EVENTS_PER_WAIT_MAX);
    epoll.add_listener(&listener, LISTENER)?;
    println!("listening on http://{}", listener.local_addr()?);

    let canned = Canned::new();
    // The first `Tail::BYTES` hold the end of what the connection sent before.
    let mut buffer = vec![0; Tail::BYTES + READ_BYTES_MAX];
    // Indexed by descriptor, which is also the epoll token.
    let mut connections: Vec<Option<Connection>> = Vec::new();

    loop {
        for event in epoll.wait(&mut events)? {
            if event.token == LISTENER {
                accept_all(&listener, &epoll, &mut connections);
                continue;
            }
            let slot = &mut connections[event.token as usize];
            let Some(connection) = slot else { continue };
            // Dropping the stream closes it, and closing takes it out of the epoll set.
            if connection.turn(event, &mut buffer, &canned).is_err() {
                *slot = None;
            }
        }
    }
}

/// Accepts every connection that waits. After an error the rest waits for the next turn.
fn accept_all(listener: &TcpListener, epoll: &Epoll, connections: &mut Vec<Option<Connection>>) {
    while let Ok(stream) = socket::accept(listener) {
        let token = stream.as_raw_fd() as usize;
        if epoll.add_connection(&stream, token as u64).is_err() {
            continue;
        }
        if connections.len() <= token {
            connections.resize_with(token + 1, || None);
        }
        connections[token] = Some(Connection { stream, tail: Tail::default(), owed_bytes: 0 });
    }
}

struct Connection {
    stream: TcpStream,
    /// The last bytes that were received: a blank line may have begun in them.
    tail: Tail,
    /// Bytes of answers that the socket did not take yet. While there are any, nothing is read.
    owed_bytes: usize,
}

impl Connection {
    /// Receives once and sends once. It reads more than once only if no further edge would come: after
    /// a read that filled the buffer, and if the peer's end came together with its data. An error, or
    /// the end of the stream, closes the connection.
    fn turn(&mut self, event: Event, buffer: &mut [u8], canned: &Canned) -> io::Result<()> {
        self.send(canned)?;
        while self.owed_bytes == 0 {
            let read = match self.stream.read(&mut buffer[Tail::BYTES..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let requests = self.tail.requests_in(&mut buffer[..Tail::BYTES + read]);
            self.owed_bytes = requests * canned::ANSWER.len();
            self.send(canned)?;
            if read < READ_BYTES_MAX && !event.peer_ended {
                break;
            }
        }
        Ok(())
    }

    /// Sends what is owed until the socket takes no more. The next edge goes on from there.
    fn send(&mut self, canned: &Canned) -> io::Result<()> {
        while self.owed_bytes > 0 {
            match self.stream.write(canned.last_bytes(self.owed_bytes)) {
                Ok(sent) => self.owed_bytes -= sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const LISTENER: u64 = u64::MAX;
const BACKLOG: i32 = 4096;
const EVENTS_PER_WAIT_MAX: usize = 1024;
/// Larger than any batch of pipelined requests in the benches, so that one `recv` takes it all.
const READ_BYTES_MAX: usize = 64 * 1024;
