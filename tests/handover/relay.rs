//! A program that stands between a server and its successor, and does something at a chosen step.
//!
//! The server starts it in the place of its own program. It starts the real one, passes every frame on
//! in both directions, with its descriptors, and counts them. Before it passes on the frame with the
//! number of its plan, it carries the plan out: it kills, stops or signals one of the two.

#![allow(unsafe_code)] // Signals are sent by kill(2), and the channel is taken by its number.

use std::env;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use millrace::sys::passing;

/// What happens to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    KillServer,
    KillSuccessor,
    HaltServer,
    HaltSuccessor,
    StopServer,
    StopSuccessor,
    StopBoth,
    RestartServer,
}

pub const ACTIONS: [Action; 9] = [
    Action::Nothing,
    Action::KillServer,
    Action::KillSuccessor,
    Action::HaltServer,
    Action::HaltSuccessor,
    Action::StopServer,
    Action::StopSuccessor,
    Action::StopBoth,
    Action::RestartServer,
];

impl Action {
    fn signals(self) -> (Option<i32>, Option<i32>) {
        match self {
            Action::Nothing => (None, None),
            Action::KillServer => (Some(libc::SIGKILL), None),
            Action::KillSuccessor => (None, Some(libc::SIGKILL)),
            Action::HaltServer => (Some(libc::SIGSTOP), None),
            Action::HaltSuccessor => (None, Some(libc::SIGSTOP)),
            Action::StopServer => (Some(libc::SIGTERM), None),
            Action::StopSuccessor => (None, Some(libc::SIGTERM)),
            Action::StopBoth => (Some(libc::SIGTERM), Some(libc::SIGTERM)),
            Action::RestartServer => (Some(libc::SIGUSR2), None),
        }
    }
}

const FOLDER: &str = "RELAY_FOLDER";
const ARGUMENTS: &str = "RELAY_ARGUMENTS";

/// Makes the script that starts the relay, for links in the place of a server's program; the plan is
/// beside the link. One script for all: a file that is being written cannot be started, and a process
/// that another thread starts at that moment has it open for a while.
pub fn script(path: &Path) {
    let relay = env::current_exe().expect("this program");
    let text = format!(
        "#!/bin/sh\n{FOLDER}=\"${{0%/*}}\" {ARGUMENTS}=\"$*\" exec '{}' --exact relay_between_two_processes >/dev/null\n",
        relay.display(),
    );
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// Writes the plan of the relay that runs in this folder.
pub fn plan(folder: &Path, action: Action, step: usize) {
    let action = ACTIONS.iter().position(|&other| other == action).expect("one of them");
    fs::write(folder.join("plan"), format!("{action} {step}")).expect("a plan");
}

/// What the relay has written down: the process id of the successor, and the frames it has passed on,
/// each as the direction and the number of its kind.
pub struct Record {
    pub successor: i32,
    pub frames: Vec<(char, u8)>,
    /// Whether the plan was carried out.
    pub done: bool,
}

/// Reads what a relay has written down so far.
pub fn record(folder: &Path) -> Option<Record> {
    let text = fs::read_to_string(folder.join("record")).ok()?;
    let (whole, _) = text.rsplit_once('\n')?;
    let mut lines = whole.lines();
    let successor = lines.next()?.parse().ok()?;
    let (mut frames, mut done) = (Vec::new(), false);
    for line in lines {
        match line.split_once(' ') {
            Some((direction, kind)) => {
                frames.push((direction.chars().next()?, kind.parse().ok()?));
            }
            None => done = true,
        }
    }
    Some(Record { successor, frames, done })
}

/// Returns the process id of the server, whose child, the starter, has started this process.
fn server() -> i32 {
    let starter = fs::read_to_string(format!("/proc/{}/stat", parent_id())).expect("a parent");
    let (_, fields) = starter.rsplit_once(") ").expect("a name in parentheses");
    fields.split(' ').nth(1).expect("a parent").parse().expect("a number")
}

/// The relay itself: does nothing in the process of the tests.
pub fn run() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let plan = fs::read_to_string(folder.join("plan")).expect("a plan");
    let (action, step) = plan.split_once(' ').expect("an action and a step");
    let action = ACTIONS[action.parse::<usize>().expect("a number")];
    let step: usize = step.parse().expect("a number");
    let server = server();
    // SAFETY: the server has opened descriptor 3 for this process, and nothing else here uses it.
    let to_server = UnixStream::from(unsafe { OwnedFd::from_raw_fd(3) });
    let (to_successor, theirs) = UnixStream::pair().expect("a channel");
    // SAFETY: fcntl(2) takes numbers here: programs that this one starts do not get the channel.
    unsafe { libc::fcntl(to_server.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    // The greeting, which is not counted: a successor finds it when it starts.
    assert!(pass_one_on(&to_server, &to_successor, |_| ()), "a greeting");
    let successor = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 3<&0 </dev/null"])
        .arg(env!("CARGO_BIN_EXE_millrace"))
        .args(env::var(ARGUMENTS).expect("arguments").split_whitespace())
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .expect("the successor starts")
        .id() as i32;
    let mut file = fs::File::create(folder.join("record")).expect("a record");
    writeln!(file, "{successor}").expect("written");
    let record = Mutex::new((file, 0));
    let note = |direction: char, kind: u8| {
        let mut record = record.lock().expect("no panic");
        if record.1 == step {
            // Before the server can answer by ending this process.
            writeln!(record.0, "done").expect("written");
            let (to_server, to_successor) = action.signals();
            for (process, signal) in [(successor, to_successor), (server, to_server)] {
                let signal = signal.unwrap_or(0);
                // SAFETY: kill(2) takes numbers.
                unsafe { libc::kill(process, signal) };
            }
        }
        record.1 += 1;
        writeln!(record.0, "{direction} {kind}").expect("written");
    };
    thread::scope(|scope| {
        scope.spawn(|| pass_on(&to_server, &to_successor, |kind| note('>', kind)));
        pass_on(&to_successor, &to_server, |kind| note('<', kind));
    });
    // The successor goes on by itself.
    std::process::exit(0);
}

/// Passes frames on until the end.
fn pass_on(from: &UnixStream, to: &UnixStream, mut note: impl FnMut(u8)) {
    while pass_one_on(from, to, &mut note) {}
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Passes a frame on; false at the end.
fn pass_one_on(from: &UnixStream, mut to: &UnixStream, mut note: impl FnMut(u8)) -> bool {
    let Some((frame, descriptors)) = receive(from) else { return false };
    note(frame[0]);
    let descriptors: Vec<BorrowedFd> = descriptors.iter().map(AsFd::as_fd).collect();
    let sent = passing::send(to.as_fd(), &frame, &descriptors);
    sent.is_ok_and(|sent| to.write_all(&frame[sent..]).is_ok())
}

fn receive(from: &UnixStream) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut frame, mut descriptors) = (vec![0; 5], Vec::new());
    let mut filled = 0;
    while filled < frame.len() {
        match passing::receive(from.as_fd(), &mut frame[filled..], &mut descriptors) {
            Ok(0) | Err(_) => return None,
            Ok(count) => filled += count,
        }
        if filled == 5 {
            let length = u32::from_le_bytes([frame[1], frame[2], frame[3], frame[4]]);
            frame.resize(5 + length as usize, 0);
        }
    }
    Some((frame, descriptors))
}
