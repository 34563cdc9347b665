//! The one way in which a process comes to serve. What differs is its [`Origin`].
//!
//! ```text
//! 1  configuration   options and the limits of the system
//! 2  statistics      zero
//! 3  sockets         opened, passed by the service manager, or handed over; a predecessor hands
//!                    over its statistics too
//! 4  threads         started, but they wait; nothing that comes after this can fail
//! 5  take over       from a predecessor, which keeps the service if anything failed
//! 6  serve           the threads go on
//! ```
//!
//! A state directory is read after step 3, so that clients wait in the listen queue meanwhile, and are
//! not refused.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use super::config::{
    cannot_resolve, cannot_start, config, connections_max, failed, lack_of_memory,
};
use super::keep::{Before, keep, open_files, with_journal};
use super::not_started::NotStarted;
use super::report::Addresses;
use super::servers::{BoundDoors, Servers, operators_config};
use super::wake::{Wake, report_end};
use crate::app::{self, live};
use crate::handover::{Doors, Predecessor, Word};
use crate::log;
use crate::mailbox::Mailbox;
use crate::options::Options;
use crate::server::{Bound, Config, Departed, confine};
use crate::service::{self, PassedSockets};
use crate::sys::random;
use crate::sys::sandbox::{self, Rights};

/// A server that serves.
pub(super) struct Started {
    pub config: Config,
    pub shared: Arc<app::Shared>,
    pub servers: Servers,
    pub addresses: Addresses,
    /// Whether a predecessor still sends connections.
    pub connections_come: bool,
}

/// Where the sockets and the statistics of a process come from.
pub(super) enum Origin {
    /// The process opens its sockets by itself, and its statistics are zero.
    Fresh,
    /// The service manager passes sockets that listen already; the statistics are zero.
    Passed(PassedSockets),
    /// A process that serves hands over its sockets, its connections and its statistics.
    Predecessor(Predecessor),
}

impl Origin {
    /// Finds the origin of this process. Must be called before the process opens a descriptor.
    ///
    /// # Errors
    /// A message for the operator, if the origin cannot be used.
    pub fn find() -> Result<Origin, String> {
        if let Some(sockets) = service::passed_sockets()? {
            return Ok(Origin::Passed(sockets));
        }
        let predecessor = Predecessor::find().map_err(failed("cannot take over"))?;
        Ok(predecessor.map_or(Origin::Fresh, Origin::Predecessor))
    }

