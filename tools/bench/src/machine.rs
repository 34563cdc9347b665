//! The machine: its processors, and which of them a child runs on.

use std::io;
use std::process::{Child, Command};
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which processors a process runs on.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Servers: the first processor.
    Server,
    /// Servers with two workers: the first two.
    WideServer,
    /// Clients: the second, or the only one.
    Client,
}

/// Returns the processors that this process may use.
fn processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// Starts a command that may run on its side's processors only. It is started by a thread of its own,
/// since children inherit the affinity of the thread that starts them.
pub fn spawn(command: &mut Command, side: Side) -> io::Result<Child> {
    let all = processors();
    let chosen: &[usize] = match side {
        Side::Server => &all[..1],
        Side::WideServer => &all[..all.len().min(2)],
        Side::Client => &all[all.len().min(2) - 1..all.len().min(2)],
    };
    let mut set = CpuSet::new();
    chosen.iter().for_each(|&cpu| set.set(cpu));
    thread::scope(|scope| {
        let starter = scope.spawn(|| {
            sched_setaffinity(None, &set)?;
            command.spawn()
        });
        starter.join().expect("starting a process does not panic")
    })
}

/// Returns the names of the processor and the kernel.
pub fn name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} on Linux {}", model.unwrap_or("unknown processor").trim(), kernel.trim())
}

/// Returns a line on what the figures mean on this machine.
pub fn describe() -> String {
    let sides = match processors().len() {
        0 | 1 => {
            "One processor: server and load share it, so rates are of both together. Compare the \
             processor time of a request."
        }
        _ => "The server has one processor, the load another.",
    };
    format!("{}. {sides}", name())
}
