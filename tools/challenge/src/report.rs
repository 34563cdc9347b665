//! What a run has shown, as a table or as one JSON document.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::outcome::{Outcome, Retries};
use crate::plan::Expected;
use crate::server::Statistics;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub passed: bool,
    pub events: u64,
    /// Events in a request, at the most.
    pub batch: u32,
    pub connections: u32,
    pub pipeline: u32,
    pub seconds: f64,
    pub requests_per_second: f64,
    pub events_per_second: f64,
    /// Requests answered as counted, and their events.
    pub successes: u64,
    pub events_counted: u64,
    pub errors: BTreeMap<String, u64>,
    pub reconnects: u64,
    pub moved_unsent: u64,
    pub exactly_once: Option<ExactlyOnce>,
    pub latency_us: Latency,
    /// Events a second in each stretch of 100,000.
    pub timeline: Vec<f64>,
    pub server_resident_bytes: Option<u64>,
    pub checks: Vec<Check>,
}

/// What it took to be counted exactly once.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExactlyOnce {
    /// How often the server was killed, and how long it was away in all.
    pub kills: u32,
    pub away_seconds: f64,
    #[serde(flatten)]
    pub retries: Retries,
}

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p999: f64,
    pub max: f64,
}

/// One number of the statistics.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub expected: String,
    pub actual: String,
    pub exact: bool,
}

/// How the run was made.
pub struct Run {
    pub events: u64,
    pub batch: u32,
    pub connections: u32,
    pub pipeline: u32,
    pub elapsed: Duration,
    pub timeline: Vec<f64>,
    pub server_resident_bytes: Option<u64>,
    /// Kills of the server, and the time without it; `None` without producers.
    pub kills: Option<(u32, Duration)>,
}

impl Report {
    /// Puts the numbers side by side. The run has passed if no request went wrong, all events were
    /// answered as counted, and the statistics, if they were asked for, are exact.
    pub fn new(
        run: Run,
        outcome: Outcome,
        checked: Option<(&Expected, Result<Statistics, String>)>,
    ) -> Report {
        let checks = checked.map_or_else(Vec::new, |(expected, answer)| checks(expected, answer));
        let errors = outcome.errors;
        let microseconds = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
        let seconds = run.elapsed.as_secs_f64();
        Report {
            passed: errors.is_empty()
                && outcome.events == run.events
                && checks.iter().all(|check| check.exact),
            events: run.events,
            batch: run.batch,
            connections: run.connections,
            pipeline: run.pipeline,
            seconds,
            requests_per_second: outcome.requests as f64 / seconds,
            events_per_second: outcome.events as f64 / seconds,
            successes: outcome.requests,
            events_counted: outcome.events,
            errors,
            reconnects: outcome.reconnects,
            moved_unsent: outcome.moved,
            exactly_once: run.kills.map(|(kills, away)| ExactlyOnce {
                kills,
                away_seconds: away.as_secs_f64(),
                retries: outcome.retries,
            }),
            latency_us: Latency {
                p50: microseconds(0.5),
                p90: microseconds(0.9),
                p99: microseconds(0.99),
                p999: microseconds(0.999),
                max: outcome.latency.max() as f64 / 1e3,
            },
            timeline: run.timeline,
            server_resident_bytes: run.server_resident_bytes,
            checks,
        }
    }

    /// Returns the table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<16}{value}");
        };
        let batches = if self.batch > 1 {
            format!(", {} in a request", grouped(self.batch.into()))
        } else {
            String::new()
        };
        row("events", grouped(self.events) + &batches);
        row(
            "connections",
            format!("{}, {} in flight on each", grouped(self.connections.into()), self.pipeline),
        );
        row("time", format!("{:.3} s", self.seconds));
        let rate = format!("{} requests/s", grouped(self.requests_per_second as u64));
        let events = format!("{} events/s, ", grouped(self.events_per_second as u64));
        row("rate", if self.batch > 1 { events + &rate } else { rate });
        row("errors", if self.errors.is_empty() { "none".to_owned() } else { String::new() });
        for (kind, count) in &self.errors {
            row("", format!("{} {kind}", grouped(*count)));
        }
        if self.reconnects > 0 {
            let moved = grouped(self.moved_unsent);
            row(
                "reconnects",
                format!(
                    "{}, with {moved} requests moved before they were sent",
                    grouped(self.reconnects)
                ),
            );
        }
        if let Some(exactly_once) = &self.exactly_once {
            for (name, value) in exactly_once.rows() {
                row(name, value);
            }
        }
        let Latency { p50, p90, p99, p999, max } = self.latency_us;
        let percentiles = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)];
        row("latency", percentiles.map(|(name, us)| format!("{name} {}", duration(us))).join("  "));
        for (i, stretch) in self.timeline.chunks(5).enumerate() {
            let rates: Vec<String> = stretch.iter().map(|&rate| grouped(rate as u64)).collect();
            row(if i == 0 { "each 100,000" } else { "" }, rates.join("  "));
        }
        if let Some(bytes) = self.server_resident_bytes {
            row("server memory", format!("{:.1} MB resident", bytes as f64 / 1e6));
        }
        text + &self.checks_table() + if self.passed { "\n  PASS\n" } else { "\n  FAIL\n" }
    }

    /// Returns the part of the table that compares the statistics.
    fn checks_table(&self) -> String {
        if self.checks.is_empty() {
            return format!("  {:<16}not checked\n", "statistics");
        }
        let mut text = format!("\n  {:<16}{:>20}{:>20}\n", "statistics", "expected", "answered");
        for Check { name, expected, actual, exact } in &self.checks {
            let verdict = if *exact { "exact" } else { "WRONG" };
            let _ = writeln!(text, "  {name:<16}{expected:>20}{actual:>20}  {verdict}");
        }
        text
    }
}

