//! What it costs to keep the counts: millrace without a state directory and with one, and what people
//! would use instead, an HTTP server that keeps its counts in Redis or SQLite.
//!
//! Redis and the server in front of it share one processor, as millrace's threads do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Common;
use crate::batches::{Batch, Form};
use crate::disk;
use crate::load::{self, Sample, Shape, median};
use crate::machine::{self, Side};
use crate::recovery;
use crate::server::Server;
use crate::table::{Table, grouped, latency};

/// What is measured, and where.
pub struct Plan {
    /// A directory on the disk to be measured.
    pub directory: PathBuf,
    /// The largest state that is recovered.
    pub users_max: u64,
    /// Whether Redis and SQLite are measured too.
    pub peers: bool,
}

/// One kind of load.
#[derive(Clone, Copy)]
struct Kind {
    shape: Shape,
    batch: Option<Batch>,
}

const fn single(connections: u32, in_flight: u32) -> Kind {
    Kind { shape: Shape { connections, in_flight }, batch: None }
}

const fn batched(connections: u32) -> Kind {
    let batch = Batch { form: Form::Array, events: 1_000 };
    Kind { shape: Shape { connections, in_flight: 1 }, batch: Some(batch) }
}

const KINDS: [Kind; 6] = [
    single(64, 1),
    single(64, 16),
    single(1_000, 1),
    single(1_000, 16),
    batched(64),
    batched(1_000),
];

/// A server, by the way in which it keeps its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    Nothing,
    EverySecond,
    Always,
    RedisEverySecond,
    RedisAlways,
    SqliteNormal,
    SqliteFull,
}

const OURS: [Keeping; 3] = [Keeping::Nothing, Keeping::EverySecond, Keeping::Always];
const PEERS: [Keeping; 4] =
    [Keeping::RedisEverySecond, Keeping::SqliteNormal, Keeping::RedisAlways, Keeping::SqliteFull];

/// Where the built programs are.
struct Programs {
    millrace: String,
    peer: String,
}

impl Keeping {
    /// Returns the server's command; `directory` is empty and its own.
    fn command(self, programs: &Programs, directory: &str) -> String {
        let Programs { millrace, peer } = programs;
        let ours = |more: &str| {
            format!("{millrace} --workers 1 --log-level error --listen 127.0.0.1:{{port}}{more}")
        };
        let redis = |fsync: &str| {
            format!(
                "sh -c 'redis-server --port 0 --unixsocket {directory}/socket --dir {directory} \
                 --save \"\" --appendonly yes --appendfsync {fsync} >{directory}/log & \
                 exec {peer} {{port}} redis {directory}/socket'"
            )
        };
        match self {
            Keeping::Nothing => ours(""),
            Keeping::EverySecond => ours(&format!(" --state {directory}/state")),
            Keeping::Always => ours(&format!(" --state {directory}/state --fsync always")),
            Keeping::RedisEverySecond => redis("everysec"),
            Keeping::RedisAlways => redis("always"),
            Keeping::SqliteNormal => format!("{peer} {{port}} sqlite {directory} everysec"),
            Keeping::SqliteFull => format!("{peer} {{port}} sqlite {directory} always"),
        }
    }

    /// Returns the number of events of the load that finds out how many fit the time.
    fn trial_events(self, kind: Kind) -> u64 {
        match (OURS.contains(&self), kind.batch) {
            (true, None) => 100_000,
            (true, Some(_)) => 2_000_000,
            (false, None) => 20_000,
            (false, Some(_)) => 200_000,
        }
    }
}

impl Kind {
    fn name(self) -> String {
        let Shape { connections, in_flight } = self.shape;
        let connections = grouped(connections.into());
        match self.batch {
            None => format!("{connections} x {in_flight}"),
            Some(batch) => format!("{connections} x 1, {}", batch.name()),
        }
    }

    /// Measures a load that lasts about as long as asked for. The first load makes the users known.
    fn measure(self, server: &Server, trial: u64, common: &Common) -> Result<Sample, String> {
        let options = self.batch.map(Batch::options).unwrap_or_default();
        let load = |events| load::challenge(server, self.shape, events, &common.programs, &options);
        let first = load(trial)?;
        let second = load(trial)?;
        let rate = first.events_per_second.max(second.events_per_second);
        load((rate * f64::from(common.seconds)).max(trial as f64) as u64)
    }
}

/// One server's samples under one load, round by round.
struct Cell {
    kind: Kind,
    keeping: Keeping,
    samples: Vec<Sample>,
}

