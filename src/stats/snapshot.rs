//! The statistics at one instant.

/// Holds the numbers at one instant. All fields describe the same set of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Events.
    pub events: u64,
    /// Distinct user ids among them, compared in full.
    pub users: u64,
    /// The exact sum of their values, rounded once (ties to even); `None` beyond the range of
    /// doubles.
    pub sum: Option<f64>,
    /// `events` by the worker that took them, in the order of the workers.
    pub worker_events: Box<[u64]>,
}

impl Snapshot {
    /// Returns the sum divided by the number of events, in double arithmetic; 0.0 if nothing was
    /// counted, `None` if the sum is `None`.
    pub fn average(&self) -> Option<f64> {
        match self.events {
            0 => Some(0.0),
            events => self.sum.map(|sum| sum / events as f64),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn averages() {
        let average = |events, sum| {
            Snapshot { events, users: 1, sum, worker_events: Box::default() }.average()
        };
        assert_eq!(average(0, Some(0.0)), Some(0.0));
        assert_eq!(average(4, Some(10.0)), Some(2.5));
        assert_eq!(average(2, None), None);
    }
}
