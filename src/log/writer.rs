//! Whole lines to an output that may be slow, full or gone.
//!
//! - A pipe takes up to `PIPE_BUF` bytes in one piece or not at all (pipe(7)), so lines go to it in
//!   writes of at most this size: lines of several processes never mix, and a line is never cut in
//!   half, also if the process ends while it waits for the reader. The same size is used for
//!   terminals, sockets and devices. A file takes large writes.
//! - An output that does not block returns an error when it is full. The writer tries again after a pause.
//! - After any other error the rest of the lines is lost, but for one thing: if a file took the
//!   beginning of a line, which happens when a disk becomes full, the rest of this line is kept and
//!   goes first the next time. So no line begins in the middle of another one.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::limits::{LOG_LINE_BYTES_MAX, LOG_RETRY_MS, LOG_WRITE_BYTES_MAX};

/// An output, and the rest of a line that it took only in part.
pub(super) struct Writer<'a, W> {
    output: W,
    /// Grows with every write, so that other threads can see whether the output takes anything.
    bytes_written: &'a AtomicU64,
    write_bytes_max: usize,
    torn: Vec<u8>,
}

/// Lines that could not be written.
#[derive(Debug)]
pub(super) struct Loss {
    pub lines: u64,
    pub error: io::Error,
}

impl<'a, W: Write> Writer<'a, W> {
    /// Makes a writer to a file or, if `is_file` is false, to anything else.
    pub fn new(output: W, is_file: bool, bytes_written: &'a AtomicU64) -> Self {
        let write_bytes_max = if is_file { LOG_WRITE_BYTES_MAX } else { LOG_LINE_BYTES_MAX };
        Self { output, bytes_written, write_bytes_max, torn: Vec::new() }
    }

    /// Writes these lines, however long the output takes.
    ///
    /// # Errors
    /// The number of lines that are lost, and why.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), Loss> {
        if let Err((_, error)) = self.write_torn() {
            return Err(Loss { lines: count(lines), error });
        }
        let mut rest = lines;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(whole_lines(rest, self.write_bytes_max));
            if let Err((written, error)) = self.write_all(chunk) {
                let lost = self.tear(&rest[..written], &rest[written..], &error);
                return Err(Loss { lines: count(lost), error });
            }
            rest = behind;
        }
        Ok(())
    }

    fn write_torn(&mut self) -> Result<(), (usize, io::Error)> {
        let mut torn = std::mem::take(&mut self.torn);
        let outcome = self.write_all(&torn);
        if let Err((written, _)) = outcome {
            torn.drain(..written);
            self.torn = torn;
        }
        outcome
    }

    /// Writes all bytes. An error comes with the number of bytes that were written before.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.output.write(&bytes[written..]) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    self.bytes_written.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(LOG_RETRY_MS));
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Keeps the rest of a line whose beginning is `written`. Returns what is lost of `rest`.
    fn tear<'l>(&mut self, written: &[u8], rest: &'l [u8], error: &io::Error) -> &'l [u8] {
        // The reader of a broken pipe took the beginning with it.
        let is_gone = error.kind() == ErrorKind::BrokenPipe;
        if is_gone || written.is_empty() || written.ends_with(b"\n") {
            return rest;
        }
        let line_end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (torn, lost) = rest.split_at(line_end);
        self.torn.extend_from_slice(torn);
        lost
    }
}

/// The length of the whole lines at the beginning of `lines` that fit into `bytes_max`; of one line,
/// if that is longer.
fn whole_lines(lines: &[u8], bytes_max: usize) -> usize {
    let fitting = &lines[..lines.len().min(bytes_max)];
    match memchr::memrchr(b'\n', fitting).or_else(|| memchr::memchr(b'\n', lines)) {
        Some(at) => at + 1,
        None => lines.len(),
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Follows a script: each write takes the next number of bytes, or fails.
    #[derive(Default)]
    struct Output {
        plan: VecDeque<Result<usize, ErrorKind>>,
        writes: Vec<String>,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.plan.pop_front().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.writes.push(String::from_utf8(bytes[..count].to_vec()).unwrap());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(is_file: bool, plan: &[Result<usize, ErrorKind>]) -> Writer<'static, Output> {
        static BYTES_WRITTEN: AtomicU64 = AtomicU64::new(0);
        let plan = plan.iter().copied().collect();
        Writer::new(Output { plan, writes: Vec::new() }, is_file, &BYTES_WRITTEN)
    }

    #[test]
    fn a_pipe_gets_whole_lines_in_one_piece_and_a_file_gets_many() {
        let line = format!("{}\n", "x".repeat(999));
        let lines = line.repeat(10);
        for (is_file, writes) in [(true, vec![10]), (false, vec![4, 4, 2])] {
            let mut writer = writer(is_file, &[]);
            assert!(writer.write(lines.as_bytes()).is_ok());
            let lengths: Vec<usize> =
                writer.output.writes.iter().map(|it| it.len() / 1000).collect();
            assert_eq!(lengths, writes);
            assert!(writer.output.writes.iter().all(|it| it.ends_with('\n')));
        }
        let mut writer = writer(false, &[]);
        let long = format!("{}\n", "x".repeat(LOG_LINE_BYTES_MAX));
        assert!(writer.write(format!("a\n{long}b\n").as_bytes()).is_ok());
        assert_eq!(writer.output.writes, ["a\n", &long, "b\n"]);
    }

    #[test]
    fn an_output_that_is_full_for_now_is_waited_for() {
        let full = Err(ErrorKind::WouldBlock);
        let mut writer = writer(false, &[full, Ok(2), Err(ErrorKind::Interrupted), full]);
        assert!(writer.write(b"abc\ndef\n").is_ok());
        assert_eq!(writer.output.writes.concat(), "abc\ndef\n");
    }

    #[test]
    fn lines_are_lost_whole_and_counted() {
        let no_room = Err(ErrorKind::StorageFull);
        let gone = Err(ErrorKind::BrokenPipe);
        // What the output does, the lines lost of four, and what the output has after one more line.
        for (plan, lost, text) in [
            (vec![no_room], 4, "e\n"),
            (vec![Ok(3), no_room], 3, "aa\ne\n"),
            (vec![Ok(4), no_room], 2, "aa\nbb\ne\n"),
            (vec![Ok(5), no_room, Ok(1)], 2, "aa\nbb\ne\n"),
            (vec![Ok(11), no_room], 0, "aa\nbb\ncc\ndd\ne\n"),
            (vec![Ok(4), gone], 3, "aa\nbe\n"),
            (vec![Ok(0)], 4, "e\n"),
        ] {
            let mut writer = writer(true, &plan);
            let loss = writer.write(b"aa\nbb\ncc\ndd\n").unwrap_err();
            assert_eq!(loss.lines, lost, "{plan:?}");
            assert!(writer.write(b"e\n").is_ok());
            assert_eq!(writer.output.writes.concat(), text, "{plan:?}");
        }
        // The rest of a line is kept for as long as it takes.
        let mut writer = writer(true, &[Ok(1), no_room, no_room, Ok(1), no_room]);
        assert_eq!(writer.write(b"abcd\n").unwrap_err().lines, 0);
        assert_eq!(writer.write(b"x\ny\n").unwrap_err().lines, 2);
        assert_eq!(writer.write(b"z\n").unwrap_err().lines, 1);
        assert!(writer.write(b"end\n").is_ok());
        assert_eq!(writer.output.writes.concat(), "abcd\nend\n");
    }
}
