//! Counts the requests that end in what was read, by their blank lines.
//!
//! The loop compares four shifted views of the bytes and adds up the matches in byte lanes, which the
//! compiler turns into SIMD. It costs about 7 ns for a request of 135 bytes (Zen 5, 16 requests in a
//! read), a hundredth of what the kernel takes. `cargo test --release -p floor -- --ignored
//! --nocapture` measures it.

/// The end of what a connection has sent: one byte less than a blank line, so that a blank line that
/// is split over two reads is found exactly once.
#[derive(Default)]
pub struct Tail([u8; Tail::BYTES]);

impl Tail {
    /// Bytes that the caller leaves free before what it reads.
    pub const BYTES: usize = BLANK_LINE.len() - 1;

    /// Returns the number of requests that end in `buffer[Self::BYTES..]`, a read on this connection.
    pub fn requests_in(&mut self, buffer: &mut [u8]) -> usize {
        buffer[..Self::BYTES].copy_from_slice(&self.0);
        self.0.copy_from_slice(&buffer[buffer.len() - Self::BYTES..]);
        blank_lines(buffer)
    }
}

const BLANK_LINE: [u8; 4] = *b"\r\n\r\n";

fn blank_lines(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = bytes;
    while rest.len() >= BLANK_LINE.len() {
        let starts = (rest.len() - Tail::BYTES).min(LANE_COUNT_MAX);
        let [a, b, c, d] = [0, 1, 2, 3].map(|shift| &rest[shift..shift + starts]);
        // At most every fourth byte matches; a byte can count 255 of them.
        let mut matches = 0u8;
        for i in 0..starts {
            let here = (a[i] == BLANK_LINE[0])
                & (b[i] == BLANK_LINE[1])
                & (c[i] == BLANK_LINE[2])
                & (d[i] == BLANK_LINE[3]);
            matches += u8::from(here);
        }
        count += usize::from(matches);
        rest = &rest[starts..];
    }
    count
}

/// Starts that are counted in one byte before it is added up.
const LANE_COUNT_MAX: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "POST /event HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
        Content-Type: application/json\r\nContent-Length: 36\r\n\r\n\
        {\"userId\":\"user_12345\",\"value\":123.5}";

    /// Returns the requests that are found if `stream` arrives in reads of `step` bytes.
    fn requests_in_steps(stream: &[u8], step: usize) -> usize {
        let mut tail = Tail::default();
        stream
            .chunks(step)
            .map(|read| {
                let mut buffer = vec![b'\n'; Tail::BYTES];
                buffer.extend_from_slice(read);
                tail.requests_in(&mut buffer)
            })
            .sum()
    }

    #[test]
    fn every_request_counts_once_however_it_is_split() {
        for requests in [1, 2, 16, 100] {
            let stream = REQUEST.repeat(requests).into_bytes();
            for step in (1..300).chain([1000, stream.len()]) {
                assert_eq!(requests_in_steps(&stream, step), requests, "reads of {step} bytes");
            }
        }
    }

    #[test]
    fn what_only_resembles_a_blank_line_does_not_count() {
        for bytes in ["\r\n\r", "\n\r\n\r", "\r\n\n\r\n", "\r\r\n\n", "", "\r\n \r\n"] {
            assert_eq!(blank_lines(bytes.as_bytes()), 0, "{bytes:?}");
        }
        assert_eq!(blank_lines(b"\r\n\r\n\r\n"), 2);
    }

    #[test]
    #[ignore = "a measurement"]
    fn cost_of_a_request() {
        let mut buffer = [vec![0; Tail::BYTES], REQUEST.repeat(16).into_bytes()].concat();
        let mut tail = Tail::default();
        let rounds = 200_000;
        let start = std::time::Instant::now();
        let found: usize =
            (0..rounds).map(|_| tail.requests_in(std::hint::black_box(&mut buffer))).sum();
        let ns = start.elapsed().as_nanos() as f64 / (rounds * 16) as f64;
        println!("{ns:.1} ns a request of {} bytes, 16 in a read", REQUEST.len());
        assert_eq!(found, rounds * 16);
    }
}
