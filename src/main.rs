//! millrace: options, start, wait for a signal, stop.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use std::{env, io, panic};

use millrace::app::{self, App};
use millrace::limits::{DESCRIPTORS_PER_WORKER, DESCRIPTORS_RESERVED, LINGER_TIMEOUT_MS};
use millrace::log;
use millrace::options::{self, Invocation, Listen, Options};
use millrace::server::{Bound, Config, Durations};
use millrace::sys::{clock, descriptors, random, signals};

/// Bad usage, as is the custom.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let options = match options::parse(env::args_os().skip(1), |name| env::var_os(name)) {
        Ok(Invocation::Serve(options)) => options,
        Ok(Invocation::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("millrace: {error}\nTry 'millrace --help'.");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("millrace: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What the main thread waits for.
enum Wake {
    /// An operator wants the server to stop.
    Stop,
    /// All workers have ended.
    Done,
}

/// Serves until a signal; the error is one line for people.
fn run(options: &Options) -> Result<(), String> {
    log::init(options.log_level, options.log_format);
    log_panics();
    // Blocked before any thread starts, so that every thread inherits it and one waits for them.
    let signals = signals::Signals::block().map_err(failed("cannot block signals"))?;
    let config = config(options)?;
    let keys = random::keys().map_err(failed("cannot get random keys from the system"))?;
    let bound = listen(&options.listen, &config)?;
    let address = bound.address();

    let (wake, woken) = mpsc::channel();
    let done = wake.clone();
    let shared = app::Shared::new(options, keys);
    let server = bound
        .start(
            config,
            Arc::clone(&shared.server_meters),
            |worker| App::new(&shared, worker, clock::unix_seconds()),
            // Nobody listens any more once a second signal or the time-out has ended the wait.
            move || drop(done.send(Wake::Done)),
        )
        .map_err(failed("cannot start the workers"))?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || while signals.wait(None).is_ok() && wake.send(Wake::Stop).is_ok() {})
        .map_err(failed("cannot start a thread"))?;

    let workers = config.workers;
    eprintln!(
        "listening on {} ({workers} {})",
        app::url(address),
        if workers == 1 { "worker" } else { "workers" }
    );
    if let Ok(Wake::Done) | Err(_) = woken.recv() {
        return Err(format!("no worker is left; {}", shared.summary()));
    }
    server.drain();
    match woken.recv_timeout(options.drain_timeout) {
        Ok(Wake::Done) | Err(RecvTimeoutError::Disconnected) => {}
        Ok(Wake::Stop) => log::warn("second signal: connections that were still open are cut", &[]),
        Err(RecvTimeoutError::Timeout) => {
            log::warn("the drain time-out is over: connections that were still open are cut", &[])
        }
    }
    server.cut();
    server.join();
    eprintln!("{}", shared.summary());
    Ok(())
}

/// What the options mean for the server on this machine.
fn config(options: &Options) -> Result<Config, String> {
    let descriptors_max =
        descriptors::raise_limit().map_err(failed("cannot raise the limit of open files"))?;
    let descriptors_max = usize::try_from(descriptors_max).unwrap_or(usize::MAX);
    let reserved = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * options.workers;
    let room = descriptors_max.saturating_sub(reserved);
    let connections_max = options.max_connections.unwrap_or(room);
    if connections_max == 0 || connections_max > room {
        let needed = reserved + connections_max.max(1);
        return Err(format!(
            "the limit of open files is {descriptors_max}, too low for {} connections on {} workers: raise it to {needed} (ulimit -n {needed})",
            connections_max.max(1),
            options.workers,
        ));
    }
    Ok(Config {
        workers: options.workers,
        pin: options.pin,
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
    for address in
        listen.candidates().map_err(|error| format!("cannot resolve {listen}: {error}"))?
    {
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

fn failed<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
