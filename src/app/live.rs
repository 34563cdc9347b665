//! `/live`: what the dashboard shows, as server-sent events (WHATWG HTML, 9.2).
//!
//! A watcher's connection leaves the workers with the head of its answer, and belongs to one thread
//! from then on, which makes one line of JSON four times a second, from one snapshot, and offers it
//! to each watcher's socket. So a thousand watchers cost the workers nothing but the processor time
//! of that thread, which runs after theirs where there is not enough for all.
//!
//! A watcher that does not take a line has missed it: at most the rest of one line is kept for it, and
//! as long as there is one, the next lines are not for it. Its socket's send queue is made small, so
//! that the kernel does not keep minutes of the past for it either. Without watchers the thread sleeps.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Shared;
use super::handlers::write_statistics;
use super::metrics::request_errors;
use crate::limits::{
    LIVE_RETRY_MS, LIVE_SEND_QUEUE_BYTES, LIVE_STALL_MS, LIVE_TICK_MS, LIVE_WATCHERS_MAX,
};
use crate::log;
use crate::mailbox::Mailbox;
use crate::server::{self, Detached, Seat};
use crate::sys::{affinity, clock};

/// The way to the thread, and what it counts.
pub struct Live {
    arrivals: Mailbox<Detached>,
    watching: AtomicU64,
    ended: AtomicU64,
    started_ns: u64,
}

impl Live {
    /// No watchers, and no thread yet: whoever comes has to wait for it.
    pub(super) fn new() -> Live {
        Live {
            arrivals: Mailbox::new(),
            watching: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            started_ns: clock::exact_ns(),
        }
    }

    /// Watchers now.
    pub fn watching(&self) -> u64 {
        self.watching.load(Relaxed)
    }

    /// Watchers that have gone.
    pub fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// Whether there is room for another watcher. Counted is only who has come: a client may go
    /// before its answer has begun. So those who come at once may be a few more than the limit.
    pub fn has_room(&self) -> bool {
        self.watching() < LIVE_WATCHERS_MAX
    }

    /// Takes the connection of a watcher.
    pub fn watch(&self, connection: Detached) {
        self.begin();
        self.arrivals.put(connection);
    }

    fn begin(&self) {
        self.watching.fetch_add(1, Relaxed);
    }

    fn end(&self, watchers: u64) {
        self.watching.fetch_sub(watchers, Relaxed);
        self.ended.fetch_add(watchers, Relaxed);
    }
}

/// Starts the thread; to be called once.
///
/// # Errors
/// When no thread can be started.
pub fn start(shared: &Arc<Shared>, confined: bool) -> io::Result<()> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name("live".into()).spawn(move || {
        if let Err(error) = affinity::yield_to_others() {
            log::warn("the dashboard's thread runs as early as workers", &[("error", &error)]);
        }
        if confined {
            server::confine("live");
        }
        serve(&shared);
    })?;
    Ok(())
}

/// One watcher's connection.
struct Watcher {
    stream: TcpStream,
    /// The rest of the head or of a line.
    unsent: Vec<u8>,
    /// Since when it has taken nothing.
    stalled_at: Option<Instant>,
}

/// Serves watchers as long as the process lives.
fn serve(shared: &Shared) -> ! {
    // Each with its place among the server's connections.
    let mut watchers: Vec<(Watcher, Seat)> = Vec::new();
    let mut line = Vec::new();
    let mut tick_at = Instant::now();
    loop {
        // Nobody watches: sleep until somebody does.
        let deadline = (!watchers.is_empty()).then_some(tick_at);
        if let Some(arrived) = shared.live.arrivals.take(deadline) {
            watchers.extend(Watcher::new(arrived, &shared.live));
            continue;
        }
        // After a pause of the whole machine there is no point in catching up.
        tick_at = Instant::now() + Duration::from_millis(LIVE_TICK_MS);
        line.clear();
        write_tick(&mut line, shared);
        let before = watchers.len();
        watchers.retain_mut(|(watcher, _)| watcher.offer(&line).is_ok());
        shared.live.end((before - watchers.len()) as u64);
    }
}

impl Watcher {
    fn new(connection: Detached, live: &Live) -> Option<(Watcher, Seat)> {
        let Detached { socket, unsent, seat } = connection;
        let stream = TcpStream::from(socket);
        match SockRef::from(&stream).set_send_buffer_size(LIVE_SEND_QUEUE_BYTES) {
            Ok(()) => Some((Watcher { stream, unsent, stalled_at: None }, seat)),
            Err(_) => {
                live.end(1);
                None
            }
        }
    }

