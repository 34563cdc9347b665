//! `kill -9` in mid-load, again and again, in one state directory.
//!
//! Three clients send events in order, each on one connection, so that what is recovered of a client is
//! a prefix of what it has sent. Event `n` of a client is of its user `n / 4`, and its value is a power
//! of two of the client. So the sum tells how many events of each client are counted, from which the
//! number of events and of users follow: all three must be of the same events, in every answer of a
//! running server and after every start.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Scratch;
use super::damage::copy;
use super::support::{Client, PATIENCE, Server, Stats, command, get, post};

/// Bits of the sum for the number of one client's events.
const COUNT_BITS: u32 = 17;
const CLIENTS: usize = 3;
const EVENTS_PER_USER: u64 = 4;
/// A client ends here, so that no count overflows before the next reset.
const EVENTS_MAX: u64 = 100_000;

type Counts = [u64; CLIENTS];

/// A small generator of random numbers (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What one client has sent since the last reset, over all runs.
#[derive(Default)]
struct Sender {
    /// Events that have been sent, at least in part.
    sent: AtomicU64,
    /// Events answered `200`.
    answered: AtomicU64,
}

/// What all clients have sent and seen since the last reset.
struct Load {
    senders: [Sender; CLIENTS],
    /// The most that a reader has seen of each client.
    seen: [AtomicU64; CLIENTS],
    /// Resets; ids of users differ after each.
    epoch: u64,
    stop: AtomicBool,
    /// Whether a reset is sent in mid-load, so that events before it count no more.
    reset_under_way: AtomicBool,
}

impl Load {
    fn new(epoch: u64) -> Load {
        Load {
            senders: Default::default(),
            seen: Default::default(),
            epoch,
            stop: AtomicBool::new(false),
            reset_under_way: AtomicBool::new(false),
        }
    }

    /// Sends events in the manner of this number until the connection or the load ends.
    fn send(&self, server: SocketAddr, client: usize, manner: u64) {
        let Ok(mut stream) = TcpStream::connect(server) else { return };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        let sender = &self.senders[client];
        let mut number = sender.sent.load(Ordering::Relaxed);
        while !self.stop.load(Ordering::Relaxed) && number < EVENTS_MAX {
            let event = |number: u64| {
                let (epoch, user) = (self.epoch, number / EVENTS_PER_USER);
                let value = 1u64 << (COUNT_BITS * client as u32);
                format!("{{\"userId\":\"epoch{epoch}_{client}_{user}\",\"value\":{value}}}")
            };
            let (requests, answers, events_each) = match manner % 3 {
                0 => (post("/event", &event(number)), 1, 1),
                1 => ((number..number + 16).map(|it| post("/event", &event(it))).collect(), 16, 1),
                _ => {
                    let count = 1 + number % 300;
                    let lines: Vec<_> = (number..number + count).map(event).collect();
                    (post("/events", &lines.join("\n")), 1, count)
                }
            };
            number += answers * events_each;
            sender.sent.store(number, Ordering::SeqCst);
            if stream.write_all(requests.as_bytes()).is_err() {
                return;
            }
            for _ in 0..answers {
                if !read_ok(&mut stream, &mut received) {
                    return;
                }
                sender.answered.fetch_add(events_each, Ordering::SeqCst);
            }
        }
    }

    /// Reads the statistics until the connection or the load ends. Every answer is of whole prefixes.
    fn read(&self, server: SocketAddr) {
        let Ok(mut client) = Client::connect(server) else { return };
        while !self.stop.load(Ordering::Relaxed) {
            let answered = self.answered();
            client.send(get("/stats").as_bytes());
            let Some(answer) = client.try_answer(true) else { return };
            let stats = Stats::parse(&answer.text());
            // Asked after the answer: a reset may have begun before it.
            if self.reset_under_way.load(Ordering::SeqCst) {
                continue;
            }
            let counts = exact_counts(&stats);
            for client in 0..CLIENTS {
                assert!(counts[client] >= answered[client], "{stats:?} after {answered:?}");
                self.seen[client].fetch_max(counts[client], Ordering::SeqCst);
            }
        }
    }

