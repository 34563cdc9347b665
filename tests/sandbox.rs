//! Every thread of a server is confined, before and after restarts. The starter ends with the server.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Client, Server, event};

/// The names of the threads of a process, and which of these lines their status has.
fn threads(process: u32, lines: &[&str]) -> Vec<(String, Vec<bool>)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("readable");
    tasks
        .filter_map(|task| {
            let status = fs::read_to_string(task.expect("a thread").path().join("status")).ok()?;
            let name = status.lines().next()?.strip_prefix("Name:\t")?.to_owned();
            Some((name, lines.iter().map(|line| status.lines().any(|it| it == *line)).collect()))
        })
        .collect()
}

const CONFINED: [&str; 3] = ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"];

/// Waits until every thread of the server is confined: some confine themselves as they begin.
fn all_are_confined(server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    support::eventually("all threads are confined", || {
        found = threads(server.process_id(), &CONFINED);
        found.iter().all(|(_, confined)| confined.iter().all(|&it| it))
    });
    found.into_iter().map(|(name, _)| name).collect()
}

/// A folder that is removed at the end, with a link to the program.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("millrace-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        symlink(env!("CARGO_BIN_EXE_millrace"), folder.join("millrace")).expect("a link");
        Folder(folder)
    }

    fn program(&self) -> PathBuf {
        self.0.join("millrace")
    }

    fn replace(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let new = self.0.join("new");
        fs::write(&new, script).expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("executable");
        fs::rename(new, self.program()).expect("replaced");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(program: &Path, arguments: &[&str]) -> Server {
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--workers", "2"]).args(arguments).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Server::run(&mut command)
}

#[test]
fn every_thread_is_confined_before_and_after_restarts() {
    for (name, journal) in [("plain", false), ("state", true)] {
        let folder = Folder::new(&format!("confined-{name}"));
        let state = folder.0.join("state");
        let state = state.to_str().expect("UTF-8");
        let arguments: &[&str] =
            if journal { &["--access-log", "--state", state] } else { &["--access-log"] };
        let mut server = start(&folder.program(), arguments);
        let names = all_are_confined(&server);
        for thread in ["millrace", "worker-0", "worker-1", "join", "signals", "main-log"] {
            assert!(names.iter().any(|it| it == thread), "{thread}: {names:?}");
        }
        assert!(names.iter().any(|it| it.starts_with("journal")) == journal, "{names:?}");
        assert_eq!(server.once(&event("a", 1.0)).status, 200);

        server.restart();
        all_are_confined(&server);
        assert_eq!(server.once(&event("b", 1.0)).status, 200);

        // One that fails when the workers have stopped, so that others are started.
        let many: Vec<Client> = (0..200).map(|_| server.connect()).collect();
        let original = env!("CARGO_BIN_EXE_millrace");
        folder.replace(&format!("#!/bin/sh\nulimit -n 115; exec {original} \"$@\"\n"));
        server.signal(libc::SIGUSR2);
        assert!(server.line_with("no restart").contains("cannot go on"));
        drop(many);
        assert_eq!(server.once(&event("c", 1.0)).status, 200);
        all_are_confined(&server);
        assert_eq!(server.stop().events, 3, "{name}");
    }
}

#[test]
fn the_sandbox_can_be_turned_off() {
    let mut server = Server::start(&["--sandbox=no"]);
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
    server.restart();
    let confined = threads(server.process_id(), &CONFINED[..2]);
    assert!(confined.iter().all(|(_, confined)| !confined[0] && !confined[1]), "{confined:?}");
    assert_eq!(server.stop().events, 1);
}

#[test]
fn the_starter_has_the_arguments_of_the_server_and_ends_with_it() {
    let folder = Folder::new("changed");
    let server = start(&folder.program(), &[]);
    // The starter is the only child, and has what the successor will have.
    let children = format!("/proc/{0}/task/{0}/children", server.process_id());
    let children = fs::read_to_string(children).expect("readable");
    let starter: u32 = children.trim().parse().expect("one child");
    let of =
        |process: u32, file: &str| fs::read(format!("/proc/{process}/{file}")).expect("readable");
    assert_eq!(of(starter, "cmdline"), of(server.process_id(), "cmdline"));
    // The starter does this itself, while the server starts.
    support::eventually("the starter has given up its rights", || {
        let status = String::from_utf8(of(starter, "status")).expect("text");
        status.contains("NoNewPrivs:\t1\n") && status.contains("CapEff:\t0000000000000000\n")
    });
    // It holds nothing of the server but its own socket and the standard streams.
    let descriptors = fs::read_dir(format!("/proc/{starter}/fd")).expect("readable").count();
    assert!(descriptors <= 4 + inherited(), "{descriptors}");
    assert_eq!(server.stop().events, 0);
    support::eventually("the starter ends with the server", || {
        fs::read_to_string(format!("/proc/{starter}/stat"))
            .map_or(true, |stat| stat.contains(") Z "))
    });
}

/// Descriptors beyond the standard streams that programs inherit from this process.
fn inherited() -> usize {
    let output = Command::new("sh")
        .args(["-c", "ls /proc/$$/fd | wc -l"])
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let count: usize = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    count.saturating_sub(3)
}
