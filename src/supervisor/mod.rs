//! The life of one process: start, signals, restart, stop.
//!
//! The main thread waits for operators, for the service manager and for the end of the workers, and
//! acts on these events. It never reads bytes that a client has sent.

mod config;
mod keep;
mod not_started;
mod place;
mod report;
mod restart;
mod servers;
mod start;
mod state;
mod stop;
mod wake;
mod watchdog;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, panic, path, thread};

use crate::handover::CHANNEL_DESCRIPTOR;
use crate::limits::STARTER_PATIENCE_MS;
use crate::log;
use crate::mailbox::Mailbox;
use crate::options::Options;
use crate::server::confine;
use crate::service::VARIABLES_OF_ONE_PROCESS;
use crate::sys::memory;
use crate::sys::sandbox::Rights;
use crate::sys::signals::{Signal, Signals};
use crate::sys::starter::{Program, Starter};
pub use config::check;
use config::{cannot_start, failed};
use not_started::NotStarted;
use place::Place;
use report::{end_by, say_final_statistics, say_listening};
use restart::Restart;
use start::Origin;
use state::Supervisor;
use stop::Cause;
use wake::{Phase, Post, Wake, is_stop, is_stopped};

/// Names what the main thread does next.
enum Next {
    /// It goes on serving.
    Serve,
    /// It ends.
    End,
}

/// Serves until a signal. `warnings` are logged first.
///
/// # Errors
/// A message for the operator.
pub fn run(options: &Options, warnings: &[String]) -> Result<(), String> {
    log_panics();
    // First, because the parent may end.
    let place = Place::find();
    // Before any thread starts.
    memory::give_back_large_blocks();
    // Before any thread starts, so that every thread inherits the mask and one waits for signals.
    let signals = Signals::block().map_err(failed("cannot block signals"))?;
    // Before any thread starts and before the origin is found: what that changes in this process is
    // not for the successor.
    let program = program();
    let starter = launch_starter(options, &program, place);
    // Before other descriptors are opened, because the origin is found by the number of one.
    let origin = Origin::find();
    log::start(options.access_log).map_err(cannot_start("the log"))?;
    warnings.iter().for_each(|warning| log::warn(warning, &[]));
    let origin = origin?;
    let woken = Arc::new(Mailbox::new());
    let on_terminal = is_on_terminal();
    let signals = Arc::new(signals);
    let fetch = fetch(&signals, &woken, options.sandbox)?;
    let is_stopped = || is_stopped(&signals, on_terminal);
    let started = match origin.start(options, &woken, &is_stopped) {
        Ok(started) => started,
        Err(NotStarted::Stopped) => {
            log::info("stopped before the state directory was read", &[]);
            return Ok(());
        }
        Err(NotStarted::Failed(message)) => return Err(message),
    };
    fetch.put(());
    let mut supervisor = Supervisor {
        options,
        config: started.config,
        shared: started.shared,
        servers: started.servers,
        generation: 0,
        post: Post::new(woken),
        signals,
        starter,
        program,
        place,
        on_terminal,
        connections_come: started.connections_come,
        restart_waits: false,
    };
    let is_limited = options.max_connections.is_none();
    say_listening(&started.addresses, &supervisor.config, is_limited);
    if options.sandbox {
        confine("main", &Rights::of_supervisor(options.state.clone()));
    }
    supervisor.post.manager.ready();
    supervisor.serve()
}

/// Launches the process that starts a successor, unless this process may have none.
fn launch_starter(options: &Options, path: &Path, place: Place) -> Option<Starter> {
    if let Place::Last(_) = place {
        return None;
    }
    let is_for_us = |name: &OsString| VARIABLES_OF_ONE_PROCESS.iter().any(|other| name == other);
    let program = Program {
        path: path.into(),
        arguments: env::args_os().collect(),
        environment: env::vars_os().filter(|(name, _)| !is_for_us(name)).collect(),
        channel: CHANNEL_DESCRIPTOR,
        gives_up_privileges: options.sandbox,
    };
    let launched = Starter::launch(&program, Duration::from_millis(STARTER_PATIENCE_MS));
    launched
        .inspect_err(|error| log::warn("this process cannot be restarted", &[("error", error)]))
        .ok()
}

