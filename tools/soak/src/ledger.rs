//! What the server must have counted.
//!
//! Nearly every event is certain: its `200` was read. A client that vanishes behind a whole request
//! cannot find out whether it was counted, so those events are marked: each has a user of its own and
//! the value ¼, while all certain values are whole. The server's count, users and sum must then all
//! agree on the number of these events.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::server::Statistics;

/// The value of an event of which it is not certain whether it was counted.
const UNCERTAIN_VALUE: f64 = 0.25;

#[derive(Default)]
pub struct Ledger {
    pub visits: AtomicU64,
    pub faults: Mutex<Vec<String>>,
    events: AtomicU64,
    sum: AtomicU64,
    users: Mutex<HashSet<String>>,
    uncertain: AtomicU64,
}

impl Ledger {
    /// Notes that this number of events of `user`, of value `value` each, were answered `200`.
    pub fn counted(&self, user: &str, value: u32, events: u64) {
        self.events.fetch_add(events, Relaxed);
        self.sum.fetch_add(u64::from(value) * events, Relaxed);
        let mut users = self.users.lock().expect("no client panics");
        if !users.contains(user) {
            users.insert(user.to_owned());
        }
    }

    /// Returns the content of an event of which it will not be certain whether it was counted.
    pub fn uncertain_event(&self) -> String {
        let number = self.uncertain.fetch_add(1, Relaxed);
        format!("{{\"userId\":\"maybe-{number}\",\"value\":{UNCERTAIN_VALUE}}}")
    }

    pub fn fault(&self, fault: String) {
        self.faults.lock().expect("no client panics").push(fault);
    }

    /// Returns the number of events that were certainly counted.
    pub fn certain(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// Returns what is wrong with the statistics at the end.
    pub fn check(&self, statistics: &Statistics) -> Vec<String> {
        let (events, sum) = (self.events.load(Relaxed), self.sum.load(Relaxed));
        let users = self.users.lock().expect("no client panics").len() as u64;
        let uncertain = self.uncertain.load(Relaxed);
        let Some(extra) = statistics.events.checked_sub(events).filter(|&n| n <= uncertain) else {
            let counted = statistics.events;
            return vec![format!(
                "{counted} events counted; {events} are certain, {uncertain} more possible"
            )];
        };
        let mut faults = Vec::new();
        if statistics.users != users + extra {
            faults.push(format!("{} users, must be {}", statistics.users, users + extra));
        }
        let expected = sum as f64 + extra as f64 * UNCERTAIN_VALUE;
        if statistics.sum != expected {
            faults.push(format!("the sum is {}, must be {expected}", statistics.sum));
        }
        if statistics.average != expected / statistics.events as f64 {
            faults.push(format!("the average is {}", statistics.average));
        }
        faults
    }

    pub fn summary(&self) -> String {
        format!(
            "{} visits, {} events certain and {} possible",
            self.visits.load(Relaxed),
            self.events.load(Relaxed),
            self.uncertain.load(Relaxed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_number_of_uncertain_events_fits_all_figures() {
        let ledger = Ledger::default();
        ledger.counted("a", 3, 2);
        ledger.counted("b", 5, 1);
        ledger.uncertain_event();
        ledger.uncertain_event();
        let statistics = |events, users, sum: f64| Statistics {
            events,
            users,
            sum,
            average: sum / events as f64,
        };
        for (events, users, sum) in [(3, 2, 11.0), (4, 3, 11.25), (5, 4, 11.5)] {
            assert!(ledger.check(&statistics(events, users, sum)).is_empty());
        }
        for (events, users, sum) in
            [(2, 2, 11.0), (6, 5, 11.75), (4, 2, 11.25), (4, 3, 11.5), (3, 2, 14.0)]
        {
            assert!(!ledger.check(&statistics(events, users, sum)).is_empty());
        }
    }
}