    /// Sends the line, or the rest of an earlier one.
    ///
    /// # Errors
    /// When the watcher has gone, or takes nothing for too long.
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

const STALL: Duration = Duration::from_millis(LIVE_STALL_MS);

/// The beginning of a stream: how soon a browser may come back when it ends.
pub fn write_beginning(out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(out, "retry: {LIVE_RETRY_MS}\n\n");
}

/// One event: a line of JSON. Everything but the errors and the connections is of one instant.
fn write_tick(out: &mut Vec<u8>, shared: &Shared) {
    let snapshot = shared.statistics.snapshot();
    let now_ns = clock::exact_ns();
    let up_ms = now_ns.saturating_sub(shared.live.started_ns) / 1_000_000;
    let version = env!("CARGO_PKG_VERSION");
    let _ = write!(out, "data: {{\"version\":\"{version}\",\"upMs\":{up_ms},\"stats\":");
    write_statistics(out, &snapshot);
    let connections = shared.server_meters.iter().map(|meters| meters.connections.read());
    let _ = write!(
        out,
        ",\"connections\":{},\"watchers\":{},\"workers\":[",
        connections.sum::<u64>(),
        shared.live.watching()
    );
    for (worker, (events, meters)) in
        snapshot.worker_events.iter().zip(&shared.server_meters[..]).enumerate()
    {
        let comma = if worker > 0 { "," } else { "" };
        let _ = write!(out, "{comma}[{events},{}]", meters.connections.read());
    }
    out.extend_from_slice(b"],\"errors\":{");
    let errors = request_errors(shared).filter(|&(_, count)| count > 0);
    for (i, (reason, count)) in errors.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"{reason}\":{count}");
    }
    out.extend_from_slice(b"}}\n\n");
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn no_more_are_admitted_than_there_may_be() {
        let live = Live::new();
        for _ in 0..LIVE_WATCHERS_MAX {
            assert!(live.has_room());
            live.begin();
        }
        assert!(!live.has_room());
        live.end(1);
        assert!(live.has_room());
        assert_eq!((live.watching(), live.ended()), (LIVE_WATCHERS_MAX - 1, 1));
    }

    /// A line that tells its number and is easily seen to be whole.
    fn line(number: usize) -> Vec<u8> {
        format!("data: {number:06}{}\n\n", "x".repeat(number % 700)).into_bytes()
    }

    #[test]
    fn who_reads_late_has_missed_lines_but_reads_whole_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        SockRef::from(&stream).set_send_buffer_size(LIVE_SEND_QUEUE_BYTES).unwrap();
        SockRef::from(&reader).set_recv_buffer_size(4_096).unwrap();
        let mut watcher = Watcher { stream, unsent: Vec::new(), stalled_at: None };
        let mut received = Vec::new();
        let (mut room, mut kept_bytes) = ([0; 3_000], 0);
        for number in 0..4_000 {
            watcher.offer(&line(number)).unwrap();
            kept_bytes = kept_bytes.max(watcher.unsent.len());
            assert!(kept_bytes < line(699).len());
            // Nothing for a long time, then some at a time.
            if number > 1_000 && number % 3 == 0 {
                let count = reader.read(&mut room).unwrap();
                received.extend_from_slice(&room[..count]);
            }
        }
        assert!(kept_bytes > 0, "a line was sent in part");
        drop(watcher);
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
    fn who_takes_nothing_or_has_gone_is_not_served_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let long_ago = Instant::now().checked_sub(2 * STALL).unwrap();
        let mut watcher = Watcher { stream, unsent: Vec::new(), stalled_at: None };
        while watcher.stalled_at.is_none() {
            watcher.offer(&[b'x'; 65_536]).unwrap();
        }
        watcher.stalled_at = Some(long_ago);
        assert_eq!(watcher.offer(b"x").unwrap_err().kind(), ErrorKind::TimedOut);
        drop(reader);
        assert!((0..100).any(|_| {
            thread::sleep(Duration::from_millis(1));
            watcher.offer(b"x").is_err_and(|error| error.kind() != ErrorKind::TimedOut)
        }));
    }
}
