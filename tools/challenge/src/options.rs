//! The options of the client.

use std::time::Duration;

use clap::Parser;

use crate::plan::{Batching, ValueRule};

/// Sends the One Million Request Challenge to a server, and checks its statistics to the event.
///
/// Every event is sent exactly once, or with --exactly-once counted exactly once. Exit status: 0 if
/// the server counted all of them exactly, 1 if not, 2 if the run could not be made.
#[derive(Clone, Debug, Parser)]
#[command(version, args_override_self = true)]
pub struct Options {
    /// URL of the server.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080", conflicts_with = "spawn")]
    pub url: String,
    /// Events to send.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub events: u64,
    /// Connections to keep open.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pipeline: u32,
    /// Distinct users: event i is of user i % USERS.
    #[arg(long, default_value_t = 75_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub users: u64,
    /// Value of event i: mod (i % 1000), half (i % 1000 + 0.5), signed (i % 1000 - 500), index (i),
    /// or const:NUMBER.
    #[arg(long, default_value_t = ValueRule::Mod, allow_hyphen_values = true)]
    pub value: ValueRule,
    /// Threads to send with.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Send this number of requests a second, and do not wait for answers. Latency is then measured
    /// from the time at which a request was due. Without it, each answer makes room for the next
    /// request.
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Send events in batches of N, through POST /events. Each answer must be 200 {"counted":N}.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: Option<u32>,
    /// Send each batch as a JSON array instead of one event on each line.
    #[arg(long, requires = "batch")]
    pub array: bool,
    /// Give each connection a producer (Millrace-Producer, Millrace-Seq) that sends a request again
    /// after its answer was lost. The server counts it once.
    #[arg(long)]
    pub exactly_once: bool,
    /// Kill the server with SIGKILL this number of times at random moments, and start it again with
    /// the same command. The command must keep the server's state, as with --state {state}.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "spawn",
        requires = "exactly_once"
    )]
    pub kill: u32,
    /// Bytes to add to each event, in a member that a server skips.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub padding: u32,
    /// Only send: neither ask for statistics before, nor check them after.
    #[arg(long)]
    pub no_check: bool,
    /// Events to send before the clock starts; they count in the statistics that are expected.
    #[arg(long, default_value_t = 0)]
    pub warm_up: u64,
    /// Seconds to wait for an answer.
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Start the server with this command, wait until it answers, and stop it afterwards. {port}
    /// stands for a free port, {state} for a new directory that is removed at the end.
    #[arg(long, value_name = "COMMAND")]
    pub spawn: Option<String>,
}

impl Options {
    /// Returns how events are put into requests.
    pub fn batching(&self) -> Batching {
        match self.batch {
            None => Batching::Single,
            Some(events) if self.array => Batching::Array { events },
            Some(events) => Batching::Lines { events },
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if number > 0.0 && number.is_finite() { Ok(number) } else { Err("must be above 0".to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    positive(text)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()))
}
