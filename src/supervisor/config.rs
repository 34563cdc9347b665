//! From the options and the limits of the system to the configuration of the server.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;
use std::{hint, io};

use super::keep;
use crate::app;
use crate::limits::{
    ADMIN_CONNECTIONS_MAX, DESCRIPTORS_PER_WORKER, DESCRIPTORS_RESERVED, LINGER_TIMEOUT_MS,
    START_BYTES, START_BYTES_PER_WORKER,
};
use crate::options::Options;
use crate::server::{Config, Durations};
use crate::sys::descriptors;
use crate::sys::process::Source;

/// Returns a line that describes the configuration, if a start with these options would get as far
/// as opening its socket, and could use its state directory. Changes nothing.
///
/// # Errors
/// A message for the operator.
pub fn check(options: &Options) -> Result<String, String> {
    let config = config(options, options.workers)?;
    let listen = &options.listen;
    let addresses = listen.candidates().map_err(cannot_resolve(listen))?;
    let clients = join_addresses(&addresses);
    let operators = match &options.admin_listen {
        Some(admin) => {
            let addresses = admin.resolve().map_err(cannot_resolve(admin))?;
            format!(", for operators on {}", join_addresses(&addresses))
        }
        None => String::new(),
    };
    let workers = count_of(options.workers, "worker");
    let connections = count_of(config.connections_max, "connection");
    keep::check(options)?;
    Ok(format!(
        "the configuration is valid: {workers} on {clients}{operators}\nit takes up to {connections} at a time"
    ))
}

fn join_addresses(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(" or ")
}

/// Makes the configuration of a server with this number of workers. Raises the limit of open files
/// as far as the system allows.
///
/// # Errors
/// A message for the operator, if the limit of open files is too low.
pub(super) fn config(options: &Options, workers: usize) -> Result<Config, String> {
    let connections_max = connections_max(options, workers, 0)?;
    check_memory(workers)?;
    Ok(Config {
        threads: "worker",
        workers,
        pin: options.pin,
        sandbox: options.sandbox,
        backlog: options.backlog,
        connections_max,
        journal: None,
        content_limits: app::content_limits(options),
        timeouts: Durations {
            header: options.header_timeout,
            body: options.body_timeout,
            idle: options.idle_timeout,
            write: options.write_timeout,
            linger: Duration::from_millis(LINGER_TIMEOUT_MS),
        },
    })
}

/// Returns the number of connections that there are descriptors for, or that the options ask for. `files`
/// is the number of files that stay open besides.
///
/// # Errors
/// A message for the operator, if the limit of open files is too low.
pub(super) fn connections_max(
    options: &Options,
    workers: usize,
    files: usize,
) -> Result<usize, String> {
    let descriptors_max =
        descriptors::raise_limit().map_err(failed("cannot raise the limit of open files"))?;
    let descriptors_max = usize::try_from(descriptors_max).unwrap_or(usize::MAX);
    let operators = match options.admin_listen {
        Some(_) => DESCRIPTORS_PER_WORKER + ADMIN_CONNECTIONS_MAX,
        None => 0,
    };
    let reserved = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * workers + operators + files;
    let room = descriptors_max.saturating_sub(reserved);
    let wanted = options.max_connections.unwrap_or(1);
    if wanted > room {
        let needed = reserved + wanted;
        return Err(format!(
            "the limit of open files is {descriptors_max}, too low for {} on {}: raise it to {needed} (ulimit -n {needed})",
            count_of(wanted, "connection"),
            count_of(workers, "worker"),
        ));
    }
    Ok(options.max_connections.unwrap_or(room))
}

/// Fails if the process cannot get the memory that a server with this number of workers begins with.
/// Takes it all at once and gives it back, so that a start does not fail half-way.
fn check_memory(workers: usize) -> Result<(), String> {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(start_bytes(workers)).map_err(|_| lack_of_memory(workers))?;
    // Without a use, the compiler may leave the reservation out.
    hint::black_box(&memory);
    Ok(())
}

const fn start_bytes(workers: usize) -> usize {
    START_BYTES + START_BYTES_PER_WORKER * workers
}

/// Makes the message for a start without memory.
pub(super) fn lack_of_memory(workers: usize) -> String {
    let needed_bytes = start_bytes(workers) as u64;
    let has_bytes =
        Source::open().and_then(|source| source.read()).map_or(0, |process| process.virtual_bytes);
    format!(
        "there is not enough memory: {} MiB of address space are needed for {}; raise the limit to {} KiB or more (ulimit -v)",
        needed_bytes.div_ceil(1 << 20),
        count_of(workers, "worker"),
        (has_bytes + needed_bytes).div_ceil(1 << 10),
    )
}

/// Makes the message for a name that has no address.
pub(super) fn cannot_resolve(address: &impl Display) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot resolve {address}: {error}")
}

/// Returns a number of things in words: "1 worker", "2 workers".
pub(super) fn count_of(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Makes the message for something that failed.
pub(super) fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Makes the message for something that cannot be started. The error of a thread that the system
/// refuses is the same for a lack of memory and for too many processes.
pub(super) fn cannot_start(what: &'static str) -> impl Fn(io::Error) -> String {
    move |error| {
        let hint = match error.kind() {
            io::ErrorKind::WouldBlock => {
                "; the limit of processes or of memory is too low (ulimit -u, ulimit -v)"
            }
            _ => "",
        };
        format!("cannot start {what}: {error}{hint}")
    }
}
