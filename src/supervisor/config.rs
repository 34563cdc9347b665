//! From the options and the limits of the system to the configuration of the server.

use std::io;
use std::time::Duration;

use super::{count_of, failed};
use crate::limits::{DESCRIPTORS_PER_WORKER, DESCRIPTORS_RESERVED, LINGER_TIMEOUT_MS};
use crate::options::{Listen, Options};
use crate::server::{Config, Durations};
use crate::sys::descriptors;

/// Returns a line that describes the configuration, if a start with these options would get as far
/// as opening its socket.
///
/// # Errors
/// A message for the operator.
pub fn check(options: &Options) -> Result<String, String> {
    let config = config(options, options.workers)?;
    let listen = &options.listen;
    let addresses = listen.candidates().map_err(cannot_resolve(listen))?;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let workers = count_of(options.workers, "worker");
    let connections = count_of(config.connections_max, "connection");
    Ok(format!(
        "the configuration is valid: {workers} on {}\nit takes up to {connections} at a time",
        addresses.join(" or ")
    ))
}

/// Makes the configuration of a server with this number of workers. Raises the limit of open files
/// as far as the system allows.
///
/// # Errors
/// A message for the operator, if the limit of open files is too low.
pub(super) fn config(options: &Options, workers: usize) -> Result<Config, String> {
    let descriptors_max =
        descriptors::raise_limit().map_err(failed("cannot raise the limit of open files"))?;
    let descriptors_max = usize::try_from(descriptors_max).unwrap_or(usize::MAX);
    let reserved = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * workers;
    let room = descriptors_max.saturating_sub(reserved);
    let connections_max = options.max_connections.unwrap_or(room);
    let wanted = options.max_connections.unwrap_or(1);
    if wanted > room {
        let needed = reserved + wanted;
        return Err(format!(
            "the limit of open files is {descriptors_max}, too low for {} on {}: raise it to {needed} (ulimit -n {needed})",
            count_of(wanted, "connection"),
            count_of(workers, "worker"),
        ));
    }
    Ok(Config {
        workers,
        pin: options.pin,
        sandbox: options.sandbox,
        backlog: options.backlog,
        connections_max,
        content_bytes_max: options.max_body_bytes,
        timeouts: Durations {
            header: options.header_timeout,
            body: options.body_timeout,
            idle: options.idle_timeout,
            write: options.write_timeout,
            linger: Duration::from_millis(LINGER_TIMEOUT_MS),
        },
    })
}

/// Makes the message for a name that has no address.
pub(super) fn cannot_resolve(listen: &Listen) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot resolve {listen}: {error}")
}
