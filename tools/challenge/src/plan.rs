//! Which events are sent: event `i` is of user `i % users`, and its value follows a rule. From the
//! same numbers comes, in integers, what the statistics must be at the end.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the value of event `i` is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRule {
    /// `i % 1000`, as the challenge says.
    Mod,
    /// `i % 1000 + 0.5`, as its reference client sends.
    Half,
    /// `i % 1000 - 500`.
    Signed,
    /// `i`.
    Index,
    /// The same for all.
    Const(f64),
}

impl FromStr for ValueRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mod" => Ok(ValueRule::Mod),
            "half" => Ok(ValueRule::Half),
            "signed" => Ok(ValueRule::Signed),
            "index" => Ok(ValueRule::Index),
            _ => text
                .strip_prefix("const:")
                .and_then(|number| number.parse().ok())
                .filter(|value: &f64| value.is_finite())
                .map(ValueRule::Const)
                .ok_or_else(|| "must be mod, half, signed, index or const:NUMBER".to_owned()),
        }
    }
}

impl fmt::Display for ValueRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueRule::Mod => f.write_str("mod"),
            ValueRule::Half => f.write_str("half"),
            ValueRule::Signed => f.write_str("signed"),
            ValueRule::Index => f.write_str("index"),
            ValueRule::Const(value) => write!(f, "const:{value}"),
        }
    }
}

impl ValueRule {
    /// The value of event `index`.
    fn value(self, index: u64) -> f64 {
        match self {
            ValueRule::Mod => (index % 1000) as f64,
            ValueRule::Half => (index % 1000) as f64 + 0.5,
            ValueRule::Signed => (index % 1000) as f64 - 500.0,
            ValueRule::Index => index as f64,
            ValueRule::Const(value) => value,
        }
    }

    /// The exact sum of the values of events 0 to `count - 1`, rounded once.
    fn sum(self, count: u64) -> f64 {
        let n = i128::from(count);
        let (cycles, rest) = (n / 1000, n % 1000);
        let of_mod = cycles * 499_500 + rest * (rest - 1) / 2;
        // Each is an integer or a half, so twice the sum is an integer, and one conversion rounds.
        match self {
            ValueRule::Mod => of_mod as f64,
            ValueRule::Half => (2 * of_mod + n) as f64 / 2.0,
            ValueRule::Signed => (of_mod - 500 * n) as f64,
            ValueRule::Index => (n * (n - 1) / 2) as f64,
            // The exact sum is the product, which the multiplication rounds once.
            ValueRule::Const(value) => count as f64 * value,
        }
    }
}

/// Bytes of a padding member that has no padding in it.
pub const PADDING_BYTES_MIN: usize = r#","pad":"""#.len();

/// All events of a run, handed out one by one.
pub struct Plan {
    host: String,
    users: u64,
    rule: ValueRule,
    /// What follows the value: a member that a server skips, and the closing brace.
    tail: String,
    /// Where the events end, and the first that nobody has been given.
    end: u64,
    next: AtomicU64,
    count: u64,
}

/// What a server must answer at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub events: u64,
    pub users: u64,
    pub sum: f64,
    pub average: f64,
}

impl Plan {
    /// `count` events for the server at `host`, of so many users.
    pub fn new(host: &str, count: u64, users: u64, rule: ValueRule) -> Plan {
        let (tail, next) = ("}".to_owned(), AtomicU64::new(0));
        Plan { host: host.to_owned(), users, rule, tail, end: count, next, count }
    }

    /// The same events, each with a further member of so many bytes in all; at least
    /// [`PADDING_BYTES_MIN`] if any.
    pub fn padded(mut self, bytes: usize) -> Plan {
        if bytes > 0 {
            let pad = "x".repeat(bytes.saturating_sub(PADDING_BYTES_MIN));
            self.tail = format!(",\"pad\":\"{pad}\"}}");
        }
        self
    }

    /// The events from `start` to `end - 1` of this plan.
    pub fn range(&self, start: u64, end: u64) -> Plan {
        let next = AtomicU64::new(start);
        Plan {
            host: self.host.clone(),
            users: self.users,
            rule: self.rule,
            tail: self.tail.clone(),
            end,
            next,
            count: end - start,
        }
    }

