//! Answers without an end: one thread sends the same lines to every client that reads them.
//!
//! The connection of such a client leaves its worker with the head of its answer. From then on it
//! belongs to this thread, which asks for a line at a fixed interval and offers it to each client's
//! socket. So a thousand clients cost the workers nothing but the processor time of that thread. It
//! runs after the workers where there is not enough processor time for all.
//!
//! A client that does not take a line has missed it: at most the rest of one line is kept for it, and
//! as long as there is one, it gets no further lines. Its socket's send queue is made small, so that
//! the kernel does not keep minutes of the past for it either. Without clients the thread sleeps.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Detached;
use super::confine::confine;
use super::control::ConnectionPlace;
use crate::limits::{STREAM_SEND_QUEUE_BYTES, STREAM_STALL_MS, STREAMS_MAX};
use crate::log;
use crate::mailbox::Mailbox;
use crate::sys::affinity;
use crate::sys::sandbox::Rights;

/// The way to the thread, and its counts.
pub struct Streams {
    arrivals: Mailbox<Detached>,
    open: AtomicU64,
    ended: AtomicU64,
}

impl Streams {
    /// Returns streams without clients and without a thread; clients that come wait for it.
    #[allow(clippy::new_without_default)] // there is nothing usual about it
    pub fn new() -> Streams {
        Streams { arrivals: Mailbox::new(), open: AtomicU64::new(0), ended: AtomicU64::new(0) }
    }

    /// Returns how many clients there are now.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Returns how many clients have gone.
    pub fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// Returns whether there is room for another client. A client counts once it has arrived, since
    /// it may go before its answer has begun. So clients that come at once may be a few more than
    /// the limit.
    pub fn has_room(&self) -> bool {
        self.open() < STREAMS_MAX
    }

    /// Takes the connection of a client.
    pub fn take(&self, connection: Detached) {
        self.begin();
        self.arrivals.put(connection);
    }

    /// Starts the thread, to be called once. It asks `write_line` for a line at every `interval`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        self: &Arc<Self>,
        interval: Duration,
        confined: bool,
        write_line: impl FnMut(&mut Vec<u8>) + Send + 'static,
    ) -> io::Result<()> {
        let streams = Arc::clone(self);
        thread::Builder::new().name("streams".into()).spawn(move || {
            if let Err(error) = affinity::yield_to_others() {
                log::warn("the streams' thread runs as early as workers", &[("error", &error)]);
            }
            if confined {
                confine("streams", &Rights::default());
            }
            streams.serve(interval, write_line);
        })?;
        Ok(())
    }

    /// Serves clients as long as the process lives.
    fn serve(&self, interval: Duration, mut write_line: impl FnMut(&mut Vec<u8>)) -> ! {
        // Each with its place among the server's connections.
        let mut receivers: Vec<(Receiver, ConnectionPlace)> = Vec::new();
        let mut line = Vec::new();
        let mut tick_at = Instant::now();
        loop {
            // Without clients, it sleeps until one comes.
            let deadline = (!receivers.is_empty()).then_some(tick_at);
            if let Some(Detached { socket, unsent, seat }) = self.arrivals.take(deadline) {
                match Receiver::new(TcpStream::from(socket), unsent) {
                    Ok(receiver) => receivers.push((receiver, seat)),
                    Err(_) => self.end(1),
                }
                continue;
            }
            // After a pause of the whole machine there is no point in catching up.
            tick_at = Instant::now() + interval;
            line.clear();
            write_line(&mut line);
            let before = receivers.len();
            receivers.retain_mut(|(receiver, _)| receiver.offer(&line).is_ok());
            self.end((before - receivers.len()) as u64);
        }
    }

    fn begin(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    fn end(&self, clients: u64) {
        self.open.fetch_sub(clients, Relaxed);
        self.ended.fetch_add(clients, Relaxed);
    }
}

/// One client's connection.
struct Receiver {
    stream: TcpStream,
    /// The rest of the head or of a line.
    unsent: Vec<u8>,
    /// Since when it has taken nothing.
    stalled_at: Option<Instant>,
}

