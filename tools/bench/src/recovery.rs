//! How long a start takes that reads a state directory, and what the directory takes on the disk.

use std::path::Path;

use crate::Common;
use crate::batches::{Batch, Form, SHAPE};
use crate::disk;
use crate::load;
use crate::machine::Side;
use crate::server::Server;
use crate::state::in_new_directory;
use crate::table::{Table, grouped};

const USERS: [u64; 4] = [75_000, 1_000_000, 10_000_000, 50_000_000];
/// Starts of which the median counts.
const STARTS: usize = 3;

/// Prints times of recovery, for states of up to `users_max` users.
pub fn run(
    common: &Common,
    millrace: &str,
    directory: &Path,
    users_max: u64,
) -> Result<(), String> {
    let mut table = Table::new(&[
        "users",
        "one processor",
        "two",
        "two, from the disk",
        "bytes on disk",
        "for each user",
    ]);
    for users in USERS.into_iter().filter(|&users| users <= users_max) {
        eprintln!("recovery of {} users", grouped(users as f64));
        let place = directory.join("recovery");
        let row = in_new_directory(&place, || measure(common, millrace, &place, users))?;
        table.row(row);
    }
    println!();
    table.print();
    println!(
        "\nThe server's own time from opening the directory to being able to count, the median of \
         {STARTS} starts,\nfrom the page cache, or from the disk. The files have room for new users, \
         which is part of the bytes."
    );
    Ok(())
}

fn measure(
    common: &Common,
    millrace: &str,
    place: &Path,
    users: u64,
) -> Result<Vec<String>, String> {
    let state = place.join("state");
    let start = |workers: u32, side| {
        let options = format!("--workers {workers} --log-level error --listen 127.0.0.1:{{port}}");
        Server::start(&format!("{millrace} {options} --state {}", state.display()), side)
    };
    let batch = Batch { form: Form::Lines, events: 1_000 };
    let mut options = batch.options();
    options.push(format!("--users={users}"));
    let server = start(2, Side::WideServer)?;
    let sample = load::challenge(&server, SHAPE, users, &common.programs, &options)?;
    drop(server);
    if sample.errors > 0 {
        return Err(format!("{} errors while {users} users were sent", sample.errors));
    }
    let seconds = |workers, side, before: &dyn Fn() -> std::io::Result<()>| {
        let mut all = Vec::new();
        for _ in 0..STARTS {
            before().map_err(|error| format!("{}: {error}", state.display()))?;
            let server = start(workers, side)?;
            let recovered = server.metric("millrace_unique_users");
            if recovered != Some(users as f64) {
                return Err(format!("{recovered:?} of {users} users were recovered"));
            }
            all.push(server.metric("millrace_journal_recovery_seconds").unwrap_or(f64::NAN));
        }
        all.sort_by(f64::total_cmp);
        Ok(all[STARTS / 2])
    };
    let cached = || Ok(());
    let one = seconds(1, Side::Server, &cached)?;
    let two = seconds(2, Side::WideServer, &cached)?;
    let from_disk = seconds(2, Side::WideServer, &|| disk::forget(&state))?;
    let bytes = disk::bytes_on_disk(&state).map_err(|error| error.to_string())?;
    Ok(vec![
        grouped(users as f64),
        milliseconds(one),
        milliseconds(two),
        milliseconds(from_disk),
        grouped(bytes as f64),
        format!("{:.1}", bytes as f64 / users as f64),
    ])
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}