    fn answered(&self) -> Counts {
        [0, 1, 2].map(|client| self.senders[client].answered.load(Ordering::SeqCst))
    }

    fn sent(&self) -> Counts {
        [0, 1, 2].map(|client| self.senders[client].sent.load(Ordering::SeqCst))
    }

    /// Checks what was recovered, and goes on from there.
    fn recovered(&self, stats: &Stats, context: &str) {
        let counts = exact_counts(stats);
        let (answered, sent) = (self.answered(), self.sent());
        for client in 0..CLIENTS {
            let seen = self.seen[client].load(Ordering::SeqCst);
            assert!(
                answered[client].max(seen) <= counts[client] && counts[client] <= sent[client],
                "client {client}: {answered:?} answered, {seen} seen, {sent:?} sent, {counts:?} recovered; {context}"
            );
        }
        self.go_on_from(counts);
    }

    fn go_on_from(&self, counts: Counts) {
        for (client, count) in counts.into_iter().enumerate() {
            self.senders[client].sent.store(count, Ordering::SeqCst);
            self.senders[client].answered.store(count, Ordering::SeqCst);
            self.seen[client].store(count, Ordering::SeqCst);
        }
        self.stop.store(false, Ordering::SeqCst);
    }
}

/// Reads an answer; returns false if the connection ends before it is whole. It must be `200`.
fn read_ok(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    loop {
        if let Some(head_bytes) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..head_bytes]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200 "), "{}", String::from_utf8_lossy(received));
            let length = head.split("content-length: ").nth(1).expect("a length");
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if received.len() >= head_bytes + 4 + length {
                received.drain(..head_bytes + 4 + length);
                return true;
            }
        }
        let mut room = [0; 4_096];
        match stream.read(&mut room) {
            Ok(count) if count > 0 => received.extend_from_slice(&room[..count]),
            _ => return false,
        }
    }
}

/// Returns how many events of each client are counted.
fn counts(stats: &Stats) -> Counts {
    let sum = stats.sum.expect("a sum");
    assert_eq!(sum, sum.trunc(), "{stats:?}");
    let counts =
        [0, 1, 2].map(|client| sum as u64 >> (COUNT_BITS * client) & ((1 << COUNT_BITS) - 1));
    assert_eq!(counts.iter().sum::<u64>(), stats.events, "{stats:?}");
    counts
}

/// Returns how many events of each client are counted, where these are its first ones.
fn exact_counts(stats: &Stats) -> Counts {
    let counts = counts(stats);
    let users: u64 = counts.iter().map(|count| count.div_ceil(EVENTS_PER_USER)).sum();
    assert_eq!(stats.users, users, "{counts:?} {stats:?}");
    counts
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The server is killed in mid-load.
    Kill,
    /// As before, and the next start is killed too, at any point of it.
    KillTwice,
    /// The server is told to restart in mid-load, and all its processes are killed.
    Restart,
    /// As before; the first process is killed first.
    RestartAlone,
    /// A reset is sent when the clients rest, and the server is killed, before or after the answer.
    Reset,
    /// A reset is sent in mid-load, and the server is killed.
    ResetInLoad,
    /// The server is told to stop in mid-load.
    Stop,
}

const ENDS: [End; 9] = [
    End::Kill,
    End::Restart,
    End::Kill,
    End::KillTwice,
    End::RestartAlone,
    End::Kill,
    End::Stop,
    End::ResetInLoad,
    End::Reset,
];

#[test]
fn nothing_answered_or_seen_is_lost_by_a_crash() {
    let runs = crash(|runs| runs < 27);
    println!("{runs} runs");
}

