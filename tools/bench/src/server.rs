//! A server under measurement: a process group of ours on its own processor.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::machine::{self, Side};

/// How long a server may take to answer for the first time. Java needs long.
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub struct Server {
    child: Child,
    pub port: u16,
}

/// Processor time used so far, in nanoseconds; the kernel counts it in ticks, mostly of 10 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub user_ns: u64,
    pub system_ns: u64,
}

impl Server {
    /// Starts a shell command, in which `{port}` stands for a free port, and waits until it answers.
    pub fn start(command: &str, side: Side) -> Result<Server, String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let command = command.replace("{port}", &port.to_string());
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).process_group(0);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child =
            machine::spawn(&mut shell, side).map_err(|error| format!("{command}: {error}"))?;
        let mut server = Server { child, port };
        let start = Instant::now();
        while server.ask("/stats").is_none() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("{command} ended with {status}"));
            }
            if start.elapsed() > START_PATIENCE {
                return Err(format!("{command} does not answer"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Any answer to a `GET`.
    fn ask(&self, path: &str) -> Option<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: b\r\n\r\n").ok()?;
        (stream.read(&mut [0; 64]).ok()? > 0).then_some(())
    }

    /// Returns a metric without labels, of a server that has `/metrics`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE)).ok()?;
        // In HTTP/1.0 the end of the connection is the end of the answer.
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: b\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Processor time of the whole process group.
    pub fn usage(&self) -> Usage {
        let tick_ns = 1_000_000_000 / clock_ticks_per_second();
        self.members().fold(Usage::default(), |sum, stat| Usage {
            user_ns: sum.user_ns + stat.user_ticks * tick_ns,
            system_ns: sum.system_ns + stat.system_ticks * tick_ns,
        })
    }

    /// Resident memory of the whole process group.
    pub fn resident_bytes(&self) -> u64 {
        let page_bytes = rustix::param::page_size() as u64;
        self.members().map(|stat| stat.resident_pages * page_bytes).sum()
    }

    fn members(&self) -> impl Iterator<Item = Stat> {
        let group = u64::from(self.child.id());
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter_map(|entry| Stat::parse(&fs::read_to_string(entry.path().join("stat")).ok()?))
            .filter(move |stat| stat.group == group)
    }
}

/// What proc_pid_stat(5) has of a process.
struct Stat {
    group: u64,
    user_ticks: u64,
    system_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The name, in brackets, may contain anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Stat {
            group: field(5)?,
            user_ticks: field(14)?,
            system_ticks: field(15)?,
            resident_pages: field(24)?,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(group) = Pid::from_raw(self.child.id() as i32) else { return };
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::TERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > STOP_PATIENCE {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = self.child.wait();
                return;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_any_name_is_read() {
        let rest = " S 1 77 7 0 -1 0 1 2 3 4 150 250 0 0 20 0 3 0 9 1000 42 0";
        let stat = Stat::parse(&format!("5 (a) b ({rest})")).is_none();
        assert!(stat, "the last bracket ends the name");
        let stat = Stat::parse(&format!("5 (a) (b){rest}")).unwrap();
        assert_eq!((stat.group, stat.user_ticks), (77, 150));
        assert_eq!((stat.system_ticks, stat.resident_pages), (250, 42));
    }
}
