//! A small process that starts the successor of a server.
//!
//! Which program a restart starts, with which arguments and environment, must not be decided by memory
//! that workers can write: an intruder in a worker would change it and ask for a restart. So the main
//! thread forks this process before there are other threads and before there are clients. The starter
//! has a copy of the arguments and of the environment that no thread of the server can reach, and starts
//! the program when it is asked over a socket. It takes two words:
//!
//! ```text
//! server                                    starter
//! Start, with the end of a channel     ──►  starts the program, which has the channel as a descriptor
//!                                      ◄──  its process id, or an error
//! End                                  ──►  kills the program that it has started, and waits for it
//!                                      ◄──  no error
//! ```
//!
//! So all that an intruder can ask for is the program that an operator's restart starts, once at a
//! time. The server needs no right to start programs, see [`sandbox`](mod@super::sandbox).
//!
//! The starter ends with the server: it sees the end of the socket. A program that it has started goes
//! on, as the child of the process that adopts orphans. Signals that are sent to all processes of the
//! service, such as those of a terminal or of systemd, do not end it: it inherits from the server that
//! they are blocked ([`Signals::block`](super::signals::Signals::block)).

#![allow(unsafe_code)] // fork(2), fcntl(2), close(2), prctl(2) and _exit(2) are not in std.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::children::Child;
use super::errors::check;
use super::{passing, sandbox};

/// What the starter starts.
#[derive(Debug)]
pub struct Program {
    /// The program; a bare name is looked for in `PATH`.
    pub path: OsString,
    /// Its arguments, of which the first is its own name.
    pub arguments: Vec<OsString>,
    /// Its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The descriptor at which it finds its channel.
    pub channel: RawFd,
    /// Whether the starter, and so the program, gives up its privileges.
    pub gives_up_privileges: bool,
}

/// The server's end.
#[derive(Debug)]
pub struct Starter {
    line: Mutex<Line>,
}

/// A program that was started. It goes on when this is dropped.
#[derive(Debug)]
pub struct Started<'s> {
    starter: &'s Starter,
    id: u32,
    ended: bool,
}

/// Two ends of a socket, one for each process.
#[derive(Debug)]
struct Line {
    socket: UnixStream,
    /// The number of the last request, so that a late answer is not taken for that to the next one.
    number: u8,
}

const START: u8 = 1;
const END: u8 = 2;
/// A request: what, and its number.
type Ask = [u8; 2];
/// An answer: the number, an error of the system or 0, a process id or 0.
type Answer = [u8; 9];

/// Descriptors below this one may be passed by the parent of this process, which is not known yet
/// when the starter is launched.
const FIRST_OWN_DESCRIPTOR: RawFd = 16;

