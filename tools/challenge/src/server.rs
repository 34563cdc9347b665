//! The server under test: its address, its process if we started it, and its statistics.

#![allow(unsafe_code)] // The child arranges, before it runs, that it does not outlive us.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::answer;

/// How long a server may take to answer for the first time. Java needs long.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to answer a question about statistics.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// The first port that is tried for a server, and the ports that are tried.
const PORTS_START: u16 = 10_000;
const PORT_ATTEMPTS_MAX: u16 = 100;
/// Where Linux begins with the local ports of outgoing connections, unless it is configured.
const OUTGOING_PORTS_START: u16 = 32_768;
/// Pause between two looks at a server that is starting or stopping.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A server that takes the challenge.
pub struct Server {
    /// `host:port` as in the URL.
    pub authority: String,
    pub address: SocketAddr,
    spawned: Option<Spawned>,
}

/// A server that we started.
struct Spawned {
    child: Child,
    /// The shell command, with everything in place.
    command: String,
    /// A directory for the server's state, removed at the end.
    state: Option<PathBuf>,
}

/// The statistics of a server.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Statistics {
    #[serde(rename = "totalRequests")]
    pub events: u64,
    #[serde(rename = "uniqueUsers")]
    pub users: u64,
    pub sum: Option<f64>,
    pub avg: Option<f64>,
}

impl Server {
    /// Returns the server at an `http://` URL.
    pub fn at(url: &str) -> Result<Server, String> {
        let authority =
            url.strip_prefix("http://").ok_or_else(|| format!("{url} must begin with http://"))?;
        let authority = authority.split('/').next().unwrap_or_default();
        let with_port = if authority.rsplit(']').next().is_some_and(|rest| rest.contains(':')) {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let address = with_port
            .to_socket_addrs()
            .map_err(|error| format!("cannot resolve {authority}: {error}"))?
            .next();
        let address = address.ok_or_else(|| format!("{authority} has no address"))?;
        Ok(Server { authority: authority.to_owned(), address, spawned: None })
    }

    /// Starts a server with a shell command on a free port, and waits until it answers.
    pub fn spawn(command: &str) -> Result<Server, String> {
        let port = free_port().map_err(|error| format!("cannot find a free port: {error}"))?;
        let mut command = command.replace("{port}", &port.to_string());
        let mut server = Server::at(&format!("http://127.0.0.1:{port}"))?;
        let mut state = None;
        if command.contains("{state}") {
            let directory = std::env::temp_dir().join(format!("challenge-{}", std::process::id()));
            std::fs::create_dir(&directory)
                .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
            command = command.replace("{state}", &directory.display().to_string());
            state = Some(directory);
        }
        server.spawned = Some(Spawned { child: start(&command)?, command, state });
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Kills the server that we started, as a crash would, and starts it again with the same
    /// command. Returns how long there was no server that answers.
    pub fn kill_and_start(&mut self) -> Result<Duration, String> {
        let spawned =
            self.spawned.as_mut().ok_or("only a server that was spawned can be killed")?;
        let killed_at = Instant::now();
        let killed = spawned.child.kill().and_then(|()| spawned.child.wait());
        killed.map_err(|error| format!("cannot kill the server: {error}"))?;
        spawned.child = start(&spawned.command)?;
        self.wait_until_it_answers()?;
        Ok(killed_at.elapsed())
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while self.statistics().is_err() {
            let Some(Spawned { child, command, .. }) = &mut self.spawned else { return Ok(()) };
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("{command} ended before it answered: {status}"));
            }
            if start.elapsed() > START_PATIENCE {
                return Err(format!("{command} did not answer within {START_PATIENCE:?}"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Asks for the statistics.
    pub fn statistics(&self) -> Result<Statistics, String> {
        let (status, body) =
            self.ask("GET", "/stats").map_err(|error| format!("GET /stats: {error}"))?;
        if status != 200 {
            return Err(format!("GET /stats was answered {status}"));
        }
        serde_json::from_slice(&body)
            .map_err(|error| format!("GET /stats: {error}: {}", String::from_utf8_lossy(&body)))
    }

    /// Makes sure that nothing has been counted yet, by a reset if need be.
    pub fn prepare(&self) -> Result<(), String> {
        if self.statistics()?.events == 0 {
            return Ok(());
        }
        let reset = self.ask("POST", "/reset").map_err(|error| format!("POST /reset: {error}"))?.0;
        if reset == 200 && self.statistics()?.events == 0 {
            return Ok(());
        }
        Err(format!(
            "the server has counted events already, and POST /reset was answered {reset}; restart it (millrace: with --allow-reset)"
        ))
    }

    /// Returns the resident memory of a server that we started, in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        let id = self.spawned.as_ref()?.child.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }

    fn ask(&self, method: &str, path: &str) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect_timeout(&self.address, ANSWER_PATIENCE)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let host = &self.authority;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}Connection: close\r\n\r\n"
        )?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received)?;
        answer::whole(&received)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))
    }

    fn stop(&mut self) {
        let Some(Spawned { mut child, state, .. }) = self.spawned.take() else { return };
        stop(&mut child);
        if let Some(state) = state {
            let _ = std::fs::remove_dir_all(state);
        }
    }
}

fn stop(child: &mut Child) {
    if let Some(id) = Pid::from_raw(child.id() as i32) {
        // It may have ended by itself.
        let _ = kill_process(id, Signal::TERM);
    }
    let start = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if start.elapsed() > STOP_PATIENCE {
            eprintln!("challenge: the server does not stop, and is killed");
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a shell command in our place, so that its process is the server itself.
fn start(command: &str) -> Result<Child, String> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec {command}")).stdin(Stdio::null());
    // Its output would mix with the report.
    shell.stdout(Stdio::null());
    // SAFETY: between fork and exec only prctl(2) is called, which is allowed there.
    unsafe {
        shell.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
    shell.spawn().map_err(|error| format!("cannot start {command}: {error}"))
}

/// Finds a port that is free, and that stays free while the server starts, or starts again after a
/// kill: the kernel takes the local ports of outgoing connections from a range of its own.
fn free_port() -> io::Result<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = range.ok().and_then(|range| range.split_whitespace().next()?.parse().ok());
    let below = first.unwrap_or(OUTGOING_PORTS_START).max(PORTS_START + PORT_ATTEMPTS_MAX);
    // Each RandomState has keys of its own.
    let random = RandomState::new().build_hasher().finish();
    let count = u64::from(below - PORTS_START);
    let mut ports = (0..u64::from(PORT_ATTEMPTS_MAX))
        .map(|attempt| PORTS_START + (random.wrapping_add(attempt) % count) as u16);
    match ports.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
        Some(port) => Ok(port),
        None => Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()),
    }
}
