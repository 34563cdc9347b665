//! Lines on their way to the thread that writes them.
//!
//! Any thread appends lines; one thread, the writer, takes all of them at once. The lock is held only
//! while bytes are copied or two buffers are swapped, so the threads that append never wait for the
//! output. Both buffers are reserved in advance, so appending never grows memory under the lock. When
//! the buffer is full, further lines are refused whole.

use std::collections::TryReserveError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Whole lines, each with its line feed, in the order in which they came.
pub(super) struct Queue {
    state: Mutex<State>,
    /// The writer waits here for lines.
    came: Condvar,
    /// Threads wait here until everything is written.
    written: Condvar,
    bytes_max: usize,
}

struct State {
    lines: Vec<u8>,
    /// The writer waits for lines, so appending must wake it.
    writer_waits: bool,
    /// The writer has taken lines, and has not come back yet.
    is_writing: bool,
    /// The writer is to come back even without lines.
    is_roused: bool,
}

impl Queue {
    /// Makes an empty queue for this number of bytes. It takes no line before [`reserve`](Self::reserve).
    pub const fn new(bytes_max: usize) -> Self {
        let state =
            State { lines: Vec::new(), writer_waits: false, is_writing: false, is_roused: false };
        Self { state: Mutex::new(state), came: Condvar::new(), written: Condvar::new(), bytes_max }
    }

    /// Reserves the memory for the lines, and returns the buffer for the writer.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn reserve(&self) -> Result<Vec<u8>, TryReserveError> {
        let mut batch = Vec::new();
        batch.try_reserve_exact(self.bytes_max)?;
        self.lock().lines.try_reserve_exact(self.bytes_max)?;
        Ok(batch)
    }

    /// Appends these lines, as many as there is room for. Returns the rest, which is whole lines too.
    pub fn put<'l>(&self, lines: &'l [u8]) -> &'l [u8] {
        debug_assert!(lines.ends_with(b"\n"));
        let mut state = self.lock();
        let room = self.bytes_max.min(state.lines.capacity()).saturating_sub(state.lines.len());
        let fitting = match lines.get(..room) {
            Some(beginning) => memchr::memrchr(b'\n', beginning).map_or(0, |at| at + 1),
            None => lines.len(),
        };
        let (taken, rest) = lines.split_at(fitting);
        state.lines.extend_from_slice(taken);
        if !taken.is_empty() && state.writer_waits {
            state.writer_waits = false;
            self.came.notify_one();
        }
        rest
    }

    /// Waits for lines, and swaps them for the empty `batch`; for the writer only. After the first
    /// line has come, further ones are gathered for as long as `gather`. `batch` stays empty after
    /// [`rouse`](Self::rouse).
    pub fn take(&self, batch: &mut Vec<u8>, gather: Duration) {
        debug_assert!(batch.is_empty());
        let mut state = self.lock();
        state.is_writing = false;
        if state.lines.is_empty() {
            self.written.notify_all();
        }
        while state.lines.is_empty() && !state.is_roused {
            state.writer_waits = true;
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !gather.is_zero() && !state.is_roused {
            drop(state);
            thread::sleep(gather);
            state = self.lock();
        }
        state.writer_waits = false;
        state.is_roused = false;
        state.is_writing = true;
        std::mem::swap(&mut state.lines, batch);
    }

    /// Makes the writer come back from [`take`](Self::take), also without lines.
    pub fn rouse(&self) {
        let mut state = self.lock();
        state.is_roused = true;
        self.came.notify_one();
    }

    /// Waits until the writer is done with everything, or until `deadline`. Returns whether it is.
    pub fn wait_until_written(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.is_writing || !state.lines.is_empty() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return false;
            }
            let waited = self.written.wait_timeout(state, remaining);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Throws the lines away that the writer has not taken, and returns their number.
    pub fn clear(&self) -> u64 {
        let mut state = self.lock();
        let lines = memchr::memchr_iter(b'\n', &state.lines).count() as u64;
        state.lines.clear();
        lines
    }

    /// Locks the state. A panic of another thread leaves it whole, so poison has no meaning here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn lines_keep_their_order_and_are_refused_whole() {
        let queue = Queue::new(10);
        assert_eq!(queue.put(b"early\n"), b"early\n", "no memory is reserved yet");
        let mut batch = queue.reserve().unwrap();
        assert_eq!(queue.put(b"ab\ncd\n"), b"");
        assert_eq!(queue.put(b"ef\ngh\nij\n"), b"gh\nij\n", "9 of 10 bytes are taken");
        assert_eq!(queue.put(b"k\n"), b"k\n");
        queue.take(&mut batch, NO_TIME);
        assert_eq!(batch, b"ab\ncd\nef\n");
        assert_eq!(queue.put(b"123456789\n"), b"", "exactly full");
        batch.clear();
        queue.take(&mut batch, NO_TIME);
        assert_eq!(batch, b"123456789\n");
        queue.rouse();
        batch.clear();
        queue.take(&mut batch, Duration::from_secs(1_000));
        assert_eq!(batch, b"");
    }

    #[test]
    fn everything_is_written_only_when_the_writer_comes_back() {
        let queue = Queue::new(100);
        let mut batch = queue.reserve().unwrap();
        let soon = || Instant::now() + Duration::from_millis(20);
        let late = Instant::now() + Duration::from_secs(20);
        assert!(queue.wait_until_written(late), "nothing has come");
        queue.put(b"a\n");
        queue.take(&mut batch, NO_TIME);
        queue.put(b"b\nc\n");
        assert!(!queue.wait_until_written(soon()), "the writer has not come back");
        assert_eq!((queue.clear(), queue.clear()), (2, 0));
        assert!(!queue.wait_until_written(soon()), "the writer has not come back");
        thread::scope(|scope| {
            scope.spawn(|| {
                batch.clear();
                queue.take(&mut batch, NO_TIME);
            });
            assert!(queue.wait_until_written(late));
            queue.rouse();
        });
    }

    #[test]
    fn threads_lose_nothing_and_each_keeps_its_order() {
        const THREADS: usize = 4;
        const LINES: usize = 2_000;
        let queue = Queue::new(1 << 20);
        let mut batch = queue.reserve().unwrap();
        let mut lines = Vec::new();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let queue = &queue;
                scope.spawn(move || {
                    for i in 0..LINES {
                        assert_eq!(queue.put(format!("{thread} {i}\n").as_bytes()), b"");
                    }
                });
            }
            while lines.len() < THREADS * LINES {
                queue.take(&mut batch, NO_TIME);
                lines.extend(String::from_utf8(batch.clone()).unwrap().lines().map(str::to_owned));
                batch.clear();
            }
        });
        for thread in 0..THREADS {
            let prefix = format!("{thread} ");
            let numbers = lines.iter().filter_map(|line| line.strip_prefix(&prefix));
            assert!(numbers.eq((0..LINES).map(|i| i.to_string())));
        }
    }
}
