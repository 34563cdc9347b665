//! The events that are sent. Event `i` is of user `i % users`, and its value follows a rule. The
//! statistics that a server must have at the end are computed from the same numbers, in integers.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the value of event `i` is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRule {
    /// `i % 1000`, as in the challenge.
    Mod,
    /// `i % 1000 + 0.5`, as the challenge's reference client sends.
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
    /// Returns the value of event `index`.
    fn value(self, index: u64) -> f64 {
        match self {
            ValueRule::Mod => (index % 1000) as f64,
            ValueRule::Half => (index % 1000) as f64 + 0.5,
            ValueRule::Signed => (index % 1000) as f64 - 500.0,
            ValueRule::Index => index as f64,
            ValueRule::Const(value) => value,
        }
    }

    /// Returns the exact sum of the values of events 0 to `count - 1`, rounded once.
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

/// How events are put into requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batching {
    /// `POST /event`, one event in each request.
    Single,
    /// `POST /events`, one event on each line.
    Lines { events: u32 },
    /// `POST /events`, a JSON array.
    Array { events: u32 },
}

impl Batching {
    /// Events in a request, at the most.
    pub fn events(self) -> u32 {
        match self {
            Batching::Single => 1,
            Batching::Lines { events } | Batching::Array { events } => events,
        }
    }
}

/// The events of one request: `first` and those that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub first: u64,
    pub count: u32,
}

/// All events of a run, given out in slices.
pub struct Plan {
    host: String,
    users: u64,
    rule: ValueRule,
    batching: Batching,
    /// The header section before and after further lines, but for the length of the content.
    head_start: String,
    head_end: String,
    /// What follows the value: a member that a server skips, and the closing brace.
    tail: String,
    /// The end of the events, and the first event that has not been given out.
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
    /// Makes a plan of `count` events of `users` users, for the server at `host`.
    pub fn new(host: &str, count: u64, users: u64, rule: ValueRule) -> Plan {
        let plan = Plan {
            host: host.to_owned(),
            users,
            rule,
            batching: Batching::Single,
            head_start: String::new(),
            head_end: String::new(),
            tail: "}".to_owned(),
            end: count,
            next: AtomicU64::new(0),
            count,
        };
        plan.batched(Batching::Single)
    }

    /// Adds a member of `bytes` bytes in all to each event, at least [`PADDING_BYTES_MIN`]; 0 adds
    /// none.
    pub fn padded(mut self, bytes: usize) -> Plan {
        if bytes > 0 {
            let pad = "x".repeat(bytes.saturating_sub(PADDING_BYTES_MIN));
            self.tail = format!(",\"pad\":\"{pad}\"}}");
        }
        self
    }

    /// Puts the events into requests in this way.
    pub fn batched(mut self, batching: Batching) -> Plan {
        let (path, media_type) = match batching {
            Batching::Single => ("/event", "application/json"),
            Batching::Lines { .. } => ("/events", "application/x-ndjson"),
            Batching::Array { .. } => ("/events", "application/json"),
        };
        self.batching = batching;
        self.head_start = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        self.head_end = format!("Content-Type: {media_type}\r\nContent-Length: ");
        self
    }

    /// Returns a plan of the events from `start` to `end - 1`.
    pub fn range(&self, start: u64, end: u64) -> Plan {
        Plan {
            host: self.host.clone(),
            head_start: self.head_start.clone(),
            head_end: self.head_end.clone(),
            tail: self.tail.clone(),
            next: AtomicU64::new(start),
            end,
            count: end - start,
            ..*self
        }
    }

    /// Gives out the events of the next request. Each event is given out once.
    pub fn take(&self) -> Option<Slice> {
        // Checked first, so that asking again and again after the end does not wrap around.
        if self.next.load(Ordering::Relaxed) >= self.end {
            return None;
        }
        let batch = u64::from(self.batching.events());
        let first = self.next.fetch_add(batch, Ordering::Relaxed);
        let count = self.end.saturating_sub(first).min(batch);
        (count > 0).then_some(Slice { first, count: count as u32 })
    }

    /// Events of the run.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether an answer must hold the number of events that it counted.
    pub fn is_batched(&self) -> bool {
        self.batching != Batching::Single
    }

