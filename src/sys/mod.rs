//! What the server asks of the operating system beyond sockets, one file a subject.
//!
//! The only room that calls libc: the others see plain types and `io::Result`, never a constant
//! of the C library. Sockets and readiness are not here, mio and socket2 wrap those. Linux is
//! assumed (`/proc`, coarse clocks, processor masks).

pub mod affinity;
pub mod children;
pub mod clock;
pub mod descriptors;
pub mod errors;
pub mod files;
pub mod oom;
pub mod passing;
pub mod process;
pub mod random;
pub mod sandbox;
pub mod signals;
pub mod sockets;
pub mod starter;
pub mod token;

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    /// Runs `body` in a process of its own: what belongs to the whole process changes under a test
    /// while others run beside it. `test` is its full name.
    pub fn alone(test: &str, body: fn()) {
        const CHILD: &str = "MILLRACE_TEST_CHILD";
        if env::var_os(CHILD).is_some() {
            return body();
        }
        let output = Command::new(env::current_exe().unwrap())
            .args([test, "--exact"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && report.contains("1 passed"), "{report}");
    }
}
