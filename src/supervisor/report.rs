//! Prints the two lines that an operator waits for: the address of the server, and the final statistics.

use super::config::count_of;
use crate::app;
use crate::limits::CONNECTIONS_COMMON;
use crate::log;
use crate::server::Config;
use crate::sys::signals::Fatal;

/// Prints that the server listens at `url`. `is_limited` is true if the limit of open files, and not
/// the operator, sets the number of connections.
pub(super) fn say_listening(url: &str, config: &Config, is_limited: bool) {
    let Config { workers, connections_max, .. } = *config;
    log::say(
        log::Level::Info,
        &format!("listening on {url} ({})", count_of(workers, "worker")),
        "listening",
        &[("url", &url), ("workers", &workers), ("connections_max", &connections_max)],
    );
    if is_limited && connections_max < CONNECTIONS_COMMON {
        log::info(
            "the limit of open files (ulimit -n) allows no more connections than this",
            &[("connections_max", &connections_max)],
        );
    }
}

/// Prints the statistics, which end with the process, as its last line.
pub(super) fn say_final_statistics(shared: &app::Shared) {
    log::finish_access();
    let json = shared.statistics_json();
    log::say(
        log::Level::Info,
        &format!("final statistics {json}"),
        "final statistics",
        &[("statistics", &log::Json(&json))],
    );
}

/// Ends the process by a signal, as the sender of that signal expects, after the logs are written.
/// Prints the statistics first if they end with this process.
pub(super) fn end_by(fatal: Fatal, shared: Option<&app::Shared>) -> ! {
    log::error("a signal ends the process", &[("signal", &fatal.name)]);
    shared.into_iter().for_each(say_final_statistics);
    log::finish();
    fatal.end_process()
}