/// `make crash` runs it.
#[test]
#[ignore = "takes a minute"]
fn nothing_answered_or_seen_is_lost_by_hundreds_of_crashes() {
    let seconds = std::env::var("CRASH_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(60));
    let runs = crash(|_| Instant::now() < end);
    println!("{runs} runs");
}

/// Runs servers in one directory as long as `goes_on`, which gets the number of runs. Returns it.
fn crash(goes_on: impl Fn(u64) -> bool) -> u64 {
    // SAFETY: prctl(2) takes numbers here. Successors become children of this process.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    let mut random = Random(seed);
    let scratch = Scratch::new();
    let mut load = Load::new(0);
    let mut run = 0;
    let mut before = "nothing".to_owned();
    while goes_on(run) {
        let end = ENDS[run as usize % ENDS.len()];
        let workers = (1 + random.below(3)).to_string();
        let fsync = ["everysec", "always"][random.below(2) as usize];
        let name = format!("{end:?} with {workers} workers, {fsync}");
        let context = format!("run {run}: {name}, after {before}; seed {seed}");
        // An odd number of ends: after two rounds, this has come after each of them.
        if run % 2 == 1 {
            check_users(&scratch, load.epoch, &context);
        }
        let mut command =
            scratch.command(&["--allow-reset", "--workers", &workers, "--fsync", fsync]);
        let server = Server::try_run(command.process_group(0));
        let server = server.unwrap_or_else(|lines| panic!("not ready: {lines:?}; {context}"));
        load.recovered(&Stats::parse(&server.stats()), &context);
        match one_run(server, &load, end, &mut random) {
            Ended::Killed => {}
            Ended::Stopped(stats) => load.recovered(&stats, &context),
            Ended::InReset(reset) => {
                let server = Server::run(&mut command);
                check_reset(&Stats::parse(&server.stats()), &load, &reset, &context);
                assert_eq!(server.once(&post("/reset", "")).status, 200);
                load = Load::new(load.epoch + 1);
            }
        }
        if end == End::KillTwice {
            let mut child = command.spawn().unwrap();
            thread::sleep(Duration::from_micros(random.below(20_000)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        before = name;
        run += 1;
    }
    let server = Server::run(&mut scratch.command(&[]));
    load.recovered(&Stats::parse(&server.stats()), &format!("the end; seed {seed}"));
    run
}

/// Checks which users are recovered, on a copy of the directory: an event of each user that must be known
/// makes no new user, and there are as many known users as that.
fn check_users(scratch: &Scratch, epoch: u64, context: &str) {
    let copied = scratch.path.join("copied");
    copy(&scratch.state(), &copied);
    let server = Server::run(command(&["--workers", "2"]).arg("--state").arg(&copied));
    let before = Stats::parse(&server.stats());
    let mut client = server.connect();
    for (number, count) in exact_counts(&before).into_iter().enumerate() {
        let users: Vec<u64> = (0..count.div_ceil(EVENTS_PER_USER)).collect();
        for users in users.chunks(1_000) {
            let line =
                |user| format!("{{\"userId\":\"epoch{epoch}_{number}_{user}\",\"value\":0}}\n");
            client.send(post("/events", &users.iter().map(line).collect::<String>()).as_bytes());
            assert_eq!(client.answer().status, 200);
        }
    }
    let after = Stats::parse(&server.stats());
    assert_eq!(after.users, before.users, "{context}");
    drop(server);
    fs::remove_dir_all(copied).unwrap();
}

/// How a run has ended.
enum Ended {
    Killed,
    /// By itself, with these statistics.
    Stopped(Stats),
    /// Killed after a reset was sent.
    InReset(Reset),
}

/// A reset, and what the clients had done before and after it.
struct Reset {
    in_load: bool,
    /// Events that had been answered when the reset was sent: they are before it.
    before: Counts,
    /// Whether it was answered, and if so, the events that had been sent by then: those after them are
    /// after it.
    answered: Option<Counts>,
}

/// Runs the load on a server and ends it.
fn one_run(server: Server, load: &Load, end: End, random: &mut Random) -> Ended {
    let (address, process) = (server.address, server.process_id() as i32);
    let lasts = Duration::from_micros(5_000 + random.below(120_000));
    let (manner, pause) = (random.below(3), Duration::from_micros(random.below(60_000)));
    let waits_for_reset = random.below(2) == 0;
    thread::scope(|scope| {
        let clients = (0..CLIENTS as u64).map(|client| {
            scope.spawn(move || load.send(address, client as usize, manner + client))
        });
        let clients: Vec<_> = clients.collect();
        scope.spawn(move || load.read(address));
        thread::sleep(lasts);
        let ended = match end {
            End::Kill | End::KillTwice => Ended::Killed,
            End::Stop => return Ended::Stopped(server.stop()),
            End::Restart | End::RestartAlone => {
                server.signal(libc::SIGUSR2);
                thread::sleep(pause);
                if end == End::RestartAlone {
                    server.signal(libc::SIGKILL);
                    thread::sleep(pause / 8);
                }
                kill_group(process);
                Ended::Killed
            }
            End::Reset | End::ResetInLoad => {
                load.reset_under_way.store(true, Ordering::SeqCst);
                if end == End::Reset {
                    load.stop.store(true, Ordering::SeqCst);
                    clients.into_iter().for_each(|client| client.join().unwrap());
                }
                let mut stream = TcpStream::connect(address).unwrap();
                let before = load.answered();
                stream.write_all(post("/reset", "").as_bytes()).unwrap();
                let answered = waits_for_reset.then(|| {
                    assert!(read_ok(&mut stream, &mut Vec::new()));
                    load.sent()
                });
                thread::sleep(pause / 64);
                Ended::InReset(Reset { in_load: end == End::ResetInLoad, before, answered })
            }
        };
        drop(server);
        if matches!(end, End::Restart | End::RestartAlone) {
            wait_for_group(process);
        }
        load.stop.store(true, Ordering::SeqCst);
        ended
    })
}

/// Checks what was recovered after a reset: if it was answered, it happened; otherwise it may have.
fn check_reset(stats: &Stats, load: &Load, reset: &Reset, context: &str) {
    let counts = counts(stats);
    let (answered, sent) = (load.answered(), load.sent());
    let each = |holds: &dyn Fn(usize) -> bool| (0..CLIENTS).all(holds);
    let happened = match reset.in_load {
        false => stats.events == 0 && stats.users == 0,
        true => {
            // Of each client a part from its middle: its first and its last user may be cut.
            let least: u64 = counts.iter().map(|count| count.div_ceil(EVENTS_PER_USER)).sum();
            each(&|it| counts[it] <= sent[it] - reset.before[it])
                && each(&|it| {
                    counts[it]
                        >= reset.answered.map_or(0, |sent| answered[it].saturating_sub(sent[it]))
                })
                && (least..=least + CLIENTS as u64).contains(&stats.users)
        }
    };
    let users: u64 = counts.iter().map(|count| count.div_ceil(EVENTS_PER_USER)).sum();
    let not_happened = stats.users == users
        && each(&|it| answered[it] <= counts[it] && counts[it] <= sent[it])
        && reset.answered.is_none();
    let (before, after) = (reset.before, reset.answered);
    assert!(
        happened || not_happened,
        "{stats:?} {counts:?}: {before:?} answered before, {after:?} sent until the answer, {answered:?} answered, {sent:?} sent; {context}"
    );
}

/// Kills all processes of a server: itself, its starter, its successor.
fn kill_group(process: i32) {
    // SAFETY: kill(2) takes numbers. The group is there: its first process has not been waited for.
    assert_eq!(unsafe { libc::kill(-process, libc::SIGKILL) }, 0);
}

/// Waits until no process of the group is left. They are children of this process by now.
fn wait_for_group(process: i32) {
    // SAFETY: waitpid(2) writes no status here.
    while unsafe { libc::waitpid(-process, std::ptr::null_mut(), 0) } > 0 {}
}