impl Starter {
    /// Forks the starter. Must be called while this process has one thread, after
    /// [`Signals::block`](super::signals::Signals::block). `patience` is how long an answer of it may
    /// take.
    ///
    /// # Errors
    /// Those of socketpair(2) and fork(2).
    pub fn launch(program: &Program, patience: Duration) -> io::Result<Starter> {
        let (ours, theirs) = UnixStream::pair()?;
        let (ours, theirs) = (raised(ours)?, raised(theirs)?);
        ours.set_read_timeout(Some(patience))?;
        ours.set_write_timeout(Some(patience))?;
        // SAFETY: this process has one thread, so that the child is whole and may run any code.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // Else the starter would not see the end of the server.
                drop(ours);
                let _ = catch_unwind(AssertUnwindSafe(|| serve(&theirs, program)));
                // SAFETY: _exit(2) takes a number. It leaves alone what belongs to the server.
                unsafe { libc::_exit(0) }
            }
            _ => Ok(Starter { line: Mutex::new(Line { socket: ours, number: 0 }) }),
        }
    }

    /// Starts the program with its end of `channel`. Fails with `EBUSY` as long as a program that was
    /// started before has not ended.
    ///
    /// # Errors
    /// Those of posix_spawn(3); `TimedOut` if the starter does not answer, `UnexpectedEof` if it has
    /// ended.
    pub fn start(&self, channel: BorrowedFd<'_>) -> io::Result<Started<'_>> {
        let id = self.ask(START, &[channel])?;
        Ok(Started { starter: self, id, ended: false })
    }

    fn ask(&self, what: u8, descriptors: &[BorrowedFd<'_>]) -> io::Result<u32> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.number = line.number.wrapping_add(1);
        let request: Ask = [what, line.number];
        passing::send(line.socket.as_fd(), &request, descriptors).map_err(in_words)?;
        let mut answer = Answer::default();
        loop {
            (&line.socket).read_exact(&mut answer).map_err(in_words)?;
            if answer[0] == line.number {
                break;
            }
        }
        let [_, e0, e1, e2, e3, id @ ..] = answer;
        match i32::from_le_bytes([e0, e1, e2, e3]) {
            0 => Ok(u32::from_le_bytes(id)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl Started<'_> {
    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Kills it, if it has not ended by itself, and waits for its end.
    ///
    /// # Errors
    /// If the starter has ended or does not answer; then the program may go on.
    pub fn end(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.starter.ask(END, &[])?;
        self.ended = true;
        Ok(())
    }
}

/// Moves the socket to a descriptor that no parent can have passed.
fn raised(socket: UnixStream) -> io::Result<UnixStream> {
    let (fd, command) = (socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC);
    // SAFETY: fcntl(2) takes numbers for this command.
    let raised = unsafe { libc::fcntl(fd, command, FIRST_OWN_DESCRIPTOR) };
    check(raised)?;
    // SAFETY: the kernel has just opened it, so nothing else owns it.
    Ok(UnixStream::from(unsafe { OwnedFd::from_raw_fd(raised) }))
}

fn in_words(error: io::Error) -> io::Error {
    let (kind, words) = match error.kind() {
        ErrorKind::WouldBlock => {
            (ErrorKind::TimedOut, "the process that starts programs does not answer in time")
        }
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
            (ErrorKind::UnexpectedEof, "the process that starts programs has ended")
        }
        _ => return error,
    };
    io::Error::new(kind, words)
}

/// The life of the starter: answers requests until the server has ended.
fn serve(socket: &UnixStream, program: &Program) {
    // The name in lists of processes; 15 bytes at the most.
    // SAFETY: prctl(2) reads a string that ends in zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"millrace-start".as_ptr()) };
    // What the parent of the server has passed at this number is not for the starter, and a channel
    // there would not end with the server. Other descriptors that the parent leaves open are for the
    // server and for its successors.
    // SAFETY: close(2) takes a number, and the starter does not use this descriptor.
    unsafe { libc::close(program.channel) };
    if program.gives_up_privileges {
        // The server warns if that does not work.
        let _ = sandbox::give_up_privileges();
    }
    let mut child: Option<Child> = None;
    loop {
        let (mut request, mut sockets) = (Ask::default(), Vec::new());
        match passing::receive(socket.as_fd(), &mut request, &mut sockets) {
            Ok(count) if count == request.len() => {}
            _ => return,
        }
        let outcome = match request[0] {
            START => match sockets.pop() {
                Some(channel) => start(program, channel, &mut child),
                None => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            },
            END => {
                child.take().iter_mut().for_each(Child::end);
                Ok(0)
            }
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        };
        let (error, id) = match outcome {
            Ok(id) => (0, id),
            Err(error) => (error.raw_os_error().unwrap_or(libc::EINVAL), 0),
        };
        let mut answer = Answer::default();
        answer[0] = request[1];
        answer[1..5].copy_from_slice(&error.to_le_bytes());
        answer[5..].copy_from_slice(&id.to_le_bytes());
        let mut socket = socket;
        if socket.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Starts the program, unless the one that was started before still runs.
fn start(program: &Program, channel: OwnedFd, child: &mut Option<Child>) -> io::Result<u32> {
    if child.as_mut().is_some_and(|child| !child.has_ended()) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let started = Child::start(
        &program.path,
        program.arguments.iter().cloned(),
        program.environment.iter().cloned(),
        channel.as_fd(),
        program.channel,
    )?;
    let id = started.id();
    *child = Some(started);
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::super::signals::Signals;
    use super::super::tests::alone;
    use super::*;
    use std::fs;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A shell that runs this script as the program, with its channel as descriptor 3.
    fn shell(script: &str) -> Program {
        Program {
            path: "sh".into(),
            arguments: ["sh", "-c", script].map(OsString::from).into(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "b".into())],
            channel: 3,
            gives_up_privileges: true,
        }
    }

    fn channel() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        (ours, theirs)
    }

    fn read_to_end(mut channel: UnixStream) -> String {
        let mut text = String::new();
        channel.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_program_is_started_again_and_again_with_its_channel() {
        alone("sys::starter::tests::a_program_is_started_again_and_again_with_its_channel", || {
            Signals::block().unwrap();
            let script = "echo $$ $A $HOME >&3; grep NoNewPrivs /proc/$$/status >&3";
            let starter = Starter::launch(&shell(script), PATIENCE).unwrap();
            for _ in 0..300 {
                let (ours, theirs) = channel();
                let mut started = starter.start(theirs.as_fd()).unwrap();
                drop(theirs);
                let text = read_to_end(ours);
                assert_eq!(text, format!("{} b\nNoNewPrivs:\t1\n", started.id()));
                started.end().unwrap();
                started.end().unwrap();
            }
        });
    }

    #[test]
    fn one_program_runs_at_a_time_and_ends_when_it_is_told() {
        alone("sys::starter::tests::one_program_runs_at_a_time_and_ends_when_it_is_told", || {
            Signals::block().unwrap();
            let starter = Starter::launch(&shell("exec sleep 1000"), PATIENCE).unwrap();
            for _ in 0..3 {
                let (ours, theirs) = channel();
                let mut started = starter.start(theirs.as_fd()).unwrap();
                let error = starter.start(theirs.as_fd()).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
                drop(theirs);
                started.end().unwrap();
                assert_eq!(read_to_end(ours), "");
                assert!(fs::metadata(format!("/proc/{}", started.id())).is_err(), "waited for");
            }
        });
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        alone("sys::starter::tests::what_is_no_program_is_an_error", || {
            Signals::block().unwrap();
            let (_ours, theirs) = channel();
            for (path, error) in [
                ("/nonexistent/program", libc::ENOENT),
                ("/dev/null", libc::EACCES),
                ("with\0zero", libc::EINVAL),
            ] {
                let program = Program { path: path.into(), ..shell("") };
                let starter = Starter::launch(&program, PATIENCE).unwrap();
                for _ in 0..2 {
                    let found = starter.start(theirs.as_fd()).unwrap_err();
                    assert_eq!(found.raw_os_error(), Some(error), "{path:?}");
                }
            }
        });
    }

    #[test]
    fn the_starter_outlives_signals_and_ends_with_the_server() {
        alone("sys::starter::tests::the_starter_outlives_signals_and_ends_with_the_server", || {
            Signals::block().unwrap();
            let starter = Starter::launch(&shell("ps -o ppid= $$ >&3"), PATIENCE).unwrap();
            let start = || {
                let (ours, theirs) = channel();
                let mut started = starter.start(theirs.as_fd()).unwrap();
                drop(theirs);
                let text = read_to_end(ours);
                started.end().unwrap();
                text.trim().parse::<libc::pid_t>().unwrap()
            };
            let process = start();
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR2]
            {
                // SAFETY: kill(2) takes numbers; the starter is a child that was not waited for.
                assert_eq!(unsafe { libc::kill(process, signal) }, 0);
            }
            assert_eq!(start(), process);
            drop(starter);
            let mut status = 0;
            // SAFETY: waitpid(2) writes a number to where one lives.
            assert_eq!(unsafe { libc::waitpid(process, &mut status, 0) }, process);
            assert_eq!(status, 0);
        });
    }

    #[test]
    fn a_starter_that_has_ended_or_hangs_is_an_error() {
        alone("sys::starter::tests::a_starter_that_has_ended_or_hangs_is_an_error", || {
            Signals::block().unwrap();
            let starter = Starter::launch(&shell("ps -o ppid= $$ >&3"), PATIENCE).unwrap();
            let (ours, theirs) = channel();
            let mut started = starter.start(theirs.as_fd()).unwrap();
            drop(theirs);
            let process: libc::pid_t = read_to_end(ours).trim().parse().unwrap();
            let signal = |signal| {
                // SAFETY: kill(2) takes numbers; the starter is a child that was not waited for.
                assert_eq!(unsafe { libc::kill(process, signal) }, 0);
            };
            starter
                .line
                .lock()
                .unwrap()
                .socket
                .set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            signal(libc::SIGSTOP);
            assert_eq!(started.end().unwrap_err().kind(), ErrorKind::TimedOut);
            signal(libc::SIGCONT);
            starter.line.lock().unwrap().socket.set_read_timeout(Some(PATIENCE)).unwrap();
            // The late answer is not taken for the next one.
            let (_ours, theirs) = channel();
            let mut next = starter.start(theirs.as_fd()).unwrap();
            assert_ne!(next.id(), 0);
            next.end().unwrap();
            signal(libc::SIGKILL);
            assert_eq!(starter.start(theirs.as_fd()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        });
    }
}
