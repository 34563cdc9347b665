//! The life of one process: start, signals, restart, stop.
//!
//! The main thread waits for operators, for the service manager and for the end of the workers, and
//! acts on what comes. It never sees a byte that a client has sent.

mod config;
mod restart;
mod start;
mod stop;
mod watchdog;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::{env, io, panic, path, thread};

use crate::app::{self, App};
use crate::limits::CONNECTIONS_COMMON;
use crate::log;
use crate::mailbox::Mailbox;
use crate::options::Options;
use crate::server::{Bound, Config, Server};
use crate::service::{self, Manager};
use crate::sys::signals::{Signal, Signals};
use crate::sys::{clock, sandbox};
pub use config::check;
use start::Origin;
use watchdog::Watchdog;

/// What the main thread waits for.
enum Wake {
    /// A signal has come.
    Signal(Signal),
    /// All workers of the server with this number have ended.
    Ended(u64),
}

/// A process that serves.
struct Supervisor<'o> {
    options: &'o Options,
    config: Config,
    shared: Arc<app::Shared>,
    server: Server,
    /// The number of the server, one more after each restart that failed.
    generation: u64,
    manager: Manager,
    watchdog: Option<Watchdog>,
    /// The path that a restart starts a program from.
    program: PathBuf,
    /// Whether `SIGHUP` means that the terminal is gone on which the server was started.
    on_terminal: bool,
    woken: Arc<Mailbox<Wake>>,
}

/// What the main thread does next.
enum Next {
    /// It goes on serving.
    Serve,
    /// It stops.
    Stop,
    /// It ends, because another process serves.
    Succeeded,
}

/// What the process is busy with, which decides what a sign of life to the service manager means.
#[derive(Clone, Copy)]
enum Phase {
    /// All workers go round their loops.
    Serving,
    /// Workers end one after another, before a deadline.
    Ending,
}

/// Serves until a signal. `warnings` are logged first.
///
/// # Errors
/// A message for the operator.
pub fn run(options: &Options, warnings: &[String]) -> Result<(), String> {
    log_panics();
    // First, because the origin is found by the number of a descriptor.
    let origin = Origin::find();
    // Before any thread starts, so that every thread inherits the mask and one waits for signals.
    let signals = Signals::block().map_err(failed("cannot block signals"))?;
    log::start(options.access_log).map_err(cannot_start("the log"))?;
    warnings.iter().for_each(|warning| log::warn(warning, &[]));
    let origin = origin?;
    let woken = Arc::new(Mailbox::new());
    let started = origin.start(options, &woken)?;
    let mut supervisor = Supervisor {
        options,
        config: started.config,
        shared: started.shared,
        server: started.server,
        generation: 0,
        manager: Manager::of_environment(),
        watchdog: service::watchdog_interval().map(Watchdog::new),
        program: program(),
        on_terminal: is_on_terminal(),
        woken: Arc::clone(&woken),
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while let Ok(signal) = signals.wait(None) {
                signal.into_iter().for_each(|signal| woken.put(Wake::Signal(signal)));
            }
        })
        .map_err(cannot_start("a thread"))?;
    let workers = supervisor.config.workers;
    let url = app::url(started.address);
    let connections_max = supervisor.config.connections_max;
    log::say(
        log::Level::Info,
        &format!("listening on {url} ({})", count_of(workers, "worker")),
        "listening",
        &[("url", &url), ("workers", &workers), ("connections_max", &connections_max)],
    );
    if options.max_connections.is_none() && connections_max < CONNECTIONS_COMMON {
        log::info(
            "the limit of open files (ulimit -n) allows no more connections than this",
            &[("connections_max", &connections_max)],
        );
    }
    supervisor.manager.ready();
    supervisor.serve()
}

impl Supervisor<'_> {
    /// Serves until the process stops or another one serves.
    fn serve(&mut self) -> Result<(), String> {
        loop {
            let Some(wake) = self.next(None, Phase::Serving) else { continue };
            match self.act(wake)? {
                Next::Serve => {}
                Next::Stop => {
                    self.stop();
                    return Ok(());
                }
                Next::Succeeded => {
                    self.finish();
                    return Ok(());
                }
            }
        }
    }

    /// Acts on one event while the process serves.
    fn act(&mut self, wake: Wake) -> Result<Next, String> {
        match wake {
            Wake::Signal(Signal::Interrupt | Signal::Terminate) => Ok(Next::Stop),
            Wake::Signal(Signal::HangUp) if self.on_terminal => Ok(Next::Stop),
            Wake::Signal(Signal::HangUp) => {
                log::info("SIGHUP: there is no file to be opened again", &[]);
                Ok(Next::Serve)
            }
            Wake::Signal(Signal::User2) => self.restart(),
            Wake::Ended(generation) if generation == self.generation => {
                say_final_statistics(&self.shared);
                Err("no worker is left".to_owned())
            }
            Wake::Ended(_) => Ok(Next::Serve),
        }
    }

    /// Waits for the next event, for ever or until `deadline`; `None` when that is over. Gives the
    /// service manager its signs of life meanwhile.
    fn next(&mut self, deadline: Option<Instant>, phase: Phase) -> Option<Wake> {
        loop {
            let due = self.watchdog.as_ref().map(|watchdog| watchdog.due);
            let until = deadline.into_iter().chain(due).min();
            if let Some(wake) = self.woken.take(until) {
                return Some(wake);
            }
            let now = Instant::now();
            if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.due <= now) {
                match phase {
                    Phase::Serving => watchdog.look(&self.shared, &self.server, &self.manager),
                    Phase::Ending => watchdog.vouch(&self.manager),
                }
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return None;
            }
        }
    }
}

/// Prints the statistics, which end with the process, as its last line.
fn say_final_statistics(shared: &app::Shared) {
    log::finish_access();
    let json = shared.statistics_json();
    log::say(
        log::Level::Info,
        &format!("final statistics {json}"),
        "final statistics",
        &[("statistics", &log::Json(&json))],
    );
}

/// Returns whether the process has been started on a terminal. Must be asked at the start, since a
/// terminal that is gone cannot be told from a file.
fn is_on_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Returns the path by which this program was called, so that a restart follows a link anew that
/// leads elsewhere by then. A bare name is looked for in `PATH`, as the shell did.
fn program() -> PathBuf {
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if called.components().count() > 1 { path::absolute(&called).unwrap_or(called) } else { called }
}

/// Starts the workers of a server, which wait for [`Server::begin`]. Gives up the rights that the
/// process does not need from here on.
fn start_workers(
    bound: Bound,
    config: Config,
    shared: &Arc<app::Shared>,
    woken: &Arc<Mailbox<Wake>>,
    generation: u64,
) -> Result<Server, String> {
    if config.sandbox
        && let Err(error) = sandbox::give_up_privileges()
    {
        log::warn("privileges that are not needed are kept", &[("error", &error)]);
    }
    if config.sandbox {
        log::confine();
    }
    let woken = Arc::clone(woken);
    bound
        .start(
            config,
            Arc::clone(&shared.server_meters),
            |worker| App::new(shared, worker, clock::unix_seconds()),
            move || woken.put(Wake::Ended(generation)),
        )
        .map_err(cannot_start("the workers"))
}

/// Returns a number of things in words: "1 worker", "2 workers".
fn count_of(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Logs a panic like any other event. A panic while a request is handled ends one connection.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        log::error("panic", &[("message", &message), ("location", &location)]);
    }));
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Makes the message for something that cannot be started. The error of a thread that the system
/// refuses is the same for a lack of memory and for too many processes.
fn cannot_start(what: &'static str) -> impl Fn(io::Error) -> String {
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