    /// Starts to serve. Calls `is_stopped` now and then, which returns whether a stop signal has arrived.
    ///
    /// # Errors
    /// Why the process does not serve. The process also sends this to its predecessor.
    pub fn start(
        mut self,
        options: &Options,
        woken: &Arc<Mailbox<Wake>>,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Started, NotStarted> {
        let prepared = self.prepare(options, woken, is_stopped).and_then(|started| {
            self.take_over(is_stopped)?;
            Ok(started)
        });
        match prepared {
            Ok(mut started) => {
                started.servers.begin();
                started.connections_come = self.settle_in(woken, options.sandbox);
                Ok(started)
            }
            Err(reason) => {
                if let Origin::Predecessor(predecessor) = &mut self {
                    let message = match &reason {
                        NotStarted::Stopped => "it was told to stop",
                        NotStarted::Failed(message) => message,
                    };
                    predecessor.refuse(message);
                }
                Err(reason)
            }
        }
    }

    /// Does all that can fail: steps 1 to 4.
    fn prepare(
        &mut self,
        options: &Options,
        woken: &Arc<Mailbox<Wake>>,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Started, NotStarted> {
        let config = config(options, self.workers(options))?;
        let keys = random::keys().map_err(failed("cannot get random keys from the system"))?;
        let shared = app::Shared::new(options, config.workers, keys)
            .ok_or_else(|| lack_of_memory(config.workers))?;
        let (bound, before) = self.sockets(options, &config, &shared, is_stopped)?;
        let addresses = Addresses {
            clients: bound.clients.address(),
            operators: bound.operators.as_ref().map(Bound::address),
        };
        keep(options, &shared, config.workers, before, is_stopped)?;
        let connections_max = connections_max(options, config.workers, open_files(&shared))?;
        shared.note_connections_max(connections_max);
        let config = with_journal(Config { connections_max, ..config }, &shared);
        if config.sandbox {
            give_up_rights();
        }
        let servers = Servers::start(bound, config, &shared, report_end(woken, 0))?;
        live::start(&shared, config.sandbox).map_err(cannot_start("a thread"))?;
        Ok(Started { config, shared, servers, addresses, connections_come: false })
    }

    /// Returns the number of workers: each listening socket of a predecessor needs one, since clients may
    /// wait in its queue.
    fn workers(&self, options: &Options) -> usize {
        match self {
            Origin::Predecessor(predecessor) => options.workers.max(predecessor.workers),
            Origin::Fresh | Origin::Passed(_) => options.workers,
        }
    }

    /// Gets the listening sockets, and from a predecessor connections and statistics as well.
    fn sockets(
        &mut self,
        options: &Options,
        config: &Config,
        shared: &app::Shared,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(BoundDoors, Before), String> {
        let mut before = Before::Nothing;
        let (doors, failure) = match self {
            Origin::Fresh => (Doors::default(), ""),
            Origin::Passed(sockets) => {
                let doors = passed(sockets).map_err(failed("cannot keep the passed socket"))?;
                (doors, "cannot use the socket that was passed")
            }
            Origin::Predecessor(predecessor) => {
                let (doors, journal) = predecessor
                    .receive(&shared.statistics, is_stopped)
                    .map_err(failed("cannot take over"))?;
                before = Before::Server(journal);
                (doors, "cannot use what was handed over")
            }
        };
        let clients = if doors.clients.listeners.is_empty() {
            let listen_at = &options.listen;
            let addresses = listen_at.candidates().map_err(cannot_resolve(listen_at))?;
            listen(&addresses, "--listen", config)?
        } else {
            Bound::adopt(doors.clients, config.workers).map_err(failed(failure))?
        };
        let is_given = !doors.operators.listeners.is_empty();
        let operators = match &options.admin_listen {
            None if is_given => return Err(SOCKET_WITHOUT_OPTION.to_owned()),
            None => None,
            Some(_) if is_given => Some(Bound::adopt(doors.operators, 1).map_err(failed(failure))?),
            Some(admin) => {
                let addresses = admin.resolve().map_err(cannot_resolve(admin))?;
                Some(listen(&addresses, "--admin-listen", &operators_config(*config))?)
            }
        };
        Ok((BoundDoors { clients, operators }, before))
    }

    /// Gets the service. Nothing can fail after this.
    fn take_over(&mut self, is_stopped: &dyn Fn() -> bool) -> Result<(), String> {
        match self {
            Origin::Fresh | Origin::Passed(_) => Ok(()),
            Origin::Predecessor(predecessor) => {
                predecessor.take_over(is_stopped).map_err(failed("cannot take over"))
            }
        }
    }

    /// Does the work that can wait until this process serves. Returns whether a predecessor still sends
    /// connections.
    fn settle_in(self, woken: &Arc<Mailbox<Wake>>, confined: bool) -> bool {
        let Origin::Predecessor(mut predecessor) = self else { return false };
        if let Err(error) = predecessor.settle_in() {
            log::warn("the kernel may end this process before others", &[("error", &error)]);
        }
        let woken = Arc::clone(woken);
        let follow = move || {
            if confined {
                confine("predecessor", &Rights::of_supervisor(None));
            }
            predecessor.follow(|word| {
                woken.put(match word {
                    Word::Connection(connection) => Wake::Connection(connection),
                    Word::Left => Wake::ConnectionsLeft,
                    Word::Stop => Wake::StopPassedOn,
                });
            });
            // Also where the predecessor has ended before.
            woken.put(Wake::ConnectionsLeft);
        };
        match thread::Builder::new().name("predecessor".into()).spawn(follow) {
            Ok(_) => true,
            Err(error) => {
                log::warn("connections that hold many bytes are lost", &[("error", &error)]);
                false
            }
        }
    }
}

/// Gives up the rights that the process does not need once its sockets are open: the threads that start
/// from here on have none of them, and those of the logs give theirs up.
fn give_up_rights() {
    if let Err(error) = sandbox::give_up_privileges() {
        log::warn("privileges that are not needed are kept", &[("error", &error)]);
    }
    log::confine();
}

/// Returns second handles of the sockets that the service manager has passed.
fn passed(sockets: &PassedSockets) -> io::Result<Doors> {
    let departed = |socket: &Option<OwnedFd>| {
        let listeners = socket.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        Ok::<_, io::Error>(Departed { listeners, connections: Vec::new() })
    };
    let PassedSockets { clients, operators } = sockets;
    Ok(Doors { clients: departed(clients)?, operators: departed(operators)? })
}

/// Opens the listening sockets at the first of these addresses that allows it. The default of
/// `--listen` is IPv4 only where IPv6 is off. `option` chooses the address.
fn listen(addresses: &[SocketAddr], option: &str, config: &Config) -> Result<Bound, String> {
    let mut last_error = String::new();
    for &address in addresses {
        match Bound::new(address, config) {
            Ok(bound) => return Ok(bound),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::AddrInUse => format!(
                        "another process listens there already; stop it or choose another {option}"
                    ),
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

/// The message for a socket for operators that the options do not ask for.
const SOCKET_WITHOUT_OPTION: &str = "a socket for operators is passed, so give --admin-listen as well (its address is not used then)";
