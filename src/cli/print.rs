//! Text to standard output, for programs that print something and exit.
//!
//! `print!` panics when standard output cannot be written. Here a reader that has gone away, as in
//! `--help | head -1`, is a quiet end: it has read all it wanted. Everything else is an error that the
//! caller reports.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

/// The pause before the next attempt to write to a pipe that is full and does not block.
const RETRY: Duration = Duration::from_millis(10);

/// Prints `text` to standard output, all of it.
///
/// # Errors
/// If standard output cannot be written, for instance because its disk is full.
pub fn print(text: &str) -> io::Result<()> {
    write_all(&mut io::stdout().lock(), text.as_bytes())
}

fn write_all(output: &mut impl Write, mut rest: &[u8]) -> io::Result<()> {
    loop {
        let outcome = match rest {
            [] => output.flush().map(|()| 0),
            _ => output.write(rest),
        };
        match outcome {
            Ok(_) if rest.is_empty() => return Ok(()),
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes, then fails once with each of the errors, and takes three more.
    struct Output {
        taken: Vec<u8>,
        errors: Vec<ErrorKind>,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.taken.len() == 3
                && let Some(error) = self.errors.pop()
            {
                return Err(error.into());
            }
            let count = bytes.len().min(3);
            self.taken.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_passes_is_waited_for_and_a_reader_that_left_is_no_error() {
        for (errors, taken, kind) in [
            (vec![ErrorKind::Interrupted, ErrorKind::WouldBlock], "0123456789", None),
            (vec![ErrorKind::BrokenPipe], "012", None),
            (vec![ErrorKind::StorageFull], "012", Some(ErrorKind::StorageFull)),
        ] {
            let mut output = Output { taken: Vec::new(), errors };
            let outcome = write_all(&mut output, b"0123456789");
            assert_eq!(outcome.map_err(|error| error.kind()).err(), kind);
            assert_eq!(output.taken, taken.as_bytes());
        }
    }
}
