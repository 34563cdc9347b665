//! Measures servers in turn, so that what the machine does to one it does to all.
//!
//! `bench floor` puts millrace beside the floor, a server that parses nothing, and measures batches;
//! `bench compare` puts it beside the servers that are usually used; `bench scale` beside itself, as
//! connections, users, bodies and workers grow; `bench state` measures what a state directory costs,
//! beside Redis and SQLite; `bench plot` draws what `compare` found. Each server runs on the first
//! processor and the load on the second, if there are two.

mod batches;
mod compare;
mod disk;
mod floor;
mod load;
mod machine;
mod plot;
mod recovery;
mod scale;
mod server;
mod state;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Exit status: 0, 1 if a server was wrong that must not be, 2 if nothing could be measured.
#[derive(Parser)]
#[command(version, about)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// millrace and the floor in turn: rates, their ratio, processor time, latency and memory.
    Floor {
        #[command(flatten)]
        common: Common,
    },
    /// All servers of a list in turn, with a check that each counts exactly.
    Compare {
        #[command(flatten)]
        common: Common,
        /// The list: what each server is called, needs, is built with and started with.
        #[arg(long, default_value = "tools/peers/peers.json")]
        peers: PathBuf,
        /// Only servers whose names contain this.
        #[arg(long)]
        only: Option<String>,
        /// Where to write the results for `plot`.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// millrace alone, with more and more of everything.
    Scale {
        #[command(flatten)]
        common: Common,
        /// The largest set of users; the contract's is 50 million, which takes minutes and 2 GB.
        #[arg(long, default_value_t = 1_000_000)]
        users_max: u64,
    },
    /// millrace without a state directory and with one, Redis, SQLite, and the disk alone; recovery.
    State {
        #[command(flatten)]
        common: Common,
        /// Where the state directories are, on the disk that is to be measured.
        #[arg(long, default_value = "target/bench-state")]
        directory: PathBuf,
        /// The largest state that is recovered; the contract's is 50 million users.
        #[arg(long, default_value_t = 10_000_000)]
        users_max: u64,
        /// Only millrace, without Redis and SQLite.
        #[arg(long)]
        alone: bool,
    },
    /// Draws the results of `compare`.
    Plot {
        /// What `compare --json` wrote.
        results: PathBuf,
        /// The picture, SVG.
        picture: PathBuf,
    },
}

/// How to measure.
#[derive(Args, Clone)]
pub struct Common {
    /// Where the built programs are.
    #[arg(long, default_value = "target/release")]
    pub programs: PathBuf,
    /// How often everything is measured, in turn; medians are reported.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How long each load lasts.
    #[arg(long, default_value_t = 3)]
    pub seconds: u32,
    /// The script that makes wrk send the challenge's events.
    #[arg(long, default_value = "tools/wrk/challenge.lua")]
    pub script: PathBuf,
}

fn main() -> ExitCode {
    let outcome = match Options::parse().task {
        Task::Floor { common } => floor::run(&common).map(|()| true),
        Task::Compare { common, peers, only, json } => {
            compare::run(&common, &peers, only.as_deref(), json.as_deref())
        }
        Task::Scale { common, users_max } => scale::run(&common, users_max).map(|()| true),
        Task::State { common, directory, users_max, alone } => {
            let plan = state::Plan { directory, users_max, peers: !alone };
            state::run(&common, &plan).map(|()| true)
        }
        Task::Plot { results, picture } => plot::run(&results, &picture).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}
