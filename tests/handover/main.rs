//! Restarts in which one of the two processes is killed, halted or told to stop, at every step.
//!
//! The two are real; a relay stands between them, see `relay`. After each run exactly one process
//! serves with the exact statistics, or the stop has happened once, or the process that had the state
//! was killed: `handover::model` searches the same cases without processes.

#![allow(unsafe_code)] // Processes are signalled and waited for by their numbers.

#[path = "../support/mod.rs"]
mod support;

mod relay;

use std::fs;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use relay::{ACTIONS, Action, Record};
use support::{Client, Server, Stats, event, eventually, get};

/// Not a test: the relay's process runs it, and it does nothing in others.
#[test]
fn relay_between_two_processes() {
    relay::run();
}

/// Numbers of kinds of frames.
const IMAGE: u8 = 3;
const SERVING: u8 = 8;

const EVENTS: u64 = 40;

/// A server whose program is replaced by a relay.
struct Scene {
    folder: PathBuf,
    /// Not dropped, since it is waited for here.
    server: ManuallyDrop<Server>,
    /// A client with half of a request.
    half: Client,
}

impl Scene {
    /// `script` starts the relay.
    fn new(script: &Path, name: &str, action: Action, step: usize) -> Scene {
        // So that the successor, which this process has not started, becomes its child.
        // SAFETY: prctl(2) takes numbers here.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        let folder = std::env::temp_dir().join(format!("millrace-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let program = folder.join("millrace");
        symlink(env!("CARGO_BIN_EXE_millrace"), &program).expect("a link");
        let mut command = Command::new(&program);
        command.args(["--listen", "127.0.0.1:0", "--workers", "2", "--drain-timeout", "30"]);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let server = Server::run(&mut command);
        for i in 0..EVENTS {
            assert_eq!(server.once(&event(&format!("user_{}", i % 7), 0.5)).status, 200);
        }
        let mut half = server.connect();
        half.send(&event("half", 0.5).as_bytes()[..50]);
        relay::plan(&folder, action, step);
        let new = folder.join("new");
        symlink(script, &new).expect("a link");
        fs::rename(new, program).expect("replaced");
        server.signal(libc::SIGUSR2);
        Scene { folder, server: ManuallyDrop::new(server), half }
    }

