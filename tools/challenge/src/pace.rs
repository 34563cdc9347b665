//! A constant arrival rate: request `k` is due at `start + k / rate`, and does not wait for answers.
//!
//! Latency is then measured from the time at which a request was due. So a server that stalls is
//! charged for all requests that had to wait, not for one ("coordinated omission").

use std::time::{Duration, Instant};

/// The schedule of one thread.
pub struct Pace {
    start: Instant,
    interval_s: f64,
    issued: u64,
}

impl Pace {
    /// Makes a schedule of `rate` requests a second from `start` on.
    pub fn new(start: Instant, rate: f64) -> Pace {
        Pace { start, interval_s: 1.0 / rate, issued: 0 }
    }

    /// Returns when the next request is due.
    pub fn next(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.issued as f64 * self.interval_s)
    }

    /// Goes on to the request after it.
    pub fn advance(&mut self) {
        self.issued += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 1000.0);
        for k in 0..10u32 {
            assert_eq!(pace.next(), start + Duration::from_millis(u64::from(k)));
            pace.advance();
        }
    }
}
