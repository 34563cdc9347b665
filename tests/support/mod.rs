//! The harness of the black-box tests: the real binary, real sockets, ports that the system chooses.
//! Tests wait for conditions, not for a time.

#![allow(dead_code, unsafe_code)] // Each test file uses its part. Signals are sent by kill(2).

mod busy;
mod directory;
mod programs;
mod skipped;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

// Each test file uses its part.
#[allow(unused_imports)]
pub use busy::{Failure, Pulse, undisturbed};
#[allow(unused_imports)]
pub use directory::TempDir;
#[allow(unused_imports)]
pub use programs::{Proxy, free_port, is_installed};
#[allow(unused_imports)]
pub use skipped::skip;

/// How long anything may take before a test gives up on it. Long, since it must not judge the speed
/// of a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running millrace; killed when dropped.
pub struct Server {
    process_id: i32,
    pub address: SocketAddr,
    /// The lines that it prints after it is ready.
    lines: Receiver<String>,
}

/// Returns the command with these arguments, on a port that the system chooses.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.env_clear().args(["--listen", "127.0.0.1:0"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Server {
    /// Starts a server with these arguments besides `--listen`, and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Server {
        Server::run(&mut command(arguments))
    }

    /// Runs a prepared command and waits until it is ready. Lines that it prints before are skipped.
    pub fn run(command: &mut Command) -> Server {
        Server::try_run(command).unwrap_or_else(|(_, lines)| panic!("not ready: {lines:?}"))
    }

    /// Runs a prepared command and waits until it is ready.
    ///
    /// # Errors
    /// If it ends before it is ready: its exit status, and the lines that it has printed.
    pub fn try_run(command: &mut Command) -> Result<Server, (ExitStatus, Vec<String>)> {
        #[allow(clippy::zombie_processes)] // `ended` waits for it, by its number
        let mut child = command.spawn().expect("the binary starts");
        let lines = lines_of(child.stderr.take().expect("standard error is piped"));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server { process_id: child.id() as i32, address: nowhere, lines };
        let mut before = Vec::new();
        loop {
            match server.lines.recv_timeout(PATIENCE) {
                Ok(line) => match line.strip_prefix("listening on http://") {
                    Some(rest) => {
                        let address = rest.split(' ').next().and_then(|it| it.parse().ok());
                        server.address = address.expect("an address");
                        return Ok(server);
                    }
                    None => before.push(line),
                },
                Err(RecvTimeoutError::Timeout) => panic!("neither ready nor ended: {before:?}"),
                Err(RecvTimeoutError::Disconnected) => return Err((server.wait().0, before)),
            }
        }
    }

    /// Opens a connection. Reads and writes on it give up after [`PATIENCE`].
    pub fn connect(&self) -> Client {
        Client::connect(self.address).expect("the server accepts")
    }

    /// Sends one request on a connection of its own and returns the answer.
    pub fn once(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request.as_bytes());
        client.answer()
    }

    /// Returns the statistics as text.
    pub fn stats(&self) -> String {
        self.once("GET /stats HTTP/1.1\r\nHost: t\r\n\r\n").text()
    }

    /// Returns `totalRequests`.
    pub fn count(&self) -> u64 {
        Stats::parse(&self.stats()).events
    }

    /// Returns the value of one sample on the metrics page.
    pub fn metric(&self, sample: &str) -> f64 {
        let page = self.once("GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").text();
        let line = page
            .lines()
            .find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
        let value = line
            .unwrap_or_else(|| panic!("{sample} is not on the page:\n{page}"))
            .rsplit(' ')
            .next();
        value.and_then(|value| value.parse().ok()).expect("a number")
    }

    /// Asks again until the condition holds. Panics after [`PATIENCE`].
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut(&Server) -> bool) {
        eventually(what, || holds(self));
    }

    pub fn process_id(&self) -> u32 {
        self.process_id as u32
    }

    /// Returns the next line that it prints with these words in it.
    pub fn line_with(&self, words: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => others.push(line),
                Err(_) => panic!("no line has '{words}': {others:?}"),
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill(2) takes two numbers; the process has not been waited for, so its id is its own.
        let status = unsafe { libc::kill(self.process_id, signal) };
        assert_eq!(status, 0);
    }

    /// Stops all threads of the server, and waits until they have stopped. SIGSTOP by itself takes
    /// effect a moment later, until which the server still works.
    pub fn halt(&self) {
        self.signal(libc::SIGSTOP);
        let tasks = format!("/proc/{}/task", self.process_id);
        eventually("it is stopped", || {
            std::fs::read_dir(&tasks).expect("the server's threads").flatten().all(|task| {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
            })
        });
    }

    /// Lets a halted server go on.
    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Lowers the running server's limit of descriptors.
    pub fn limit_descriptors(&self, count: u64) {
        let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
        let id = self.process_id;
        // SAFETY: prlimit(2) reads one structure, which is there, and writes nothing.
        let status =
            unsafe { libc::prlimit(id, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
        assert_eq!(status, 0);
    }

    /// Restarts it by SIGUSR2. Waits until its successor serves and the old process has ended. Returns
    /// the lines that both have printed meanwhile.
    pub fn restart(&mut self) -> Vec<String> {
        // The successor, which this process has not started, must become its child.
        // SAFETY: prctl(2) takes numbers here.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        self.signal(libc::SIGUSR2);
        let (mut lines, mut successor, mut serves) = (Vec::new(), None, false);
        while successor.is_none() || !serves {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{lines:?}"));
            let to = line.split_once(" handed over to=").map(|(_, rest)| rest);
            successor = successor.or(to.and_then(|rest| rest.split(' ').next()?.parse().ok()));
            serves |= line.starts_with(&format!("listening on http://{} ", self.address));
            lines.push(line);
        }
        assert_eq!(self.ended().code(), Some(0), "{lines:?}");
        self.process_id = successor.expect("found above");
        lines
    }

    /// Waits until the process has ended.
    fn ended(&self) -> ExitStatus {
        let start = Instant::now();
        loop {
            let mut status = 0;
            // SAFETY: waitpid(2) writes one number, to where one lives.
            match unsafe { libc::waitpid(self.process_id, &mut status, libc::WNOHANG) } {
                0 => assert!(start.elapsed() < PATIENCE, "the server does not end"),
                id => {
                    assert_eq!(id, self.process_id, "{}", io::Error::last_os_error());
                    return ExitStatus::from_raw(status);
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it has ended. Returns the exit status and the lines printed since it was ready.
    pub fn wait(self) -> (ExitStatus, Vec<String>) {
        let status = self.ended();
        // The drop must not kill the next process that gets this number.
        let server = ManuallyDrop::new(self);
        (status, server.lines.iter().collect())
    }

    /// Returns all further lines, when no process is left that prints. Another test may wait for the
    /// process.
    pub fn lines_to_the_end(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    /// Sends SIGTERM, and returns the final statistics.
    pub fn stop(self) -> Stats {
        self.signal(libc::SIGTERM);
        let (status, lines) = self.wait();
        assert_eq!(status.code(), Some(0), "{lines:?}");
        let last = lines.last().expect("it prints the final statistics");
        let text = last.strip_prefix("final statistics ");
        Stats::parse(text.unwrap_or_else(|| panic!("no final statistics: {lines:?}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        self.ended();
    }
}

/// Asks again until the condition holds. Panics after [`PATIENCE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reads what a program prints to its standard error, line by line.
pub fn lines_of(stderr: ChildStderr) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// The four statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    pub events: u64,
    pub users: u64,
    pub sum: Option<f64>,
    pub average: Option<f64>,
}

impl Stats {
    pub fn parse(text: &str) -> Stats {
        let json: serde_json::Value =
            serde_json::from_str(text).unwrap_or_else(|_| panic!("not JSON: {text}"));
        Stats {
            events: json["totalRequests"].as_u64().expect("a count"),
            users: json["uniqueUsers"].as_u64().expect("a count"),
            sum: json["sum"].as_f64(),
            average: json["avg"].as_f64(),
        }
    }
}

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub content: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.content.clone()).expect("text")
    }

    /// Returns the value of a field. The case of its name does not matter.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A client that sends and receives bytes.
pub struct Client {
    pub stream: TcpStream,
    /// Bytes that were received after the last answer.
    pub received: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream, received: Vec::new() })
    }

    /// Sends everything. It is no error if the server has closed: its answer can still be read.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            result => result.expect("sent"),
        }
    }

    /// Sends each byte as a segment of its own.
    pub fn send_byte_by_byte(&mut self, bytes: &[u8]) {
        for byte in bytes.chunks(1) {
            self.send(byte);
        }
    }

    /// Reads the next answer. Panics if the connection ends before it is whole.
    pub fn answer(&mut self) -> Answer {
        self.try_answer(true).expect("an answer")
    }

    /// Reads the next answer to a `HEAD` request.
    pub fn answer_to_head(&mut self) -> Answer {
        self.try_answer(false).expect("an answer")
    }

    /// Reads the next answer. Returns `None` if the connection ends, by a FIN or by a reset.
    pub fn try_answer(&mut self, with_content: bool) -> Option<Answer> {
        let head_bytes = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.receive() {
                assert!(
                    self.received.is_empty(),
                    "half an answer: {}",
                    self.received.escape_ascii()
                );
                return None;
            }
        };
        let head =
            String::from_utf8(self.received[..head_bytes - 4].to_vec()).expect("a head is text");
        let status =
            head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut answer = Answer { status, head, content: Vec::new() };
        let length = if (100..200).contains(&status) || status == 204 {
            0
        } else {
            answer
                .field("content-length")
                .and_then(|value| value.parse().ok())
                .expect("a Content-Length")
        };
        assert!(status < 200 || answer.field("date").is_some(), "every final answer is dated");
        let length = if with_content { length } else { 0 };
        while self.received.len() < head_bytes + length {
            assert!(self.receive(), "the content is shorter than announced");
        }
        answer.content = self.received[head_bytes..head_bytes + length].to_vec();
        self.received.drain(..head_bytes + length);
        Some(answer)
    }

    /// Returns whether the server has closed and nothing more can be read.
    pub fn is_closed(&mut self) -> bool {
        self.received.is_empty() && !self.receive()
    }

    fn receive(&mut self) -> bool {
        let mut room = [0; 16 * 1024];
        match self.stream.read(&mut room) {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&room[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            // A machine that was suspended interrupts a read that has a time-out.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.receive(),
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

/// Returns a request that counts an event.
pub fn event(user_id: &str, value: f64) -> String {
    post("/event", &format!("{{\"userId\":\"{user_id}\",\"value\":{value:?}}}"))
}

/// Returns a `POST` request with content.
pub fn post(path: &str, content: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

/// Returns a `GET` request.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}
