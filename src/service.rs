//! What a service manager (systemd) passes to a service, and what the service tells it.
//!
//! There are three small protocols, all announced in the environment: listening sockets that are passed
//! (sd_listen_fds(3)), messages about the state of the service to a datagram socket (sd_notify(3)), and
//! a sign of life at an interval that the manager chooses (sd_watchdog_enabled(3)). Where a variable is
//! missing, nothing happens.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use std::{env, process};

use crate::limits::NOTIFY_TIMEOUT_MS;
use crate::log;
use crate::sys::descriptors;

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST_PASSED: i32 = 3;

/// Variables that are meant for one process only, not for those it starts.
pub const VARIABLES_OF_ONE_PROCESS: [&str; 5] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"];

/// The name of the socket for operators (`FileDescriptorName=admin` in its socket unit).
const OPERATORS_NAME: &str = "admin";

/// The listening sockets that the manager has passed, at least one.
pub struct PassedSockets {
    /// That for clients.
    pub clients: Option<OwnedFd>,
    /// That for operators.
    pub operators: Option<OwnedFd>,
}

/// Returns the listening sockets that the manager has passed to this process, if there are any. Must be
/// called before the process opens a descriptor.
///
/// # Errors
/// A message for the operator, if there are more than one for clients and one for operators, or the
/// announced ones are not there.
pub fn passed_sockets() -> Result<Option<PassedSockets>, String> {
    let Some(count) = variable("LISTEN_FDS").filter(|_| is_for_us("LISTEN_PID", false)) else {
        return Ok(None);
    };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let is_for_operators = |index: usize| names.get(index) == Some(&OPERATORS_NAME);
    let too_many = || {
        format!(
            "LISTEN_FDS is {count}, but millrace listens on one socket for clients and one for operators: name one ListenStream= in its socket unit, and another in a socket unit with FileDescriptorName={OPERATORS_NAME}"
        )
    };
    let sockets = match count.as_str() {
        "0" => return Ok(None),
        "1" => 1,
        "2" if is_for_operators(0) != is_for_operators(1) => 2,
        _ => return Err(too_many()),
    };
    let mut passed = PassedSockets { clients: None, operators: None };
    for index in 0..sockets {
        let number = FIRST_PASSED + index as i32;
        let socket = descriptors::inherited(number).map_err(|error| {
            format!("LISTEN_FDS says that a socket is passed as descriptor {number}: {error}")
        })?;
        match is_for_operators(index) {
            true => passed.operators = Some(socket),
            false => passed.clients = Some(socket),
        }
    }
    Ok(Some(passed))
}

/// The connection to the manager's notification socket.
pub struct Manager {
    to: Option<UnixDatagram>,
}

impl Manager {
    /// Returns the manager that the environment names. Without one, messages go nowhere.
    pub fn of_environment() -> Manager {
        let path = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        Manager { to: path.and_then(open) }
    }

    /// Tells the manager that the service serves.
    pub fn ready(&self) {
        self.say("READY=1\nSTATUS=Serving.");
    }

    /// Tells the manager that the service is about to end.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=Finishing what is in flight.");
    }

    /// Tells the manager that another process is the service from now on.
    pub fn succeeded_by(&self, process_id: u32) {
        self.say(&format!("MAINPID={process_id}"));
    }

    /// Gives a sign of life.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, words: &str) {
        let Some(socket) = &self.to else { return };
        if let Err(error) = socket.send(words.as_bytes()) {
            log::warn("the service manager takes no message", &[("error", &error)]);
        }
    }
}

/// Returns how often the manager expects a sign of life, if it expects one of this process.
pub fn watchdog_interval() -> Option<Duration> {
    let microseconds = variable("WATCHDOG_USEC").filter(|_| is_for_us("WATCHDOG_PID", true))?;
    microseconds.parse().ok().filter(|&interval| interval > 0).map(Duration::from_micros)
}

/// Opens a socket to the manager. A path that begins with `@` is a name in the abstract namespace. The
/// socket has a time-out: a manager that takes nothing must not stop the main thread.
fn open(path: OsString) -> Option<UnixDatagram> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let open = |address| {
        let socket = UnixDatagram::unbound()?;
        // Now, because a confined thread cannot name an address.
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(Duration::from_millis(NOTIFY_TIMEOUT_MS)))?;
        Ok(socket)
    };
    match address.and_then(open) {
        Ok(socket) => Some(socket),
        Err(error) => {
            log::warn("cannot reach the service manager of NOTIFY_SOCKET", &[("error", &error)]);
            None
        }
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns whether the process id in this variable is ours; `otherwise` if there is none.
fn is_for_us(name: &str, otherwise: bool) -> bool {
    variable(name).map_or(otherwise, |id| id == process::id().to_string())
}
