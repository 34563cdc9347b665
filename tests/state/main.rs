//! A state directory and the real binary: what was answered is there after the next start, also after a
//! crash. What cannot be used is refused, and left as it was.

#![allow(unsafe_code)] // Processes are signalled by their numbers.

mod crash;
mod damage;
mod full;
mod order;
mod reading;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod turns;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use support::command;

/// A place for one test's state directories; removed when dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("state-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&path).expect("a directory for the test");
        Scratch { path }
    }

    /// Returns the path of the state directory, which is not there at first.
    fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Returns the command of a server with this state directory and these arguments.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.arg("--state").arg(self.state());
        command
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
