//! How a process comes to serve: by options, by a service manager's socket, or as a successor.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::{Wake, count_of, failed, start_workers};
use crate::app::{self, live};
use crate::handover::Predecessor;
use crate::limits::{DESCRIPTORS_PER_WORKER, DESCRIPTORS_RESERVED, LINGER_TIMEOUT_MS};
use crate::mailbox::Mailbox;
use crate::options::{Listen, Options};
use crate::server::{Bound, Config, Departed, Durations, Server};
use crate::sys::{descriptors, random};

/// A server that has begun.
pub(super) struct Started {
    pub config: Config,
    pub shared: Arc<app::Shared>,
    pub server: Server,
    pub address: SocketAddr,
}

/// Starts to serve.
///
/// # Errors
/// A line for people.
pub(super) fn start(
    options: &Options,
    passed: Option<OwnedFd>,
    woken: &Arc<Mailbox<Wake>>,
) -> Result<Started, String> {
    if let Some(predecessor) = Predecessor::find().map_err(failed("cannot take over"))? {
        return succeed(options, predecessor, woken);
    }
    let config = config(options, options.workers)?;
    let bound = match passed {
        Some(socket) => {
            let departed = Departed { listeners: vec![socket], connections: Vec::new() };
            Bound::adopt(departed, config.workers)
                .map_err(failed("cannot use the socket that was passed"))?
        }
        None => listen(&options.listen, &config)?,
    };
    let shared = app::Shared::new(options, config.workers, keys()?);
    let address = bound.address();
    let server = start_workers(bound, config, &shared, woken, 0)?;
    live::start(&shared, config.sandbox).map_err(failed("cannot start a thread"))?;
    server.begin();
    Ok(Started { config, shared, server, address })
}

/// Takes over from the process that has started this one.
fn succeed(
    options: &Options,
    mut predecessor: Predecessor,
    woken: &Arc<Mailbox<Wake>>,
) -> Result<Started, String> {
    match prepare(options, &mut predecessor, woken) {
        Ok(started) => {
            predecessor.take_over().map_err(failed("cannot take over"))?;
            started.server.begin();
            Ok(started)
        }
        Err(message) => {
            predecessor.refuse(&message);
            Err(message)
        }
    }
}

/// Takes in what is handed over, and does all that can fail.
fn prepare(
    options: &Options,
    predecessor: &mut Predecessor,
    woken: &Arc<Mailbox<Wake>>,
) -> Result<Started, String> {
    let config = config(options, options.workers.max(predecessor.workers))?;
    let keys = keys()?;
    let fresh = || app::Shared::new(options, config.workers, keys);
    let (shared, departed) = predecessor
        .receive(fresh, |shared| &shared.statistics)
        .map_err(failed("cannot take over"))?;
    let bound = Bound::adopt(departed, config.workers)
        .map_err(failed("cannot use what was handed over"))?;
    let address = bound.address();
    let server = start_workers(bound, config, &shared, woken, 0)?;
    live::start(&shared, config.sandbox).map_err(failed("cannot start a thread"))?;
    Ok(Started { config, shared, server, address })
}

/// Whether a start with these options would get as far as opening its socket.
///
/// # Errors
/// A line for people.
pub fn check(options: &Options) -> Result<String, String> {
    config(options, options.workers)?;
    let listen = &options.listen;
    let addresses = listen.candidates().map_err(cannot_resolve(listen))?;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let workers = count_of(options.workers);
    Ok(format!("the configuration is valid: {workers} on {}", addresses.join(" or ")))
}

fn keys() -> Result<[u64; 2], String> {
    random::keys().map_err(failed("cannot get random keys from the system"))
}

/// What the options mean for the server on this machine.
fn config(options: &Options, workers: usize) -> Result<Config, String> {
    let descriptors_max =
        descriptors::raise_limit().map_err(failed("cannot raise the limit of open files"))?;
    let descriptors_max = usize::try_from(descriptors_max).unwrap_or(usize::MAX);
    let reserved = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * workers;
    let room = descriptors_max.saturating_sub(reserved);
    let connections_max = options.max_connections.unwrap_or(room);
    if connections_max == 0 || connections_max > room {
        let needed = reserved + connections_max.max(1);
        return Err(format!(
            "the limit of open files is {descriptors_max}, too low for {} connections on {workers} workers: raise it to {needed} (ulimit -n {needed})",
            connections_max.max(1),
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

/// Opens the listening sockets; the default address is IPv4 only where IPv6 is off.
fn listen(listen: &Listen, config: &Config) -> Result<Bound, String> {
    let mut last_error = String::new();
    for address in listen.candidates().map_err(cannot_resolve(listen))? {
        match Bound::new(address, config) {
            Ok(bound) => return Ok(bound),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        "another process listens there already; stop it or choose another --listen"
                            .to_owned()
                    }
                    io::ErrorKind::PermissionDenied => format!(
                        "{error}; ports below 1024 need the capability CAP_NET_BIND_SERVICE"
                    ),
                    _ => error.to_string(),
                };
                last_error = format!("cannot listen on {address}: {why}");
                if error.kind() == io::ErrorKind::AddrInUse {
                    break;
                }
            }
        }
    }
    Err(last_error)
}

fn cannot_resolve(listen: &Listen) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot resolve {listen}: {error}")
}
