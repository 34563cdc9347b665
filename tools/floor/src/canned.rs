//! The canned answer, repeated, so that any number of answers is one slice of it.

/// The answer to every request. It is as long as millrace's answer to an event, so that both put the
/// same load on the kernel and on the client. Its date does not change.
pub const ANSWER: &[u8; 75] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

/// Many answers in one buffer.
pub struct Canned {
    answers: Vec<u8>,
}

impl Canned {
    /// Writes the answers.
    pub fn new() -> Self {
        Self { answers: ANSWER.repeat(ANSWERS_AT_ONCE_MAX) }
    }

    /// Returns what to send next if `owed_bytes` bytes of a row of answers are left.
    ///
    /// It is cut from the end of the buffer, where a whole answer ends. So its first byte is right also
    /// if a short write stopped in the middle of an answer.
    pub fn last_bytes(&self, owed_bytes: usize) -> &[u8] {
        let partial = owed_bytes % ANSWER.len();
        let length = match owed_bytes <= self.answers.len() {
            true => owed_bytes,
            // The whole buffer, cut so that the rest is whole answers again.
            false => self.answers.len() - ANSWER.len() + partial,
        };
        &self.answers[self.answers.len() - length..]
    }
}

const ANSWERS_AT_ONCE_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_way_of_short_writes_gives_the_same_bytes() {
        let canned = Canned::new();
        for (answers, step) in [(1, 1), (3, 7), (16, 100), (ANSWERS_AT_ONCE_MAX * 2 + 5, 99_991)] {
            let mut owed = answers * ANSWER.len();
            let mut sent = Vec::new();
            while owed > 0 {
                let next = canned.last_bytes(owed);
                let taken = next.len().min(step);
                sent.extend_from_slice(&next[..taken]);
                owed -= taken;
            }
            assert!(sent == ANSWER.repeat(answers), "{answers} answers, {step} bytes at once");
        }
    }
}