/// Starts the thread that fetches signals, when it is told to: until the process serves, the main
/// thread asks for them at certain steps. The thread is started earlier, because nothing may fail then.
fn fetch(
    signals: &Arc<Signals>,
    woken: &Arc<Mailbox<Wake>>,
    confined: bool,
) -> Result<Arc<Mailbox<()>>, String> {
    let (signals, woken) = (Arc::clone(signals), Arc::clone(woken));
    let begin = Arc::new(Mailbox::new());
    let told = Arc::clone(&begin);
    let fetch = move || {
        told.take(None);
        if confined {
            confine("signals", &Rights::of_supervisor(None));
        }
        while let Ok(signal) = signals.wait(None) {
            signal.into_iter().for_each(|signal| woken.put(Wake::Signal(signal)));
        }
    };
    let thread = thread::Builder::new().name("signals".into()).spawn(fetch);
    thread.map(|_| begin).map_err(cannot_start("a thread"))
}

impl Supervisor<'_> {
    /// Serves until the process stops or another one serves.
    fn serve(&mut self) -> Result<(), String> {
        loop {
            let phase = Phase::Serving(&self.shared, &self.servers);
            let Some(wake) = self.post.next(None, phase) else { continue };
            if let Next::End = self.act(wake)? {
                return Ok(());
            }
        }
    }

    /// Acts on one event while the process serves.
    fn act(&mut self, wake: Wake) -> Result<Next, String> {
        match wake {
            Wake::Signal(signal) => return self.obey(signal),
            Wake::StopPassedOn => {
                self.stop(Cause::PassedOn);
                return Ok(Next::End);
            }
            Wake::Ended(generation) if generation == self.generation => {
                say_final_statistics(&self.shared);
                return Err("no worker is left".to_owned());
            }
            Wake::Connection(connection) => self.servers.arrive(connection),
            Wake::ConnectionsLeft => {
                self.connections_come = false;
                if std::mem::take(&mut self.restart_waits) {
                    return self.obey(Signal::User2);
                }
            }
            Wake::Ended(_) | Wake::WorkersDepart | Wake::Served(_) | Wake::HandOverEnded => {}
        }
        Ok(Next::Serve)
    }

    /// Acts on a signal while the process serves.
    fn obey(&mut self, signal: Signal) -> Result<Next, String> {
        match signal {
            signal if is_stop(signal, self.on_terminal) => {
                self.stop(Cause::Signal);
                return Ok(Next::End);
            }
            Signal::User2 if self.connections_come => {
                log::info("the restart waits until the last one is complete", &[]);
                self.restart_waits = true;
            }
            Signal::User2 => match self.restart()? {
                Restart::Failed => {}
                Restart::Stopped => {
                    self.stop(Cause::Signal);
                    return Ok(Next::End);
                }
                Restart::Succeeded(offer) => {
                    self.end_behind(&offer);
                    return Ok(Next::End);
                }
            },
            Signal::Fatal(fatal) => end_by(fatal, Some(&self.shared)),
            Signal::User1 => log::info("SIGUSR1: there is no file to be opened again", &[]),
            Signal::Mark => {}
            _ => log::info("SIGHUP: there is no file to be opened again", &[]),
        }
        Ok(Next::Serve)
    }
}

/// Returns whether the process has been started on a terminal. Must be asked at the start, since a
/// terminal that is gone looks like a file.
fn is_on_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Returns the path by which this program was called, so that a restart follows a link anew that
/// leads elsewhere by then. A bare name is looked for in `PATH`, as the shell did.
fn program() -> PathBuf {
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if called.components().count() > 1 { path::absolute(&called).unwrap_or(called) } else { called }
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
