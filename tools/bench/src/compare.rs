//! millrace beside the servers that are usually used for such a task.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Common;
use crate::batches::{self, Form};
use crate::load::{self, Sample, Shape, median};
use crate::machine::{self, Side};
use crate::server::Server;
use crate::table::{Table, grouped, latency, megabytes};

const SHAPES: [Shape; 2] =
    [Shape { connections: 64, in_flight: 1 }, Shape { connections: 64, in_flight: 16 }];
/// Events sent before anything is measured, so that code is loaded, and compiled if that happens at
/// run time.
const WARM_UP_EVENTS: u64 = 20_000;
/// The check of what a server counts: with as many connections as the challenge.
const CHECK_SHAPE: Shape = Shape { connections: 1_000, in_flight: 1 };
const CHECK_EVENTS: u64 = 200_000;

/// One server of the list.
#[derive(Deserialize)]
struct Peer {
    name: String,
    /// Commands that are needed to build it and to run it.
    needs: Vec<String>,
    /// The command that builds it, run in the list's directory. Empty if there is nothing to build.
    build: String,
    /// The command that starts it in the foreground on `{port}`. `{programs}` is where ours are.
    run: String,
    /// A multiple of the usual number of events, to warm it up.
    #[serde(default = "one")]
    warm_up: u64,
    /// It answers without counting, so there is nothing to check.
    #[serde(default)]
    canned: bool,
    /// The forms of batches that its `POST /events` takes.
    #[serde(default)]
    batches: Vec<Form>,
}

fn one() -> u64 {
    1
}

/// The results that `plot` reads.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub machine: String,
    pub date: String,
    pub command: String,
    pub servers: Vec<Outcome>,
}

/// One server's results.
#[derive(Serialize, Deserialize)]
pub struct Outcome {
    pub name: String,
    /// Requests a second with the challenge client, one and 16 in flight.
    pub rates: [f64; 2],
    /// The same with wrk.
    pub wrk_rates: [f64; 2],
    /// Events a second in batches, by kind; `None` where it does not take them.
    #[serde(default)]
    pub batch_rates: [Option<f64>; 3],
    pub verdict: String,
}