    /// Waits until the plan was carried out.
    fn wait(&self, case: &str) -> Record {
        let mut found = None;
        eventually(&format!("{case}: the relay comes to its step"), || {
            found = relay::record(&self.folder).filter(|record| record.done);
            found.is_some()
        });
        found.expect("just found")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let successor = relay::record(&self.folder).map(|record| record.successor);
        for process in [Some(self.server.process_id() as i32), successor].into_iter().flatten() {
            if lives(process) {
                signal(process, libc::SIGKILL);
            }
            // SAFETY: waitpid(2) writes no status where it is given no place for one.
            unsafe { libc::waitpid(process, std::ptr::null_mut(), 0) };
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether a process serves here, with the exact statistics.
fn serves(address: SocketAddr) -> bool {
    let Ok(mut client) = Client::connect(address) else { return false };
    client.send(get("/stats").as_bytes());
    let Some(answer) = client.try_answer(true) else { return false };
    let stats = Stats::parse(&answer.text());
    assert_eq!((stats.events, stats.users, stats.sum), (EVENTS, 7, Some(EVENTS as f64 / 2.0)));
    true
}

/// Whether the process runs, or is halted. One that has ended may be there until it is waited for.
fn lives(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn signal(process: i32, number: i32) {
    // SAFETY: kill(2) takes numbers.
    unsafe { libc::kill(process, number) };
}

/// What must come of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Serves,
    Stopped,
    /// The process that had the state was killed.
    Lost,
    ServesOrStopped,
    ServesOrLost,
}

/// What must come of `action` before the frame `step` is passed on, in a hand-over of these frames.
fn expected(action: Action, step: usize, frames: &[(char, u8)]) -> Expected {
    let last_image = frames.iter().rposition(|&frame| frame == ('>', IMAGE)).expect("an image");
    let serving = frames.iter().position(|&frame| frame == ('<', SERVING)).expect("it serves");
    match action {
        Action::Nothing | Action::HaltServer | Action::HaltSuccessor | Action::RestartServer => {
            Expected::Serves
        }
        Action::StopServer | Action::StopBoth => Expected::Stopped,
        // From when it has the token, it has the state.
        Action::StopSuccessor if step < last_image => Expected::Serves,
        Action::StopSuccessor if step < serving => Expected::ServesOrStopped,
        Action::StopSuccessor => Expected::Stopped,
        Action::KillSuccessor if step < serving => Expected::Serves,
        Action::KillSuccessor => Expected::Lost,
        Action::KillServer if step >= last_image => Expected::Serves,
        // The server may have sent more than was passed on.
        Action::KillServer => Expected::ServesOrLost,
    }
}

/// Runs one hand-over, and judges what comes of it.
fn judge(script: &Path, action: Action, step: usize, frames: &[(char, u8)]) {
    let expected = expected(action, step, frames);
    let case = format!("{action:?} at step {step}, {expected:?}");
    let mut scene = Scene::new(script, &format!("{action:?}-{step}"), action, step);
    let record = scene.wait(&case);
    let (server, successor) = (scene.server.process_id() as i32, record.successor);
    let address = scene.server.address;
    // A process that was halted goes on when the other one has decided.
    let halted = match action {
        Action::HaltServer => Some((server, successor)),
        Action::HaltSuccessor => Some((successor, server)),
        _ => None,
    };
    if let Some((halted, other)) = halted {
        eventually(&format!("{case}: the other process decides"), || {
            !lives(other) || serves_within_patience(address)
        });
        signal(halted, libc::SIGCONT);
    }
    let mut survivors = Vec::new();
    eventually(&case, || {
        survivors = [server, successor].into_iter().filter(|&process| lives(process)).collect();
        match survivors[..] {
            [] => true,
            // It has still to obey.
            [_] if expected == Expected::Stopped => false,
            [process] if action == Action::StopSuccessor && process == successor => false,
            [_] => serves_within_patience(address),
            _ => false,
        }
    });
    if let [process] = survivors[..] {
        assert!(serves(address), "{case}");
        assert!(!matches!(expected, Expected::Stopped | Expected::Lost), "{case}: it serves");
        scene.half.send(&event("half", 0.5).as_bytes()[50..]);
        let status = scene.half.try_answer(true).map(|answer| answer.status);
        assert_eq!(status, Some(200), "{case}: half of a request goes on");
        signal(process, libc::SIGTERM);
        eventually(&format!("{case}: the survivor stops"), || !lives(process));
    }
    let lines = scene.server.lines_to_the_end();
    let finals: Vec<&String> =
        lines.iter().filter(|line| line.starts_with("final statistics")).collect();
    let served = !survivors.is_empty();
    let count = EVENTS + u64::from(served);
    match finals[..] {
        [] => assert!(
            matches!(expected, Expected::Lost | Expected::ServesOrLost) && !served,
            "{case}: {lines:?}"
        ),
        [line] => {
            assert_ne!(expected, Expected::Lost, "{case}: {lines:?}");
            assert!(
                served || matches!(expected, Expected::Stopped | Expected::ServesOrStopped),
                "{case}: {lines:?}"
            );
            assert!(line.contains(&format!("\"totalRequests\":{count},")), "{case}: {lines:?}");
        }
        _ => panic!("{case}: stopped twice: {lines:?}"),
    }
}

/// Whether a process serves here. One that is halted accepts clients, and does not answer.
fn serves_within_patience(address: SocketAddr) -> bool {
    let Ok(mut client) = Client::connect(address) else { return false };
    client.stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).expect("set");
    client.send(get("/health").as_bytes());
    let mut room = [0; 12];
    std::io::Read::read_exact(&mut client.stream, &mut room).is_ok()
}

#[test]
fn either_process_ends_halts_or_is_told_to_stop_at_every_step() {
    let script = std::env::temp_dir().join(format!("millrace-{}-relay.sh", std::process::id()));
    relay::script(&script);
    // The frames of an undisturbed hand-over.
    let scene = Scene::new(&script, "frames", Action::Nothing, 0);
    let record = scene.wait("undisturbed");
    eventually("the server ends", || !lives(scene.server.process_id() as i32));
    let frames = relay::record(&scene.folder).expect("a record").frames;
    signal(record.successor, libc::SIGTERM);
    eventually("the successor stops", || !lives(record.successor));
    drop(scene);
    assert!(frames.len() >= 10, "{frames:?}");
    let cases: Vec<(Action, usize)> = ACTIONS
        .into_iter()
        .flat_map(|action| (0..frames.len()).map(move |step| (action, step)))
        // The last word comes when all is decided, or not at all.
        .filter(|&(_, step)| step <= serving(&frames))
        .collect();
    let cases = Mutex::new(cases);
    thread::scope(|scope| {
        // Most of them wait, for the patience of a process whose other one is halted.
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some((action, step)) = cases.lock().expect("no panic").pop() else {
                        return;
                    };
                    judge(&script, action, step, &frames);
                }
            });
        }
    });
    let _ = fs::remove_file(script);
}

fn serving(frames: &[(char, u8)]) -> usize {
    frames.iter().position(|&frame| frame == ('<', SERVING)).expect("it serves")
}
