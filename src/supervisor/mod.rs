//! The life of one process: start, signals, restart, stop.
//!
//! The main thread does nothing but wait for what an operator, a service manager or the workers
//! have to say, and act on it; it never sees a byte that a client has sent.

mod restart;
mod start;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, io, panic, path, thread};

use crate::app::{self, App};
use crate::log;
use crate::mailbox::Mailbox;
use crate::options::Options;
use crate::server::{Bound, Config, Server};
use crate::service::{self, Manager};
use crate::sys::signals::{Signal, Signals};
use crate::sys::{clock, sandbox};
pub use start::check;

/// What the main thread waits for.
enum Wake {
    /// An operator asks for something.
    Signal(Signal),
    /// All workers of a server have ended; which server, by its number.
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
    /// Where this program stands: what stands there at a restart is started.
    program: PathBuf,
    woken: Arc<Mailbox<Wake>>,
}

/// What comes after a word from somebody.
enum Next {
    /// To go on.
    Serve,
    /// To come to an end.
    Stop,
    /// Another process serves.
    Succeeded,
}

/// Serves until a signal.
///
/// # Errors
/// A line for people.
pub fn run(options: &Options) -> Result<(), String> {
    log::init(options.log_level, options.log_format);
    log_panics();
    // Taken first, while it is known which descriptor it is.
    let passed = service::passed_socket()?;
    // Blocked before any thread starts, so that every thread inherits it and one waits for them.
    let signals = Signals::block().map_err(failed("cannot block signals"))?;
    let woken = Arc::new(Mailbox::new());
    let started = start::start(options, passed, &woken)?;
    let mut supervisor = Supervisor {
        options,
        config: started.config,
        shared: started.shared,
        server: started.server,
        generation: 0,
        manager: Manager::of_environment(),
        watchdog: service::watchdog_interval().map(Watchdog::new),
        program: program(),
        woken: Arc::clone(&woken),
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while let Ok(signal) = signals.wait(None) {
                signal.into_iter().for_each(|signal| woken.put(Wake::Signal(signal)));
            }
        })
        .map_err(failed("cannot start a thread"))?;
    let workers = supervisor.config.workers;
    log::say(&format!("listening on {} ({})", app::url(started.address), count_of(workers)));
    supervisor.manager.ready();
    loop {
        match supervisor.wait()? {
            Next::Serve => {}
            Next::Stop => {
                supervisor.manager.stopping();
                supervisor.server.drain();
                supervisor.finish();
                log::say(&supervisor.shared.summary());
                return Ok(());
            }
            Next::Succeeded => {
                supervisor.finish();
                return Ok(());
            }
        }
    }
}

impl Supervisor<'_> {
    /// Waits for one word and acts on it.
    fn wait(&mut self) -> Result<Next, String> {
        match self.woken.take(self.watchdog.as_ref().map(|watchdog| watchdog.due)) {
            Some(Wake::Signal(Signal::Interrupt | Signal::Terminate)) => Ok(Next::Stop),
            Some(Wake::Signal(Signal::HangUp)) if io::IsTerminal::is_terminal(&io::stderr()) => {
                Ok(Next::Stop)
            }
            Some(Wake::Signal(Signal::HangUp)) => {
                log::info("SIGHUP: there is no file to be opened again", &[]);
                Ok(Next::Serve)
            }
            Some(Wake::Signal(Signal::User2)) => self.restart(),
            Some(Wake::Ended(generation)) if generation == self.generation => {
                Err(format!("no worker is left; {}", self.shared.summary()))
            }
            Some(Wake::Ended(_)) => Ok(Next::Serve),
            None => {
                if let Some(watchdog) = &mut self.watchdog {
                    watchdog.look(&self.shared, &self.server, &self.manager);
                }
                Ok(Next::Serve)
            }
        }
    }

    /// Lets what is in flight come to its end, but not for longer than the operator wants.
    fn finish(&mut self) {
        let deadline = Instant::now() + self.options.drain_timeout;
        loop {
            match self.woken.take(Some(deadline)) {
                Some(Wake::Ended(generation)) if generation == self.generation => break,
                Some(Wake::Signal(Signal::Interrupt | Signal::Terminate)) => {
                    log::warn("second signal: connections that were still open are cut", &[]);
                    break;
                }
                Some(Wake::Signal(_) | Wake::Ended(_)) => {}
                None => {
                    log::warn(
                        "the drain time-out is over: connections that were still open are cut",
                        &[],
                    );
                    break;
                }
            }
        }
        self.server.cut();
        self.server.join();
    }
}

/// Where this program stands: as it was called, so that a link that leads elsewhere by now is
/// followed anew; a bare name is looked for in `PATH`, as the shell did.
fn program() -> PathBuf {
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if called.components().count() > 1 { path::absolute(&called).unwrap_or(called) } else { called }
}

/// Starts the workers of a server, which wait for their beginning; what they need no right for is
/// done by then.
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
    let woken = Arc::clone(woken);
    bound
        .start(
            config,
            Arc::clone(&shared.server_meters),
            |worker| App::new(shared, worker, clock::unix_seconds()),
            move || woken.put(Wake::Ended(generation)),
        )
        .map_err(failed("cannot start the workers"))
}

/// Tells the service manager that the workers go round their loops, twice as often as it asks.
struct Watchdog {
    interval: Duration,
    due: Instant,
    /// The rounds of each worker when it was last roused.
    rounds: Vec<u64>,
}

impl Watchdog {
    fn new(interval: Duration) -> Watchdog {
        Watchdog { interval: interval / 2, due: Instant::now(), rounds: Vec::new() }
    }

    /// Says that the service lives if every worker has gone round since it was last roused, and
    /// rouses them again: one that waits for clients cannot be told from one that hangs otherwise.
    fn look(&mut self, shared: &app::Shared, server: &Server, manager: &Manager) {
        self.due = Instant::now() + self.interval;
        let rounds: Vec<u64> =
            shared.server_meters.iter().map(|meters| meters.rounds.read()).collect();
        let idle = self.rounds.iter().zip(&rounds).position(|(before, now)| before == now);
        match idle {
            Some(worker) => log::error("a worker hangs", &[("worker", &worker)]),
            None => manager.alive(),
        }
        self.rounds = rounds;
        server.rouse();
    }
}

/// So many workers, in words.
fn count_of(workers: usize) -> String {
    format!("{workers} {}", if workers == 1 { "worker" } else { "workers" })
}

/// A panic while a request is handled ends one connection; it is logged like anything else.
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