pub fn run(
    common: &Common,
    list: &Path,
    only: Option<&str>,
    json: Option<&Path>,
) -> Result<bool, String> {
    if !load::has_wrk() {
        return Err("it needs wrk (apt-get install wrk)".into());
    }
    let text = std::fs::read_to_string(list).map_err(|e| format!("{}: {e}", list.display()))?;
    let peers: Vec<Peer> =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", list.display()))?;
    let directory = list.parent().unwrap_or(Path::new("."));
    let mut contestants = Vec::new();
    for peer in peers.into_iter().filter(|peer| only.is_none_or(|part| peer.name.contains(part))) {
        match peer.build(directory) {
            Ok(()) => contestants.push((peer, Samples::default())),
            Err(reason) => println!("{}: skipped, {reason}", peer.name),
        }
    }
    println!("{}", machine::describe());
    measure(&mut contestants, directory, common)?;
    let mut table = table();
    let mut results = Vec::new();
    for (peer, samples) in &contestants {
        let outcome = samples.outcome(&peer.name, peer.verdict(directory, common)?);
        table.row(samples.row(&outcome));
        results.push(outcome);
    }
    print(&table, common);
    let exact =
        results.iter().filter(|result| result.name == "millrace").all(|r| r.verdict == "exact");
    if let Some(path) = json {
        let results = Results {
            machine: machine::name(),
            date: today(),
            command: "make compare".to_owned(),
            servers: results,
        };
        let text = serde_json::to_string_pretty(&results).expect("results are JSON");
        std::fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(exact)
}

/// Takes all rounds. In each round every server has its turn.
fn measure(
    contestants: &mut [(Peer, Samples)],
    directory: &Path,
    common: &Common,
) -> Result<(), String> {
    for round in 1..=common.rounds {
        // No server is always first, since a machine slows down while it works.
        let first = (round - 1) * contestants.len() / common.rounds;
        for number in 0..contestants.len() {
            let index = (first + number) % contestants.len();
            let (peer, samples) = &mut contestants[index];
            eprintln!("round {round} of {}: {}", common.rounds, peer.name);
            let server = Server::start(&peer.command(directory, common), Side::Server)?;
            samples.take(&server, peer, common)?;
        }
    }
    Ok(())
}

fn table() -> Table {
    let [first_kind, second_kind, third_kind] = batches::KINDS.map(batches::Batch::name);
    Table::new(&[
        "server",
        "1 in flight",
        "16 in flight",
        "wrk, 1",
        "wrk, 16",
        &first_kind,
        &second_kind,
        &third_kind,
        "user",
        "system",
        "p50",
        "p99",
        "p99.9",
        "memory",
        "errors",
        "statistics",
    ])
}

fn print(table: &Table, common: &Common) {
    println!(
        "Requests/s on 64 connections, medians of {} rounds of about {} s, in turn.\n",
        common.rounds, common.seconds
    );
    table.print();
    println!(
        "\narray, lines: events/s in batches of this size, as a JSON array and as lines (NDJSON), one \
         in flight.\nThe first two rates are the challenge client's. With one in flight a load generator is as \
         busy as a fast\nserver, so that their rates come close to one another. user, system: the \
         server's processor time for a request,\none in flight, in ns; latency is that of a closed \
         loop, one in flight; memory is after all loads; statistics:\n{} events over {} connections, one \
         in each request and in batches, checked to the event.",
        grouped(CHECK_EVENTS as f64),
        grouped(CHECK_SHAPE.connections.into())
    );
}

/// The samples of one server, by shape.
#[derive(Default)]
struct Samples {
    challenge: [Vec<Sample>; 2],
    wrk: [Vec<Sample>; 2],
    batches: [Vec<Sample>; 3],
}

impl Samples {
    /// Returns the medians of the rates.
    fn outcome(&self, name: &str, verdict: String) -> Outcome {
        let rates = |samples: &[Vec<Sample>; 2]| {
            samples.each_ref().map(|all| median(all, |sample| sample.requests_per_second))
        };
        let batch_rates = self.batches.each_ref().map(|all| {
            let rate = median(all, |sample| sample.events_per_second);
            (rate > 0.0).then_some(rate)
        });
        Outcome {
            name: name.to_owned(),
            rates: rates(&self.challenge),
            wrk_rates: rates(&self.wrk),
            batch_rates,
            verdict,
        }
    }

    /// Returns the row of the table.
    fn row(&self, outcome: &Outcome) -> Vec<String> {
        let Outcome { name, rates, wrk_rates, batch_rates, verdict } = outcome;
        let of = |figure: fn(&Sample) -> f64| median(&self.challenge[0], figure);
        let errors = self.challenge.iter().chain(&self.wrk).chain(&self.batches).flatten();
        let mut row = vec![name.clone()];
        row.extend(rates.iter().chain(wrk_rates).map(|&rate| grouped(rate)));
        row.extend(batch_rates.iter().map(|rate| rate.map_or("-".to_owned(), grouped)));
        row.extend([
            grouped(of(|sample| sample.user_ns)),
            grouped(of(|sample| sample.system_ns)),
            latency(of(|sample| sample.latency_us[0])),
            latency(of(|sample| sample.latency_us[1])),
            latency(of(|sample| sample.latency_us[2])),
            megabytes(median(&self.wrk[1], |sample| sample.resident_bytes as f64)),
            grouped(errors.map(|sample| sample.errors as f64).sum()),
            verdict.clone(),
        ]);
        row
    }

    /// Takes one round, after a warm-up whose rate gives the number of events for the time of a load.
    fn take(&mut self, server: &Server, peer: &Peer, common: &Common) -> Result<(), String> {
        for (index, &shape) in SHAPES.iter().enumerate() {
            let warm_up = WARM_UP_EVENTS * peer.warm_up * u64::from(shape.in_flight.min(4));
            let first = load::challenge(server, shape, warm_up, &common.programs, &[])?;
            let events = (first.requests_per_second * f64::from(common.seconds)) as u64;
            let events = events.max(1_000);
            let challenge = load::challenge(server, shape, events, &common.programs, &[])?;
            self.challenge[index].push(challenge);
            self.wrk[index].push(load::wrk(server, shape, common.seconds, &common.script)?);
        }
        for (index, &kind) in batches::KINDS.iter().enumerate() {
            if peer.batches.contains(&kind.form) {
                self.batches[index].push(batches::known_users(server, kind, common)?);
            }
        }
        Ok(())
    }
}

impl Peer {
    /// Sends events one by one, then in batches of the first form that it takes, each time to a fresh
    /// server. Returns `exact`, or what is wrong.
    fn verdict(&self, directory: &Path, common: &Common) -> Result<String, String> {
        if self.canned {
            return Ok("canned".to_owned());
        }
        let check = |more: &[String]| -> Result<String, String> {
            let server = Server::start(&self.command(directory, common), Side::Server)?;
            Ok(load::verdict(&server, CHECK_SHAPE, CHECK_EVENTS, &common.programs, more))
        };
        let mut verdicts = vec![check(&[])?];
        for kind in batches::KINDS.iter().filter(|kind| self.batches.contains(&kind.form)) {
            verdicts.push(check(&kind.options())?);
        }
        verdicts.dedup();
        Ok(verdicts.join("; "))
    }

    /// Builds it if everything it needs is there. Otherwise returns what is missing.
    fn build(&self, directory: &Path) -> Result<(), String> {
        let shell = |command: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).current_dir(directory).stdin(Stdio::null());
            shell.stdout(Stdio::null());
            shell
        };
        for tool in &self.needs {
            let found = shell(&format!("command -v {tool}")).status();
            if !found.is_ok_and(|status| status.success()) {
                return Err(format!("{tool} is missing"));
            }
        }
        if self.build.is_empty() {
            return Ok(());
        }
        eprintln!("building {}", self.name);
        match shell(&self.build).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{}` ended with {status}", self.build)),
            Err(error) => Err(format!("`{}`: {error}", self.build)),
        }
    }

    fn command(&self, directory: &Path, common: &Common) -> String {
        let absolute = |path: &Path| {
            std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
        };
        self.run
            .replace("{programs}", &absolute(&common.programs))
            .replace("{directory}", &absolute(directory))
    }
}

/// Returns the date in UTC, as date(1) prints it.
fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map_or_else(|_| String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}
