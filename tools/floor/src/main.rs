//! The floor: the least a server on epoll can do for a request.
//!
//! One thread, one `recv` and one `send` an event. It finds out how many requests a read
//! completed by counting blank lines (`\r\n\r\n`, which ends every header section and occurs
//! nowhere else in the challenge's traffic), and answers so many times `200` with no content,
//! whatever was asked. It parses nothing, keeps nothing, has no time-outs and no limits: what a
//! real server costs is its distance from this one.
//!
//! Left out on purpose: content. A request counts when its header section ends; if its content
//! comes in a later segment the answer is early, and still there is exactly one a request.

mod canned;
mod epoll;
mod requests;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use canned::Canned;
use epoll::{Epoll, Events, Interest};
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

/// The value of `--port`, 0 without the option.
fn port(mut arguments: impl Iterator<Item = String>) -> Result<u16, String> {
    let mut port = 0;
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--port") {
            Some("") => arguments.next().ok_or("--port wants a value")?,
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
    epoll::set_backlog(&listener, BACKLOG)?;
    let epoll = Epoll::new()?;
    let mut events = Events::new(EVENTS_PER_WAIT_MAX);
    epoll.add(&listener, LISTENER, Interest::Read)?;
    println!("listening on http://{}", listener.local_addr()?);

    let canned = Canned::new();
    // The bytes before `Tail::BYTES` hold the end of what the connection sent last.
    let mut buffer = vec![0; Tail::BYTES + READ_BYTES_MAX];
    // Indexed by descriptor, which is also the epoll token.
    let mut connections: Vec<Option<Connection>> = Vec::new();

    loop {
        for token in epoll.wait(&mut events)? {
            if token == LISTENER {
                accept_all(&listener, &epoll, &mut connections);
                continue;
            }
            let slot = &mut connections[token as usize];
            let Some(connection) = slot else { continue };
            match connection.turn(&mut buffer, &canned) {
                Ok(Turn::Done) => {}
                // Only a client that does not read its answers comes here: wait for it alone.
                Ok(Turn::Blocked) => epoll.change(&connection.stream, token, Interest::Write)?,
                Ok(Turn::Unblocked) => epoll.change(&connection.stream, token, Interest::Read)?,
                // Dropping the stream closes it, and closing takes it out of the epoll set.
                Err(_) => *slot = None,
            }
        }
    }
}

/// Takes every connection that waits. An error leaves the rest waiting for the next turn.
fn accept_all(listener: &TcpListener, epoll: &Epoll, connections: &mut Vec<Option<Connection>>) {
    while let Ok((stream, _)) = listener.accept() {
        let token = stream.as_raw_fd() as usize;
        let ready = stream
            .set_nonblocking(true)
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| epoll.add(&stream, token as u64, Interest::Read));
        if ready.is_err() {
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
    /// The last bytes received, in which a blank line may have begun.
    tail: Tail,
    /// Answer bytes the socket did not take yet.
    owed_bytes: usize,
}

/// How a turn that found the connection alive ended.
enum Turn {
    Done,
    /// The socket is full; nothing is read until it has taken what is owed.
    Blocked,
    /// What was owed has gone out.
    Unblocked,
}

impl Connection {
    /// One `recv` and one `send`. An error, or the end of the stream, means: close.
    fn turn(&mut self, buffer: &mut [u8], canned: &Canned) -> io::Result<Turn> {
        if self.owed_bytes > 0 {
            self.send(canned)?;
            return Ok(if self.owed_bytes > 0 { Turn::Blocked } else { Turn::Unblocked });
        }
        let read = match self.stream.read(&mut buffer[Tail::BYTES..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Done),
            Err(error) => return Err(error),
        };
        let requests = self.tail.requests_in(&mut buffer[..Tail::BYTES + read]);
        self.owed_bytes = requests * canned::ANSWER.len();
        self.send(canned)?;
        Ok(if self.owed_bytes > 0 { Turn::Blocked } else { Turn::Done })
    }

    /// Sends what is owed until the socket takes no more.
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