/// Measures all of it and prints tables. Without rounds, only times of recovery.
pub fn run(common: &Common, plan: &Plan) -> Result<(), String> {
    fs::create_dir_all(&plan.directory)
        .map_err(|error| format!("cannot make {}: {error}", plan.directory.display()))?;
    let absolute = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = absolute(&plan.directory);
    let programs = Programs {
        millrace: absolute(&common.programs).join("millrace").display().to_string(),
        peer: absolute(Path::new(PEER_PROGRAM)).display().to_string(),
    };
    println!("{}", machine::describe());
    if common.rounds > 0 {
        rates(common, plan.peers, &programs, &directory)?;
    }
    recovery::run(common, &programs.millrace, &directory, plan.users_max)
}

/// Measures all servers under all loads, in turn, and prints their rates.
fn rates(
    common: &Common,
    peers: bool,
    programs: &Programs,
    directory: &Path,
) -> Result<(), String> {
    let mut contestants = OURS.to_vec();
    if peers {
        match build_peer() {
            Ok(()) => contestants.extend(PEERS),
            Err(missing) => println!("Redis and SQLite are not measured: {missing}."),
        }
    }
    let cell = |kind, keeping| Cell { kind, keeping, samples: Vec::new() };
    let all = KINDS.iter().flat_map(|&kind| contestants.iter().map(move |&it| cell(kind, it)));
    let mut cells: Vec<Cell> = all.collect();
    let mut syncs = Vec::new();
    for round in 1..=common.rounds {
        eprintln!("state, round {round} of {}", common.rounds);
        for cells in cells.chunks_mut(contestants.len()) {
            syncs.push(disk::syncs_per_second(directory)?);
            // Each round begins with another one.
            let count = cells.len();
            cells.rotate_left(round % count);
            for cell in &mut *cells {
                cell.samples.push(cell.measure(common, programs, directory)?);
            }
            cells.rotate_right(round % count);
        }
    }
    syncs.sort_by(f64::total_cmp);
    let syncs = syncs[syncs.len() / 2];
    println!(
        "Medians of {} rounds of {} s, in turn. Events a second.\n",
        common.rounds, common.seconds
    );
    print_ours(&cells, syncs);
    if contestants.len() > OURS.len() {
        print_peers(&cells);
    }
    Ok(())
}

impl Cell {
    /// Measures a new server with an empty directory of its own.
    fn measure(
        &self,
        common: &Common,
        programs: &Programs,
        directory: &Path,
    ) -> Result<Sample, String> {
        let place = directory.join(format!("{:?}", self.keeping));
        in_new_directory(&place, || {
            let command = self.keeping.command(programs, &place.display().to_string());
            let server = Server::start(&command, Side::Server)?;
            self.kind.measure(&server, self.keeping.trial_events(self.kind), common)
        })
    }
}

/// Runs `work` with a new, empty directory, and removes that afterwards.
pub fn in_new_directory<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let failed = |error| format!("{}: {error}", path.display());
    // One that an interrupted run has left.
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path).map_err(failed)?;
    let done = work();
    fs::remove_dir_all(path).map_err(failed)?;
    done
}

const PEER: &str = "tools/peers/axum-state/Cargo.toml";
const PEER_PROGRAM: &str = "tools/peers/build/axum-state/release/peer-axum-state";

/// Builds the server in front of Redis and SQLite. Returns what is missing otherwise.
fn build_peer() -> Result<(), String> {
    let succeeds = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !succeeds(Command::new("redis-server").arg("--version")) {
        return Err("redis-server is missing (apt-get install redis-server)".to_owned());
    }
    eprintln!("building the server in front of Redis and SQLite");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path", PEER]);
    cargo.args(["--target-dir", "tools/peers/build/axum-state"]);
    succeeds(&mut cargo).then_some(()).ok_or_else(|| format!("{PEER} cannot be built"))
}

fn samples(cells: &[Cell], kind: usize, keeping: Keeping) -> &[Sample] {
    let cells = &cells[kind * (cells.len() / KINDS.len())..];
    let cell = cells.iter().find(|cell| cell.keeping == keeping);
    cell.map_or(&[], |cell| &cell.samples)
}

