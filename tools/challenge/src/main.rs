//! The challenge client: sends exactly N events to any server that takes the challenge, and checks
//! the server's statistics to the event.
//!
//! Each event is sent once and only once. A request of which a byte was sent and that got no answer
//! is an error, since it may have been counted. A request of which nothing was sent moves to another
//! connection, which is reported too.
//!
//! With `--exactly-once` each connection is a producer, which sends a request again after its answer
//! was lost (`producer.rs`). Then each event must be counted once, even if the server is killed.

mod answer;
mod connection;
mod kill;
mod options;
mod outcome;
mod pace;
mod plan;
mod producer;
mod progress;
mod report;
mod server;
mod shared;
mod worker;

use std::io;
use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use options::Options;
use outcome::Outcome;
use plan::Plan;
use report::{Report, Run};
use server::Server;
use shared::Shared;
use worker::Worker;

/// Descriptors besides those of the connections: streams, polls, and the question for statistics.
const DESCRIPTORS_RESERVED: u64 = 32;

/// The run could not be made.
const EXIT_UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            if options.json {
                println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
            } else {
                print!("\n{}", report.table());
            }
            if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            eprintln!("challenge: {message}");
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}

fn run(options: &Options) -> Result<Report, String> {
    raise_descriptor_limit(u64::from(options.connections))?;
    let mut server = match &options.spawn {
        Some(command) => Server::spawn(command)?,
        None => Server::at(&options.url)?,
    };
    if !options.no_check {
        server.prepare()?;
    }
    let total = options.warm_up + options.events;
    let whole = Plan::new(&server.authority, total, options.users, options.value)
        .padded(options.padding as usize)
        .batched(options.batching());
    let expected = whole.expected();
    let mut outcome = Outcome::new();
    if options.warm_up > 0 {
        let first = whole.range(0, options.warm_up);
        // Its errors are errors of the run; its times are not.
        let warm_up = send(options, &mut server, first, Phase::WarmUp)?.outcome;
        let latency = outcome.latency.clone();
        outcome.merge(Outcome { requests: 0, events: 0, latency, ..warm_up });
    }
    let timed = whole.range(options.warm_up, total);
    let Sent { outcome: sent, elapsed, timeline, away } =
        send(options, &mut server, timed, Phase::Timed)?;
    outcome.merge(sent);
    let run = Run {
        events: options.events,
        batch: options.batching().events(),
        connections: options.connections,
        pipeline: options.pipeline,
        elapsed,
        timeline,
        server_resident_bytes: server.resident_bytes(),
        kills: options.exactly_once.then_some((options.kill, away)),
    };
    let checked = (!options.no_check).then(|| (&expected, server.statistics()));
    Ok(Report::new(run, outcome, checked))
}

/// A part of a run.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    WarmUp,
    Timed,
}

/// What came of sending a plan's events.
struct Sent {
    outcome: Outcome,
    elapsed: Duration,
    /// Events a second between marks.
    timeline: Vec<f64>,
    /// How long there was no server.
    away: Duration,
}

/// Sends a plan's events from all threads. Kills the server meanwhile, if that is wanted.
fn send(options: &Options, server: &mut Server, plan: Plan, phase: Phase) -> Result<Sent, String> {
    let count = plan.count();
    let shared = Shared::new(options, server.address, plan, producers(options, phase));
    let threads = options.threads.min(options.connections) as usize;
    let rate = options.rate.map(|rate| rate / threads as f64);
    let kills = if phase == Phase::Timed { options.kill } else { 0 };
    // All threads, and this one, start the clock when all connections are there.
    let ready = Barrier::new(threads + 1);
    let (start, away, results) = thread::scope(|scope| {
        let mut first = 0;
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let (shared, ready) = (&shared, &ready);
                let numbers = first..first + share(options.connections as usize, threads, thread);
                first = numbers.end;
                scope.spawn(move || -> io::Result<(Outcome, Instant)> {
                    let worker = Worker::connect(shared, numbers);
                    ready.wait();
                    let outcome = worker?.run(Instant::now(), rate)?;
                    Ok((outcome, Instant::now()))
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        let is_done = || handles.iter().all(|handle| handle.is_finished());
        let away = thread::scope(|inner| {
            if phase == Phase::Timed {
                inner.spawn(|| progress::show(&shared.ended, count, start, is_done));
            }
            let away = kill::at_random(server, kills, count, &shared.ended, is_done);
            shared.server_is_gone.store(away.is_err(), Ordering::Relaxed);
            away
        });
        let results: Vec<_> = handles
            .into_iter()
            .map(|handle| handle.join().expect("threads do not panic"))
            .collect();
        (start, away, results)
    });
    let mut outcome = Outcome::new();
    let mut end = start;
    for result in results {
        let (seen, ended_at) = result.map_err(|error| format!("cannot go on: {error}"))?;
        outcome.merge(seen);
        end = end.max(ended_at);
    }
    let elapsed = end.duration_since(start);
    Ok(Sent { outcome, elapsed, timeline: shared.timeline(), away: away? })
}

/// Returns the start of the producers' names, if there are producers: one that no run before this one
/// had, since the server keeps producers as long as counts.
fn producers(options: &Options, phase: Phase) -> Option<String> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let part = if phase == Phase::WarmUp { "warm-up" } else { "timed" };
    options.exactly_once.then(|| format!("{:x}-{part}", since_1970.as_nanos()))
}

/// Returns how many of `whole` belong to `index` of `parts`.
fn share(whole: usize, parts: usize, index: usize) -> usize {
    whole / parts + usize::from(index < whole % parts)
}

/// Raises the soft limit of descriptors to the hard one. Fails if that is not enough.
fn raise_descriptor_limit(connections: u64) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|error| format!("cannot raise the limit of open files: {error}"))?;
    let needed = connections + DESCRIPTORS_RESERVED;
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => Err(format!(
            "the limit of open files is {allowed}, too low for {connections} connections: raise it to {needed} (ulimit -n {needed}) or lower --connections"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (whole, parts) in [(1000, 3), (7, 7), (1, 1), (10, 4)] {
            let shares: Vec<usize> = (0..parts).map(|index| share(whole, parts, index)).collect();
            assert_eq!(shares.iter().sum::<usize>(), whole);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
