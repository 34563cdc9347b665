//! The server under test: its process, its own figures, and the memory and descriptors it holds.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::wire::{Wire, get};

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const LOOKS: usize = 10;

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// What it prints after it is ready.
    lines: Receiver<String>,
}

/// What a server holds when only the connection that asks is open.
pub struct Footprint {
    pub resident_bytes: u64,
    pub descriptors: usize,
    pub users: u64,
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.resident_bytes as f64 / 1e6;
        write!(f, "{megabytes:.2} MB, {} descriptors, {} users", self.descriptors, self.users)
    }
}

#[derive(Debug, PartialEq)]
pub struct Statistics {
    pub events: u64,
    pub users: u64,
    pub sum: f64,
    pub average: f64,
}

impl Statistics {
    pub fn parse(text: &str) -> Result<Statistics, String> {
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))?;
        let number = |name| json[name].as_f64().ok_or_else(|| format!("no {name} in {text}"));
        let count = |name| json[name].as_u64().ok_or_else(|| format!("no {name} in {text}"));
        Ok(Statistics {
            events: count("totalRequests")?,
            users: count("uniqueUsers")?,
            sum: number("sum")?,
            average: number("avg")?,
        })
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statistics { events, users, sum, average } = self;
        write!(f, "{events} events of {users} users, sum {sum}, average {average}")
    }
}

impl Server {
    /// Starts a millrace on a port that the system chooses.
    pub fn start(millrace: &Path, arguments: &[&str]) -> Result<Server, String> {
        let mut child = Command::new(millrace)
            .args(["--listen", "127.0.0.1:0", "--log-level", "warn"])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", millrace.display()))?;
        let stderr = child.stderr.take().expect("it is piped");
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                println!("server: {line}");
                let _ = send.send(line);
            }
        });
        let line = lines.recv_timeout(PATIENCE).map_err(|_| "the server does not start")?;
        let address = line
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .ok_or(line)?;
        Ok(Server { child, address, lines })
    }

    pub fn metrics(&self) -> Result<String, String> {
        let mut wire = Wire::connect(self.address)?;
        wire.send(get("/metrics").as_bytes())?;
        String::from_utf8(wire.answer()?.content).map_err(|error| error.to_string())
    }

    pub fn metric(&self, sample: &str) -> Result<f64, String> {
        let page = self.metrics()?;
        let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).ok_or_else(|| format!("no {sample} in metrics"))
    }

    /// Returns why connections were closed, as the server counted.
    pub fn closings(&self) -> Result<String, String> {
        let page = self.metrics()?;
        let prefix = "millrace_connections_closed_total{reason=";
        let closings = page.lines().filter_map(|line| line.strip_prefix(prefix));
        let closings: Vec<_> = closings
            .map(|line| line.replace(['"', '}'], ""))
            .filter(|line| !line.ends_with(" 0"))
            .collect();
        Ok(format!("closed: {}", closings.join(", ")))
    }

    /// Waits until all connections but one's own have ended.
    pub fn wait_until_alone(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let page = self.metrics()?;
            let lines =
                page.lines().filter(|line| line.starts_with("millrace_worker_connections{"));
            let open: f64 =
                lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
            if open <= 1.0 {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("{open} connections are still open, though all clients left"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    pub fn footprint(&self) -> Result<Footprint, String> {
        let process = format!("/proc/{}", self.child.id());
        let status =
            std::fs::read_to_string(format!("{process}/status")).map_err(|e| e.to_string())?;
        let kilobytes = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        // The connection of the last question may still be closing: the least of some looks counts.
        let descriptors = (0..LOOKS).map(|_| {
            thread::sleep(LOOK_INTERVAL);
            Ok(std::fs::read_dir(format!("{process}/fd")).map_err(|e| e.to_string())?.count())
        });
        let descriptors = descriptors.collect::<Result<Vec<usize>, String>>()?;
        Ok(Footprint {
            resident_bytes: 1024 * kilobytes.ok_or("no VmRSS")?,
            descriptors: descriptors.into_iter().min().unwrap_or_default(),
            users: self.metric("millrace_unique_users")? as u64,
        })
    }

    /// Sends SIGTERM and returns the final statistics.
    pub fn stop(mut self) -> Result<Statistics, String> {
        let id = Pid::from_raw(self.child.id() as i32).expect("a process has an id");
        kill_process(id, Signal::TERM).map_err(|error| format!("cannot stop it: {error}"))?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                break status;
            }
            if start.elapsed() > PATIENCE {
                return Err("the server does not stop".into());
            }
            thread::sleep(LOOK_INTERVAL);
        };
        if !status.success() {
            return Err(format!("the server ended with {status}"));
        }
        let last = self.lines.iter().last().ok_or("it printed no final statistics")?;
        Statistics::parse(last.strip_prefix("final statistics ").ok_or(last.clone())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a stop there is no process to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_to_the_last_bit() {
        let text = r#"{"totalRequests":38679156,"uniqueUsers":592316,"sum":19028308318.5,"avg":491.95252136577125}"#;
        let statistics = Statistics::parse(text).unwrap();
        assert_eq!(statistics.average, 19_028_308_318.5 / 38_679_156.0);
    }
}
