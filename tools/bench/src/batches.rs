//! Batches: many events in one request, through `POST /events`.

use serde::Deserialize;

use crate::Common;
use crate::load::{self, Sample, Shape, median};
use crate::server::Server;
use crate::table::{Table, grouped, latency, megabytes};

/// How the events of a batch are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One JSON array.
    Array,
    /// One event on each line (NDJSON).
    Lines,
}

/// A kind of batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub form: Form,
    pub events: u32,
}

impl Batch {
    /// The challenge client's options for it.
    pub fn options(self) -> Vec<String> {
        let mut options = vec![format!("--batch={}", self.events)];
        options.extend((self.form == Form::Array).then(|| "--array".to_owned()));
        options
    }

    /// The head of a column.
    pub fn name(self) -> String {
        let form = if self.form == Form::Array { "array" } else { "lines" };
        format!("{form}, {}", grouped(self.events.into()))
    }
}

/// One request in flight on each connection: a batch keeps a worker busy for long enough.
pub const SHAPE: Shape = Shape { connections: 64, in_flight: 1 };
/// What is measured of each server that takes batches of this form.
pub const KINDS: [Batch; 3] = [
    Batch { form: Form::Array, events: 100 },
    Batch { form: Form::Array, events: 1_000 },
    Batch { form: Form::Lines, events: 1_000 },
];
/// Sent before anything is measured; also finds the number of events for the time of a load.
const WARM_UP_EVENTS: u64 = 100_000;

/// Measures batches of known users for about as long as a load lasts. The first load makes them
/// known.
pub fn known_users(server: &Server, batch: Batch, common: &Common) -> Result<Sample, String> {
    let options = batch.options();
    let load = |events| load::challenge(server, SHAPE, events, &common.programs, &options);
    let first = load(WARM_UP_EVENTS)?;
    if first.events_per_second == 0.0 {
        return Ok(first);
    }
    load((first.events_per_second * f64::from(common.seconds)).max(1_000.0) as u64)
}

/// Events of the table in which each is of a new user.
const NEW_USERS: [u64; 2] = [1_000_000, 5_000_000];

/// Prints millrace's rates in batches, of known and of new users, on one processor.
pub fn run(common: &Common, start: impl Fn() -> Result<Server, String>) -> Result<(), String> {
    let mut rows: Vec<(String, Vec<Sample>)> = Vec::new();
    let mut note =
        |name: String, sample: Sample| match rows.iter_mut().find(|(other, _)| *other == name) {
            Some((_, samples)) => samples.push(sample),
            None => rows.push((name, vec![sample])),
        };
    for round in 1..=common.rounds {
        eprintln!("batches, round {round} of {}", common.rounds);
        for batch in KINDS {
            let sample = known_users(&start()?, batch, common)?;
            if sample.events_per_second == 0.0 {
                println!("\nmillrace does not take batches: {} errors.", sample.errors);
                return Ok(());
            }
            note(format!("{}, 75,000 known users", batch.name()), sample);
        }
        for users in NEW_USERS {
            let batch = Batch { form: Form::Lines, events: 1_000 };
            let mut options = batch.options();
            options.push(format!("--users={users}"));
            let sample = load::challenge(&start()?, SHAPE, users, &common.programs, &options)?;
            note(format!("{}, {} new users", batch.name(), grouped(users as f64)), sample);
        }
    }
    let mut table =
        Table::new(&["batches", "events/s", "user", "system", "p50", "p99", "memory", "errors"]);
    for (name, samples) in &rows {
        let of = |figure: fn(&Sample) -> f64| median(samples, figure);
        table.row(vec![
            name.clone(),
            grouped(of(|sample| sample.events_per_second)),
            format!("{:.1}", of(|sample| sample.user_ns)),
            format!("{:.1}", of(|sample| sample.system_ns)),
            latency(of(|sample| sample.latency_us[0])),
            latency(of(|sample| sample.latency_us[1])),
            megabytes(of(|sample| sample.resident_bytes as f64)),
            grouped(samples.iter().map(|sample| sample.errors as f64).sum()),
        ]);
    }
    println!();
    table.print();
    println!(
        "\nmillrace with one worker, {} connections, one batch in flight on each. user, system: its \
         processor time for\nan event, in ns; latency is that of a batch.",
        SHAPE.connections
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_asked_for_with_the_clients_options() {
        let batch = Batch { form: Form::Array, events: 100 };
        assert_eq!(batch.options(), ["--batch=100", "--array"]);
        assert_eq!(Batch { form: Form::Lines, ..batch }.options(), ["--batch=100"]);
        assert_eq!(KINDS.map(Batch::name), ["array, 100", "array, 1,000", "lines, 1,000"]);
    }
}