/// Returns the median of the ratios of each round.
fn ratio(ours: &[Sample], others: &[Sample]) -> f64 {
    let pairs = ours.iter().zip(others);
    let ratios = pairs.map(|(a, b)| a.events_per_second / b.events_per_second);
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the rate that the disk allows where each request waits for a sync: a round serves each
/// connection once, and takes the time of its requests without a state directory and that of one sync.
fn allowed(kind: Kind, rate: f64, syncs: f64) -> f64 {
    let Shape { connections, in_flight } = kind.shape;
    let requests = f64::from(connections) * f64::from(in_flight);
    let events = requests * kind.batch.map_or(1.0, |batch| f64::from(batch.events));
    events / (events / rate + 1.0 / syncs)
}

fn print_ours(cells: &[Cell], syncs: f64) {
    let mut table = Table::new(&[
        "load",
        "no state",
        "everysec",
        "ratio",
        "ns",
        "ns everysec",
        "always",
        "allowed",
        "factor",
        "p50",
        "p99",
        "errors",
    ]);
    for (index, kind) in KINDS.iter().enumerate() {
        let [nothing, every_second, always] = OURS.map(|keeping| samples(cells, index, keeping));
        let rate = |samples| median(samples, |sample| sample.events_per_second);
        let ns = |samples| median(samples, |sample| sample.user_ns + sample.system_ns);
        let allowed = allowed(*kind, rate(nothing), syncs);
        let errors = [nothing, every_second, always].into_iter().flatten();
        table.row(vec![
            kind.name(),
            grouped(rate(nothing)),
            grouped(rate(every_second)),
            format!("{:.2}", ratio(every_second, nothing)),
            format!("{:.0}", ns(nothing)),
            format!("{:.0}", ns(every_second)),
            grouped(rate(always)),
            grouped(allowed),
            format!("{:.2}", allowed / rate(always)),
            latency(median(always, |sample| sample.latency_us[0])),
            latency(median(always, |sample| sample.latency_us[1])),
            grouped(errors.map(|sample| sample.errors as f64).sum()),
        ]);
    }
    table.print();
    println!(
        "\nratio: everysec against no state, the median of each round's. ns: the server's \
         processor time for an event,\nwithout state and with everysec. The disk alone: {} times a \
         second a write of 512 bytes and an fdatasync.\nallowed: the rate if each round of all \
         connections takes its time without state and one such sync;\nfactor: allowed against always. \
         p50, p99: with always.",
        grouped(syncs)
    );
}

fn print_peers(cells: &[Cell]) {
    let mut table = Table::new(&[
        "load",
        "millrace everysec",
        "Redis everysec",
        "SQLite NORMAL",
        "millrace always",
        "Redis always",
        "SQLite FULL",
    ]);
    let columns = [
        Keeping::EverySecond,
        Keeping::RedisEverySecond,
        Keeping::SqliteNormal,
        Keeping::Always,
        Keeping::RedisAlways,
        Keeping::SqliteFull,
    ];
    for (index, kind) in KINDS.iter().enumerate() {
        let mut row = vec![kind.name()];
        for keeping in columns {
            let samples = samples(cells, index, keeping);
            let rate = grouped(median(samples, |sample| sample.events_per_second));
            row.push(match samples.iter().map(|sample| sample.errors).sum::<u64>() {
                0 => rate,
                errors => format!("{rate} ({} errors)", grouped(errors as f64)),
            });
        }
        table.row(row);
    }
    println!();
    table.print();
    println!(
        "\nRedis and SQLite behind the axum peer, all on one processor: SADD, INCRBY and INCRBYFLOAT in \
         a transaction,\npipelined; SQLite in WAL mode, one transaction for all requests that wait."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_allows_is_bounded_by_its_syncs_and_by_the_rate_without() {
        // 1,000 answers each 10 ms of syncs, and nearly no time for the requests.
        let by_the_disk = allowed(single(1_000, 1), 1e12, 100.0);
        assert!((by_the_disk - 100_000.0).abs() < 1.0, "{by_the_disk}");
        let by_the_requests = allowed(single(1_000, 1), 50_000.0, 1e12);
        assert!((by_the_requests - 50_000.0).abs() < 1.0, "{by_the_requests}");
    }

    #[test]
    fn each_server_keeps_its_counts_in_its_own_directory() {
        let programs = Programs { millrace: "m".into(), peer: "p".into() };
        for keeping in [&OURS[1..], &PEERS].concat() {
            let command = keeping.command(&programs, "/place");
            assert!(command.contains("/place") && command.contains("{port}"), "{command}");
        }
        assert!(!Keeping::Nothing.command(&programs, "/place").contains("/place"));
    }
}
