//! Puts a server under stress and checks that nothing was lost or left over.
//!
//! `soak mixed` runs clients of every kind for some minutes: good clients, and clients that pipeline,
//! break the protocol, are slow, do not read, or vanish. Then the statistics must be exact to the
//! event, and memory and descriptors must be back to where they were. `soak slowloris` measures
//! normal load beside thousands of clients that trickle, and checks that their time-outs end them.

mod clients;
mod ledger;
mod server;
mod slowloris;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use clients::{Context, KINDS};
use ledger::Ledger;
use server::{Footprint, Server};

/// Exit status: 0 if the server passed, 1 if not, 2 if it could not be tried.
#[derive(Parser)]
#[command(version, about)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs clients of every kind at once, then accounts for every event.
    Mixed {
        /// The millrace to start.
        millrace: PathBuf,
        /// How long to run.
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Repeats the choices of an earlier run, but not its timing.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measures normal load with and without thousands of trickling clients.
    Slowloris {
        /// The millrace to start.
        millrace: PathBuf,
        /// The client that makes the normal load.
        challenge: PathBuf,
        /// Trickling clients.
        #[arg(long, default_value_t = 5_000)]
        connections: usize,
        /// Measurements of either kind, in turn.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
}

fn main() -> ExitCode {
    let outcome = match Options::parse().task {
        Task::Mixed { millrace, minutes, seed } => {
            mixed(&millrace, minutes, seed.unwrap_or_else(|| fastrand::u64(..)))
        }
        Task::Slowloris { millrace, challenge, connections, rounds } => {
            slowloris::run(&millrace, &challenge, connections, rounds)
        }
    };
    match outcome {
        Ok(faults) if faults.is_empty() => {
            println!("PASS");
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            for fault in faults {
                println!("FAULT  {fault}");
            }
            println!("FAIL");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(2)
        }
    }
}

/// Long enough for every kind of client to have been there, so that what the server keeps for good
/// (pooled buffers, tables) is there when the first footprint is taken.
const WARM_UP: Duration = Duration::from_secs(8);
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of memory for a user, at the most.
const USER_BYTES: u64 = 40;
/// What the allocator may keep.
const MEMORY_SLACK_BYTES: u64 = 2 << 20;

fn mixed(millrace: &std::path::Path, minutes: f64, seed: u64) -> Result<Vec<String>, String> {
    println!("seed {seed}");
    fastrand::seed(seed);
    // Short, so that many clients live to see them.
    let time_outs =
        ["--header-timeout=1.5", "--body-timeout=1.5", "--idle-timeout=2.5", "--write-timeout=1.5"];
    let server = Server::start(millrace, &time_outs)?;
    let ledger = Ledger::default();
    let faults = |ledger: &Ledger| ledger.faults.lock().expect("no client panics").clone();

    let before = soak_for(WARM_UP, &server, &ledger)?;
    if !faults(&ledger).is_empty() {
        return Ok(faults(&ledger));
    }
    println!("after the warm-up: {before}");
    let after = soak_for(Duration::from_secs_f64(minutes * 60.0), &server, &ledger)?;
    println!("at the end:        {after}");

    let mut faults = faults(&ledger);
    if after.descriptors != before.descriptors {
        faults.push(format!("{} descriptors became {}", before.descriptors, after.descriptors));
    }
    let new_users = after.users - before.users;
    let allowed = before.resident_bytes + new_users * USER_BYTES + MEMORY_SLACK_BYTES;
    if after.resident_bytes > allowed {
        faults.push(format!(
            "{} bytes of memory became {}, which {new_users} more users do not explain",
            before.resident_bytes, after.resident_bytes
        ));
    }
    println!("{}", server.closings()?);
    let last = server.stop()?;
    faults.extend(ledger.check(&last));
    println!("{last}, {}", ledger.summary());
    Ok(faults)
}

/// Runs all clients for this time, waits until they are gone, and looks at the server.
fn soak_for(time: Duration, server: &Server, ledger: &Ledger) -> Result<Footprint, String> {
    let running = AtomicBool::new(true);
    let context = Context { address: server.address, ledger, running: &running };
    let context = &context;
    thread::scope(|scope| {
        for kind in KINDS {
            for number in 0..kind.clients {
                let seed = fastrand::u64(..);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    while context.running.load(Ordering::Relaxed) {
                        if let Err(fault) = (kind.visit)(context, &mut random, number) {
                            ledger.fault(format!("{}: {fault}", kind.name));
                            context.running.store(false, Ordering::Relaxed);
                        }
                        ledger.visits.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        let start = Instant::now();
        let mut reported = start;
        while start.elapsed() < time && running.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
            if reported.elapsed() >= REPORT_INTERVAL {
                reported = Instant::now();
                println!("{:5.0} s  {}", start.elapsed().as_secs_f64(), ledger.summary());
            }
        }
        running.store(false, Ordering::Relaxed);
    });
    server.wait_until_alone()?;
    server.footprint()
}
