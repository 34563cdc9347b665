//! The two load generators: wrk, whose rate is the highest, and the challenge client, which sends
//! each event once and measures latency.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::machine::{self, Side};
use crate::server::Server;

/// How a load is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub connections: u32,
    pub in_flight: u32,
}

/// The result of one load.
#[derive(Clone, Debug)]
pub struct Sample {
    pub requests_per_second: f64,
    /// Events that were answered as counted. Without batches there is one in each request.
    pub events_per_second: f64,
    /// Processor time of the server for an event.
    pub user_ns: f64,
    pub system_ns: f64,
    /// Microseconds: p50, p99, p99.9.
    pub latency_us: [f64; 3],
    pub resident_bytes: u64,
    pub errors: u64,
}

/// The last line that wrk's script prints.
#[derive(Deserialize)]
struct WrkReport {
    requests: u64,
    microseconds: u64,
    errors: u64,
    p50: f64,
    p99: f64,
    p999: f64,
}

/// The report of the challenge client with `--json`.
#[derive(Deserialize)]
struct ChallengeReport {
    passed: bool,
    events_counted: u64,
    requests_per_second: f64,
    events_per_second: f64,
    errors: std::collections::BTreeMap<String, u64>,
    latency_us: ChallengeLatency,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct ChallengeLatency {
    p50: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p999: f64,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    actual: String,
    exact: bool,
}

/// Whether wrk is installed.
pub fn has_wrk() -> bool {
    Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs wrk for some seconds, on one thread.
pub fn wrk(server: &Server, shape: Shape, seconds: u32, script: &Path) -> Result<Sample, String> {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", &shape.connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s"), "--latency", "--script"]).arg(script);
    command.arg(server.url()).args(["--", &shape.in_flight.to_string()]);
    measure(server, &mut command, |text| {
        let line = text.lines().rev().find(|line| line.starts_with('{')).ok_or("no report")?;
        let report: WrkReport = serde_json::from_str(line).map_err(|error| error.to_string())?;
        // A batch is one request to wrk, until its answers come.
        let rate = report.requests as f64 / (report.microseconds as f64 / 1e6);
        let latency_us = [report.p50, report.p99, report.p999];
        Ok(Load {
            events: report.requests,
            requests_per_second: rate,
            events_per_second: rate,
            latency_us,
            errors: report.errors,
        })
    })
}

/// Runs the challenge client, which sends a number of events and does not ask for the statistics.
pub fn challenge(
    server: &Server,
    shape: Shape,
    events: u64,
    programs: &Path,
    more: &[String],
) -> Result<Sample, String> {
    let mut command = challenge_command(server, shape, events, programs);
    command.arg("--no-check").args(more);
    measure(server, &mut command, |text| {
        let report: ChallengeReport =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let ChallengeLatency { p50, p99, p999 } = report.latency_us;
        Ok(Load {
            events: report.events_counted,
            requests_per_second: report.requests_per_second,
            events_per_second: report.events_per_second,
            latency_us: [p50, p99, p999],
            errors: report.errors.values().sum(),
        })
    })
}

/// Sends the challenge's events to a server that has counted nothing yet. Returns `exact`, or what
/// is wrong.
pub fn verdict(
    server: &Server,
    shape: Shape,
    events: u64,
    programs: &Path,
    more: &[String],
) -> String {
    let mut command = challenge_command(server, shape, events, programs);
    command.args(more);
    let text = match output(&mut command) {
        Ok(text) => text,
        Err(error) => return error,
    };
    match serde_json::from_str::<ChallengeReport>(&text) {
        Ok(report) if report.passed => "exact".to_owned(),
        Ok(report) => {
            let wrong = report.checks.iter().filter(|check| !check.exact);
            let wrong = wrong.map(|check| format!("{} is {}", check.name, check.actual));
            let errors = report.errors.iter().map(|(kind, count)| format!("{count} {kind}"));
            wrong.chain(errors).collect::<Vec<_>>().join(", ")
        }
        Err(error) => error.to_string(),
    }
}

fn challenge_command(server: &Server, shape: Shape, events: u64, programs: &Path) -> Command {
    let mut command = Command::new(programs.join("challenge"));
    command.arg(server.url()).arg("--json").args(["--events", &events.to_string()]);
    command.args(["--connections", &shape.connections.to_string()]);
    command.args(["--pipeline", &shape.in_flight.to_string()]);
    command
}

/// What a load generator reports.
struct Load {
    events: u64,
    requests_per_second: f64,
    events_per_second: f64,
    latency_us: [f64; 3],
    errors: u64,
}

/// Runs a load, and looks at the server's processor time before and after.
fn measure(
    server: &Server,
    command: &mut Command,
    read: impl FnOnce(&str) -> Result<Load, String>,
) -> Result<Sample, String> {
    let before = server.usage();
    let text = output(command)?;
    let after = server.usage();
    let Load { events, requests_per_second, events_per_second, latency_us, errors } =
        read(&text).map_err(|error| format!("{command:?}: {error}"))?;
    let each = |ns: u64| ns as f64 / events.max(1) as f64;
    Ok(Sample {
        requests_per_second,
        events_per_second,
        user_ns: each(after.user_ns - before.user_ns),
        system_ns: each(after.system_ns - before.system_ns),
        latency_us,
        resident_bytes: server.resident_bytes(),
        errors,
    })
}

/// Returns the standard output, also if the exit status is not 0: a failed check is a result too.
fn output(command: &mut Command) -> Result<String, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = machine::spawn(command, Side::Client).map_err(|e| format!("{command:?}: {e}"))?;
    let output = child.wait_with_output().map_err(|error| format!("{command:?}: {error}"))?;
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}

/// Returns the median of one figure over samples.
pub fn median(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let mut figures: Vec<f64> = samples.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[count / 2],
        count => (figures[count / 2 - 1] + figures[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        let sample = |rate| Sample {
            requests_per_second: rate,
            events_per_second: rate,
            user_ns: 0.0,
            system_ns: 0.0,
            latency_us: [0.0; 3],
            resident_bytes: 0,
            errors: 0,
        };
        let median_of = |rates: &[f64]| {
            median(&rates.iter().map(|&rate| sample(rate)).collect::<Vec<_>>(), |s| {
                s.requests_per_second
            })
        };
        assert_eq!(median_of(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_of(&[4.0, 1.0]), 2.5);
        assert!(median_of(&[]).is_nan());
    }
}