impl ExactlyOnce {
    /// The rows of the table.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let Retries { lost_connections, sent_again, duplicates, conflicts, busy } = self.retries;
        let mut rows = vec![
            ("lost", format!("{} connections with requests in flight", grouped(lost_connections))),
            ("sent again", format!("{} requests", grouped(sent_again))),
            ("duplicates", format!("{} recognized by the server", grouped(duplicates))),
            (
                "not counted",
                format!("{} answered 409, {} answered 503", grouped(conflicts), grouped(busy)),
            ),
        ];
        if self.kills > 0 {
            let kills = format!(
                "{} by SIGKILL, {:.2} s without a server in all",
                self.kills, self.away_seconds
            );
            rows.insert(0, ("kills", kills));
        }
        rows
    }
}

fn checks(expected: &Expected, statistics: Result<Statistics, String>) -> Vec<Check> {
    let Statistics { events, users, sum, avg } = match statistics {
        Ok(statistics) => statistics,
        Err(error) => {
            return vec![Check {
                name: "statistics",
                expected: "an answer".to_owned(),
                actual: error,
                exact: false,
            }];
        }
    };
    let integer = |name, expected: u64, actual: u64| Check {
        name,
        expected: expected.to_string(),
        actual: actual.to_string(),
        exact: expected == actual,
    };
    let float = |name, expected: f64, actual: Option<f64>| Check {
        name,
        expected: format!("{expected:?}"),
        actual: actual.map_or("null".to_owned(), |actual| format!("{actual:?}")),
        exact: actual == Some(expected),
    };
    vec![
        integer("totalRequests", expected.events, events),
        integer("uniqueUsers", expected.users, users),
        float("sum", expected.sum, sum),
        float("avg", expected.average, avg),
    ]
}

/// Returns `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} us"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0, 12, 1_234, 1_000_000].map(grouped), ["0", "12", "1,234", "1,000,000"]);
        assert_eq!([12.4, 1_500.0, 2e6].map(duration), ["12 us", "1.50 ms", "2.00 s"]);
    }

    #[test]
    fn nothing_but_exactness_passes() {
        let expected = Expected { events: 10, users: 5, sum: 1.5, average: 0.15 };
        let right = Statistics { events: 10, users: 5, sum: Some(1.5), avg: Some(0.15) };
        let passes = |successes, error: Option<&str>, statistics: Result<Statistics, String>| {
            let mut outcome = Outcome::new();
            (outcome.requests, outcome.events) = (1, successes);
            outcome.errors.extend(error.map(|kind| (kind.to_owned(), 1)));
            let run = Run {
                events: 10,
                batch: 10,
                connections: 1,
                pipeline: 1,
                elapsed: Duration::from_secs(1),
                timeline: vec![],
                server_resident_bytes: None,
                kills: None,
            };
            Report::new(run, outcome, Some((&expected, statistics))).passed
        };
        assert!(passes(10, None, Ok(right.clone())));
        assert!(!passes(10, Some("status 503"), Ok(right.clone())));
        assert!(!passes(9, None, Ok(right.clone())));
        assert!(!passes(10, None, Err("no answer".to_owned())));
        for wrong in [
            Statistics { events: 11, ..right.clone() },
            Statistics { users: 4, ..right.clone() },
            Statistics { sum: Some(1.5 + f64::EPSILON), ..right.clone() },
            Statistics { sum: None, ..right.clone() },
            Statistics { avg: Some(0.1), ..right.clone() },
        ] {
            assert!(!passes(10, None, Ok(wrong)));
        }
    }
}