    /// The next event that nobody has been given; each is given once.
    pub fn take(&self) -> Option<u64> {
        // Looked at first, so that asking on and on after the end does not wrap around.
        if self.next.load(Ordering::Relaxed) >= self.end {
            return None;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.end).then_some(index)
    }

    /// Events of the run.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends the request that sends event `index`.
    pub fn write_request(&self, index: u64, out: &mut Vec<u8>) {
        let mut user = itoa::Buffer::new();
        let user = user.format(index % self.users);
        let value = self.rule.value(index);
        let mut integer = itoa::Buffer::new();
        let mut other = String::new();
        let value = if value.fract() == 0.0 && value.abs() < 1e15 {
            integer.format(value as i64)
        } else {
            other.push_str(&value.to_string());
            &other
        };
        let length =
            r#"{"userId":"user_","value":"#.len() + user.len() + value.len() + self.tail.len();
        for part in [
            "POST /event HTTP/1.1\r\nHost: ",
            &self.host,
            "\r\nContent-Type: application/json\r\nContent-Length: ",
            itoa::Buffer::new().format(length),
            "\r\n\r\n{\"userId\":\"user_",
            user,
            "\",\"value\":",
            value,
            &self.tail,
        ] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// What the statistics must be when every event has been counted once.
    pub fn expected(&self) -> Expected {
        let sum = self.rule.sum(self.count);
        let average = if self.count == 0 { 0.0 } else { sum / self.count as f64 };
        Expected { events: self.count, users: self.count.min(self.users), sum, average }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_challenge() {
        let expected = Plan::new("h", 1_000_000, 75_000, ValueRule::Mod).expected();
        assert_eq!(
            expected,
            Expected { events: 1_000_000, users: 75_000, sum: 499_500_000.0, average: 499.5 }
        );
        let reference = Plan::new("h", 1_000_000, 75_000, ValueRule::Half).expected();
        assert_eq!((reference.sum, reference.average), (500_000_000.0, 500.0));
    }

    #[test]
    fn sums_by_formula_are_sums_of_the_values() {
        for rule in [
            ValueRule::Mod,
            ValueRule::Half,
            ValueRule::Signed,
            ValueRule::Index,
            ValueRule::Const(-2.5),
        ] {
            for count in [0, 1, 2, 999, 1000, 1001, 12_345] {
                // All partial sums are halves below 2^52, so this is exact too.
                let sum: f64 = (0..count).map(|index| rule.value(index)).sum();
                assert_eq!(rule.sum(count), sum + 0.0, "{rule} {count}");
            }
        }
        assert_eq!(ValueRule::Const(0.1).sum(10), 1.0);
    }

    #[test]
    fn each_event_is_given_once_over_all_threads() {
        let plan = Plan::new("h", 10_000, 7, ValueRule::Mod);
        let mut taken: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| plan.take()).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 10_000);
        taken.sort_unstable();
        taken.dedup();
        assert_eq!((taken.len(), plan.take()), (10_000, None));
        assert_eq!(taken.into_iter().collect::<HashSet<_>>().len(), 10_000);
    }

    #[test]
    fn requests_say_what_they_carry() {
        for (rule, index, body) in [
            (ValueRule::Mod, 75_001, r#"{"userId":"user_1","value":1}"#),
            (ValueRule::Half, 999, r#"{"userId":"user_999","value":999.5}"#),
            (ValueRule::Signed, 0, r#"{"userId":"user_0","value":-500}"#),
            (ValueRule::Const(0.1), 5, r#"{"userId":"user_5","value":0.1}"#),
        ] {
            let mut out = Vec::new();
            Plan::new("h:1", 1, 75_000, rule).write_request(index, &mut out);
            let expected = format!(
                "POST /event HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let (mut plain, mut padded) = (Vec::new(), Vec::new());
        Plan::new("h", 1, 1, ValueRule::Mod).write_request(0, &mut plain);
        Plan::new("h", 1, 1, ValueRule::Mod).padded(20).write_request(0, &mut padded);
        assert_eq!(padded.len(), plain.len() + 20);
        assert!(padded.ends_with(br#""value":0,"pad":"xxxxxxxxxxx"}"#));
    }
}
