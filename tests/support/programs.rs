//! Programs that a test needs beside the server, and ports for them.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::skip;

/// Returns whether a program starts with these arguments; otherwise notes that the test is skipped.
pub fn is_installed(program: &str, arguments: &str) -> bool {
    let mut command = Command::new(program);
    let status =
        command.args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_installed = status.is_ok_and(|status| status.success());
    if !is_installed {
        skip(&format!("{program} is not installed"));
    }
    is_installed
}

/// Returns a port that is free. It is below those that the system gives to other sockets, so that none of
/// them takes it before the program does.
pub fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    const PORTS: u32 = 12_000;
    loop {
        let number = std::process::id() + TRIED.fetch_add(1, Ordering::Relaxed);
        let port = (20_000 + number % PORTS) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A proxy; killed when dropped.
pub struct Proxy(pub Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