    /// Appends the request that sends these events. `fields` are further header lines.
    pub fn write_request(&self, slice: Slice, fields: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head_start.as_bytes());
        if !fields.is_empty() {
            out.extend_from_slice(fields.as_bytes());
        }
        out.extend_from_slice(self.head_end.as_bytes());
        // The length stands before the content, but is known after it: leave room for its digits.
        let estimate = slice.count as usize * (USUAL_EVENT_BYTES + self.tail.len());
        let room = (estimate.ilog10() + 1) as usize;
        let length_at = out.len();
        out.extend_from_slice(&LENGTH_ROOM[LENGTH_DIGITS_MAX - room..]);
        let content_at = out.len();
        self.write_content(slice, out);
        let mut length = itoa::Buffer::new();
        let length = length.format(out.len() - content_at).as_bytes();
        if length.len() == room {
            out[length_at..][..room].copy_from_slice(length);
        } else {
            out.splice(length_at..length_at + room, length.iter().copied());
        }
    }

    fn write_content(&self, slice: Slice, out: &mut Vec<u8>) {
        let (open, between, close) = match self.batching {
            Batching::Single => ("", "", ""),
            Batching::Lines { .. } => ("", "\n", "\n"),
            Batching::Array { .. } => ("[", ",", "]"),
        };
        out.extend_from_slice(open.as_bytes());
        for index in slice.first..slice.first + u64::from(slice.count) {
            if index > slice.first {
                out.extend_from_slice(between.as_bytes());
            }
            self.write_event(index, out);
        }
        out.extend_from_slice(close.as_bytes());
    }

    fn write_event(&self, index: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"userId":"user_"#);
        out.extend_from_slice(itoa::Buffer::new().format(index % self.users).as_bytes());
        out.extend_from_slice(br#"","value":"#);
        let value = self.rule.value(index);
        let integer = value as i64;
        if integer as f64 == value && value.abs() < 1e15 {
            out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
        } else {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        out.extend_from_slice(self.tail.as_bytes());
    }

    /// Returns what the statistics must be once every event has been counted once.
    pub fn expected(&self) -> Expected {
        let sum = self.rule.sum(self.count);
        let average = if self.count == 0 { 0.0 } else { sum / self.count as f64 };
        Expected { events: self.count, users: self.count.min(self.users), sum, average }
    }
}

/// Bytes of an event before the end that all events share.
const USUAL_EVENT_BYTES: usize = r#"{"userId":"user_12345","value":123"#.len();

/// Room for the digits of a content's length, then the end of the header section.
const LENGTH_ROOM: &[u8] = b"__________\r\n\r\n";
const LENGTH_DIGITS_MAX: usize = LENGTH_ROOM.len() - b"\r\n\r\n".len();

#[cfg(test)]
mod tests {
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
        let mut taken: Vec<Slice> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| plan.take()).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        taken.sort_unstable_by_key(|slice| slice.first);
        assert!(taken.iter().map(|slice| slice.first).eq(0..10_000));
        assert!(taken.iter().all(|slice| slice.count == 1) && plan.take().is_none());
    }

    #[test]
    fn batches_are_the_same_events_in_the_same_order() {
        for (count, batch, last) in [(10, 3, 1), (9, 3, 3), (2, 5, 2), (1000, 1, 1)] {
            let whole = Plan::new("h", count + 7, 7, ValueRule::Mod);
            let plan = whole.batched(Batching::Lines { events: batch }).range(7, count + 7);
            let slices: Vec<Slice> = std::iter::from_fn(|| plan.take()).collect();
            let events = slices.iter().flat_map(|it| it.first..it.first + u64::from(it.count));
            assert!(events.eq(7..count + 7), "{slices:?}");
            assert_eq!(slices.last().map(|slice| slice.count), Some(last));
        }
    }

    #[test]
    fn a_batch_is_one_request() {
        let slice = Slice { first: 999, count: 2 };
        for (batching, media_type, body) in [
            (
                Batching::Lines { events: 2 },
                "application/x-ndjson",
                "{\"userId\":\"user_999\",\"value\":999}\n{\"userId\":\"user_1000\",\"value\":0}\n",
            ),
            (
                Batching::Array { events: 2 },
                "application/json",
                "[{\"userId\":\"user_999\",\"value\":999},{\"userId\":\"user_1000\",\"value\":0}]",
            ),
        ] {
            let mut out = b"before".to_vec();
            let plan = Plan::new("h:1", 3_000, 75_000, ValueRule::Mod).batched(batching);
            plan.write_request(slice, "A: b\r\n", &mut out);
            let expected = format!(
                "beforePOST /events HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
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
            let slice = Slice { first: index, count: 1 };
            Plan::new("h:1", 1, 75_000, rule).write_request(slice, "", &mut out);
            let expected = format!(
                "POST /event HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let (mut plain, mut padded) = (Vec::new(), Vec::new());
        let slice = Slice { first: 0, count: 1 };
        Plan::new("h", 1, 1, ValueRule::Mod).write_request(slice, "", &mut plain);
        Plan::new("h", 1, 1, ValueRule::Mod).padded(20).write_request(slice, "", &mut padded);
        assert_eq!(padded.len(), plain.len() + 20);
        assert!(padded.ends_with(br#""value":0,"pad":"xxxxxxxxxxx"}"#));
    }
}
