//! A token that two processes hold and that only one of them can take.
//!
//! It is an eventfd(2) with the count 1. Reading it takes the count away in one step of the kernel, so
//! of two processes that try at the same time one succeeds. It needs no other process to answer, to be
//! awake, or to live.

#![allow(unsafe_code)] // eventfd(2) is not in std.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// One end of a token. All ends are the same open file.
#[derive(Debug)]
pub struct Token(File);

impl Token {
    /// Makes a token, which is there to be taken.
    ///
    /// # Errors
    /// Those of eventfd(2).
    pub fn new() -> io::Result<Token> {
        // SAFETY: eventfd(2) takes numbers.
        match unsafe { libc::eventfd(1, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: the kernel has just opened it for us, so this is its only owner.
            fd => Ok(Token(unsafe { File::from_raw_fd(fd) })),
        }
    }

    /// Takes the token. Returns whether it was there: it is given to one caller in all processes.
    ///
    /// # Errors
    /// If the descriptor is no token.
    pub fn take(&self) -> io::Result<bool> {
        loop {
            match (&self.0).read(&mut [0; 8]) {
                Ok(8) => return Ok(true),
                Ok(_) => return Err(ErrorKind::InvalidData.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Token {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Token {
    fn from(descriptor: OwnedFd) -> Token {
        Token(descriptor.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn a_token_is_taken_once_whichever_end_takes_it() {
        for _ in 0..100 {
            let token = Token::new().unwrap();
            let other = Token::from(token.as_fd().try_clone_to_owned().unwrap());
            let start = Barrier::new(2);
            let taken = thread::scope(|scope| {
                [&token, &other]
                    .map(|end| {
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            end.take().unwrap()
                        })
                    })
                    .map(|thread| thread.join().unwrap())
            });
            assert_eq!(taken.into_iter().filter(|&taken| taken).count(), 1);
            assert!(!token.take().unwrap() && !other.take().unwrap());
        }
    }

    #[test]
    fn another_descriptor_is_no_token() {
        let file = File::open("/dev/null").unwrap();
        assert!(Token::from(OwnedFd::from(file)).take().is_err());
    }
}
