//! millrace beside itself, as everything grows.

use crate::Common;
use crate::load::{self, Sample, Shape};
use crate::machine::{self, Side};
use crate::server::Server;
use crate::table::{Table, grouped, latency, megabytes};

const CONNECTIONS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
const USERS: [u64; 7] = [1_000, 10_000, 75_000, 1_000_000, 5_000_000, 20_000_000, 50_000_000];
/// Bytes of an event's content, about; the contract's limit is 65,536.
const BODY_BYTES: [u32; 6] = [34, 128, 1_024, 4_096, 16_384, 65_000];
const USUAL: Shape = Shape { connections: 64, in_flight: 16 };

pub fn run(common: &Common, users_max: u64) -> Result<(), String> {
    println!(
        "{}\nThe challenge client's rates; processor time of the server for a request, in ns.",
        machine::describe()
    );
    section("connections, one in flight", |table| {
        for connections in CONNECTIONS {
            let shape = Shape { connections, in_flight: 1 };
            let server = start(common, 1)?;
            row(table, common, &server, grouped(connections.into()), shape, 100_000, &[])?;
        }
        Ok(())
    })?;
    section("users, 16 in flight on 64 connections: all new, then all known", |table| {
        for users in USERS.into_iter().filter(|&users| users <= users_max) {
            let server = start(common, 1)?;
            for kind in ["new", "known"] {
                let events = if kind == "new" { users } else { users.max(1_000_000) };
                let name = format!("{} {kind}", grouped(users as f64));
                let more = [format!("--users={users}")];
                let sample = load::challenge(&server, USUAL, events, &common.programs, &more)?;
                table.row(cells(name, &sample));
            }
        }
        Ok(())
    })?;
    section("bytes of content, 16 in flight on 64 connections", |table| {
        for bytes in BODY_BYTES {
            let server = start(common, 1)?;
            let padding = format!("--padding={}", bytes.saturating_sub(34));
            let rate = if bytes < 1_000 { 800_000 } else { 1_500_000_000 / (8 * u64::from(bytes)) };
            row(table, common, &server, grouped(bytes.into()), USUAL, rate, &[padding])?;
        }
        Ok(())
    })?;
    section("workers, sharing two processors with the load", |table| {
        for workers in [1, 2] {
            for in_flight in [1, 16] {
                let server = start(common, workers)?;
                let name = format!("{workers}, {in_flight} in flight");
                let shape = Shape { connections: 64, in_flight };
                row(
                    table,
                    common,
                    &server,
                    name,
                    shape,
                    if in_flight == 1 { 100_000 } else { 1_000_000 },
                    &[],
                )?;
            }
        }
        Ok(())
    })
}

fn start(common: &Common, workers: usize) -> Result<Server, String> {
    let millrace = common.programs.join("millrace").display().to_string();
    let side = if workers == 1 { Side::Server } else { Side::WideServer };
    Server::start(
        &format!("{millrace} --workers {workers} --log-level error --listen 127.0.0.1:{{port}}"),
        side,
    )
}

fn section(name: &str, fill: impl FnOnce(&mut Table) -> Result<(), String>) -> Result<(), String> {
    let mut table = Table::new(&[name, "requests/s", "user", "system", "p50", "p99", "memory"]);
    fill(&mut table)?;
    println!();
    table.print();
    Ok(())
}

/// The best of the rounds: what others do on the machine only makes a rate worse.
fn row(
    table: &mut Table,
    common: &Common,
    server: &Server,
    name: String,
    shape: Shape,
    each_second: u64,
    more: &[String],
) -> Result<(), String> {
    let mut best: Option<Sample> = None;
    for _ in 0..common.rounds {
        let events = each_second * u64::from(common.seconds);
        let sample = load::challenge(server, shape, events, &common.programs, more)?;
        if best.as_ref().is_none_or(|best| sample.requests_per_second > best.requests_per_second) {
            best = Some(sample);
        }
    }
    let best = best.ok_or("at least one round is needed")?;
    table.row(cells(name, &best));
    Ok(())
}

fn cells(name: String, sample: &Sample) -> Vec<String> {
    vec![
        name,
        grouped(sample.requests_per_second),
        grouped(sample.user_ns),
        grouped(sample.system_ns),
        latency(sample.latency_us[0]),
        latency(sample.latency_us[1]),
        megabytes(sample.resident_bytes as f64),
    ]
}
