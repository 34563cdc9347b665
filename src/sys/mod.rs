//! Calls to the operating system beyond sockets, one file for each subject.
//!
//! This is the only room that calls libc. The others see plain types and `io::Result`, and no constant
//! of the C library. Sockets and readiness are not here: mio and socket2 wrap those. The room needs
//! Linux (`/proc`, coarse clocks, processor masks, seccomp).

pub mod affinity;
pub mod children;
pub mod clock;
pub mod descriptors;
pub mod errors;
pub mod files;
pub mod memory;
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

    /// Runs `body` in a process of its own, because it changes or reads what belongs to the whole process,
    /// and other tests run at the same time. `test` is the full name of the test.
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