impl Receiver {
    fn new(stream: TcpStream, unsent: Vec<u8>) -> io::Result<Receiver> {
        SockRef::from(&stream).set_send_buffer_size(STREAM_SEND_QUEUE_BYTES)?;
        Ok(Receiver { stream, unsent, stalled_at: None })
    }

    /// Sends the line, or the rest of an earlier one.
    ///
    /// # Errors
    /// When the client has gone, or takes nothing for too long.
    fn offer(&mut self, line: &[u8]) -> io::Result<()> {
        let was_whole = self.unsent.is_empty();
        let bytes = if was_whole { line } else { &self.unsent };
        let sent = match self.stream.write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if sent > 0 {
            self.stalled_at = None;
        }
        match (was_whole, sent) {
            // Missed as a whole.
            (true, 0) => {}
            (true, sent) => self.unsent.extend_from_slice(&line[sent..]),
            (false, sent) => drop(self.unsent.drain(..sent)),
        }
        let stalled =
            sent == 0 && self.stalled_at.get_or_insert_with(Instant::now).elapsed() > STALL;
        if stalled { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

const STALL: Duration = Duration::from_millis(STREAM_STALL_MS);

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn no_more_are_admitted_than_there_may_be() {
        let streams = Streams::new();
        for _ in 0..STREAMS_MAX {
            assert!(streams.has_room());
            streams.begin();
        }
        assert!(!streams.has_room());
        streams.end(1);
        assert!(streams.has_room());
        assert_eq!((streams.open(), streams.ended()), (STREAMS_MAX - 1, 1));
    }

    /// Returns a line that holds its number, and whose end a test can recognize.
    fn line(number: usize) -> Vec<u8> {
        format!("data: {number:06}{}\n\n", "x".repeat(number % 700)).into_bytes()
    }

    #[test]
    fn a_late_reader_misses_lines_but_reads_whole_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        SockRef::from(&stream).set_send_buffer_size(STREAM_SEND_QUEUE_BYTES).unwrap();
        SockRef::from(&reader).set_recv_buffer_size(4_096).unwrap();
        let mut receiver = Receiver { stream, unsent: Vec::new(), stalled_at: None };
        let mut received = Vec::new();
        let (mut room, mut kept_bytes) = ([0; 3_000], 0);
        for number in 0..4_000 {
            receiver.offer(&line(number)).unwrap();
            kept_bytes = kept_bytes.max(receiver.unsent.len());
            assert!(kept_bytes < line(699).len());
            // Nothing for a long time, then some at a time.
            if number > 1_000 && number % 3 == 0 {
                let count = reader.read(&mut room).unwrap();
                received.extend_from_slice(&room[..count]);
            }
        }
        assert!(kept_bytes > 0, "a line was sent in part");
        drop(receiver);
        reader.read_to_end(&mut received).unwrap();
        let text = String::from_utf8(received).unwrap();
        let mut lines: Vec<&str> = text.split_inclusive("\n\n").collect();
        if !text.ends_with("\n\n") {
            lines.pop();
        }
        let numbers: Vec<usize> = lines
            .iter()
            .map(|text| {
                let number = text["data: ".len()..][..6].parse().unwrap();
                assert_eq!(text.as_bytes(), line(number));
                number
            })
            .collect();
        assert!(numbers.is_sorted() && numbers[0] == 0 && numbers.len() > 100);
        assert!(numbers.len() < 4_000, "none was missed");
    }

    #[test]
    fn a_client_that_takes_nothing_or_has_gone_is_not_served_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let long_ago = Instant::now().checked_sub(2 * STALL).unwrap();
        let mut receiver = Receiver { stream, unsent: Vec::new(), stalled_at: None };
        while receiver.stalled_at.is_none() {
            receiver.offer(&[b'x'; 65_536]).unwrap();
        }
        receiver.stalled_at = Some(long_ago);
        assert_eq!(receiver.offer(b"x").unwrap_err().kind(), ErrorKind::TimedOut);
        drop(reader);
        assert!((0..100).any(|_| {
            thread::sleep(Duration::from_millis(1));
            receiver.offer(b"x").is_err_and(|error| error.kind() != ErrorKind::TimedOut)
        }));
    }
}
