//! The challenge client: sends exactly N events to any server that takes the challenge, and checks
//! the server's statistics to the event.
//!
//! What it promises of itself: each event is sent once and only once. A request of which a byte was
//! sent and whose answer never came is an error, since it may have been counted; only one of which
//! nothing was sent moves to another connection, and that is reported too.

mod answer;
mod connection;
mod options;
mod pace;
mod plan;
mod progress;
mod report;
mod server;
mod worker;

use std::io;
use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use options::Options;
use plan::Plan;
use report::{Report, Run};
use server::Server;
use worker::{MARK_REQUESTS, Outcome, Shared, Worker};

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
    let server = match &options.spawn {
        Some(command) => Server::spawn(command)?,
        None => Server::at(&options.url)?,
    };
    if !options.no_check {
        server.prepare()?;
    }
    let total = options.warm_up + options.events;
    let whole = Plan::new(&server.authority, total, options.users, options.value)
        .padded(options.padding as usize);
    let expected = whole.expected();
    let mut outcome = Outcome::new();
    if options.warm_up > 0 {
        let first = whole.range(0, options.warm_up);
        // Its errors are errors of the run; its times are not.
        let warm_up = send(options, &server, first, false)?.0;
        let latency = outcome.latency.clone();
        outcome.merge(Outcome { successes: 0, latency, ..warm_up });
    }
    let timed = whole.range(options.warm_up, total);
    let (sent, elapsed, timeline) = send(options, &server, timed, true)?;
    outcome.merge(sent);
    let run = Run {
        events: options.events,
        connections: options.connections,
        pipeline: options.pipeline,
        elapsed,
        timeline,
        server_resident_bytes: server.resident_bytes(),
    };
    let checked = (!options.no_check).then(|| (&expected, server.statistics()));
    Ok(Report::new(run, outcome, checked))
}

/// Sends a plan's events from all threads; what they have seen, the time, and the timeline.
fn send(
    options: &Options,
    server: &Server,
    plan: Plan,
    with_progress: bool,
) -> Result<(Outcome, Duration, Vec<f64>), String> {
    let count = plan.count();
    let shared = Shared {
        plan,
        address: server.address,
        pipeline: options.pipeline as usize,
        timeout: options.timeout,
        ended: AtomicU64::new(0),
        marks: (0..count / MARK_REQUESTS).map(|_| AtomicU64::new(0)).collect(),
    };
    let threads = options.threads.min(options.connections) as usize;
    let rate = options.rate.map(|rate| rate / threads as f64);
    // All threads, and this one, start the clock when all connections are there.
    let ready = Barrier::new(threads + 1);
    let results: Vec<io::Result<(Outcome, Instant)>>;
    let start;
    (start, results) = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let (shared, ready) = (&shared, &ready);
                let connections = share(options.connections as usize, threads, thread);
                scope.spawn(move || {
                    let worker = Worker::connect(shared, connections);
                    ready.wait();
                    let outcome = worker?.run(Instant::now(), rate)?;
                    Ok((outcome, Instant::now()))
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        if with_progress {
            progress::show(&shared.ended, count, start, || {
                handles.iter().all(|handle| handle.is_finished())
            });
        }
        (
            start,
            handles
                .into_iter()
                .map(|handle| handle.join().expect("threads do not panic"))
                .collect(),
        )
    });
    let mut outcome = Outcome::new();
    let mut end = start;
    for result in results {
        let (seen, ended_at) = result.map_err(|error| format!("cannot go on: {error}"))?;
        outcome.merge(seen);
        end = end.max(ended_at);
    }
    Ok((outcome, end.duration_since(start), timeline(&shared.marks)))
}

/// How many of `whole` belong to `index` of `parts`.
fn share(whole: usize, parts: usize, index: usize) -> usize {
    whole / parts + usize::from(index < whole % parts)
}

/// Requests a second between marks, as far as they were reached.
fn timeline(marks: &[AtomicU64]) -> Vec<f64> {
    let mut before = 0;
    let reached = marks.iter().map(|mark| mark.load(Ordering::Relaxed)).take_while(|&ns| ns > 0);
    reached
        .map(|ns| {
            // Threads note their marks side by side, so two may be out of order by a little.
            let taken_ns = ns.saturating_sub(before).max(1);
            before = ns;
            MARK_REQUESTS as f64 / (taken_ns as f64 / 1e9)
        })
        .collect()
}

/// Raises the soft limit of descriptors to the hard one, and says if that is not enough.
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

    #[test]
    fn the_timeline_is_the_rate_between_marks() {
        let marks = [1_000_000_000, 1_500_000_000, 0].map(AtomicU64::new);
        assert_eq!(timeline(&marks), [100_000.0, 200_000.0]);
    }
}
