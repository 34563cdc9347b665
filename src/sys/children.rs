//! Starting a program with an open socket at a certain descriptor, and ending it.
//!
//! This uses posix_spawn(3), because std's way of starting programs would add some 40 KB of machine
//! code, a twentieth of the program, and nothing that is needed here.
//!
//! The process id of a child is its own until it was waited for: that needs [`Signals::block`], which
//! takes care that the kernel does not wait for children by itself.
//!
//! [`Signals::block`]: super::signals::Signals::block

#![allow(unsafe_code)] // posix_spawn(3) and waitpid(2) are not in std.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

/// A program that was started. It goes on when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: libc::pid_t,
    /// Whether it was waited for, so that the id may belong to another process by now.
    ended: bool,
}

impl Child {
    /// Starts `program`, looked for in `PATH` if it is a bare name, with `arguments`, of which the
    /// first is its own name, with `environment`, and with `socket` as its descriptor `number`. It
    /// has the standard streams of this process, and every descriptor that is not closed by exec.
    ///
    /// # Errors
    /// Those of posix_spawn(3); `InvalidInput` for a string with a zero byte in it.
    pub fn start(
        program: &OsStr,
        arguments: impl Iterator<Item = OsString>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        socket: BorrowedFd<'_>,
        number: RawFd,
    ) -> io::Result<Child> {
        let program = CString::new(program.as_bytes())?;
        let arguments = Strings::new(arguments)?;
        let variables = environment.map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        });
        let environment = Strings::new(variables)?;
        let actions = Actions::pass(socket, number)?;
        let mut process = 0;
        // SAFETY: all strings end in zero, both lists in null, and all of them live for the call,
        // which does not change them.
        let error = unsafe {
            libc::posix_spawnp(
                &mut process,
                program.as_ptr(),
                &actions.0,
                ptr::null(),
                arguments.pointers.as_ptr(),
                environment.pointers.as_ptr(),
            )
        };
        check(error).map(|()| Child { process, ended: false })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.cast_unsigned()
    }

    /// Returns whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        if !self.ended {
            // SAFETY: waitpid(2) writes no status where it is given no place for one.
            let waited = unsafe { libc::waitpid(self.process, ptr::null_mut(), libc::WNOHANG) };
            self.ended = waited == self.process;
        }
        self.ended
    }

    /// Kills it, if it has not ended by itself, and waits for its end.
    pub fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        // SAFETY: kill(2) takes numbers; the child was not waited for, so the id is its own.
        unsafe { libc::kill(self.process, libc::SIGKILL) };
        loop {
            // SAFETY: waitpid(2) writes no status where it is given no place for one.
            let waited = unsafe { libc::waitpid(self.process, ptr::null_mut(), 0) };
            if waited != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }
}

/// Strings as C has them: a list of pointers that ends in null.
struct Strings {
    pointers: Vec<*mut libc::c_char>,
    /// What they point to.
    _owned: Vec<CString>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = OsString>) -> io::Result<Strings> {
        let owned: Vec<CString> =
            strings.map(|string| CString::new(string.into_vec())).collect::<Result<_, _>>()?;
        let pointers = owned.iter().map(|string| string.as_ptr().cast_mut());
        Ok(Strings { pointers: pointers.chain([ptr::null_mut()]).collect(), _owned: owned })
    }
}

/// What happens in the child before the program starts.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    /// `socket` becomes descriptor `number`.
    fn pass(socket: BorrowedFd<'_>, number: RawFd) -> io::Result<Actions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the call makes a list of what is there.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: it was made just now.
        let mut actions = Actions(unsafe { actions.assume_init() });
        let fd = socket.as_raw_fd();
        // SAFETY: the list is ours, and the descriptors are numbers to it.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut actions.0, fd, number) })?;
        Ok(actions)
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: it was made in `pass` and is used no more.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

fn check(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn shell(script: &str, socket: &UnixStream) -> Child {
        let arguments = ["sh", "-c", script].map(OsString::from);
        let environment = [("GREETING", "hello")].map(|(name, value)| (name.into(), value.into()));
        Child::start(
            OsStr::new("sh"),
            arguments.into_iter(),
            environment.into_iter(),
            socket.as_fd(),
            3,
        )
        .unwrap()
    }

    #[test]
    fn a_program_has_its_socket_and_its_environment_and_nothing_else() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut child = shell("read line <&3; echo $GREETING $line $HOME >&3", &theirs);
        assert_ne!(child.id(), std::process::id());
        drop(theirs);
        ours.write_all(b"you\n").unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello you\n");
        child.end();
    }

    #[test]
    fn a_child_ends_when_it_is_told() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut child = shell("exec sleep 1000", &theirs);
        drop(theirs);
        child.end();
        child.end();
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        for program in ["/nonexistent/program", "/dev/null", "with\0zero"] {
            let nothing = || std::iter::empty();
            let started =
                Child::start(OsStr::new(program), nothing(), std::iter::empty(), ours.as_fd(), 3);
            assert!(started.is_err(), "{program:?}");
        }
    }
}
