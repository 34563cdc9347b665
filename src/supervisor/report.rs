//! Prints the two lines that an operator waits for: the address of the server, and the final statistics.

use std::net::SocketAddr;

use super::config::count_of;
use crate::app;
use crate::limits::CONNECTIONS_COMMON;
use crate::log;
use crate::server::Config;
use crate::sys::signals::Fatal;

/// The addresses at which a process listens.
pub(super) struct Addresses {
    pub clients: SocketAddr,
    /// That of `--admin-listen`.
    pub operators: Option<SocketAddr>,
}

/// Prints that the servers listen at these addresses. `is_limited` is true if the limit of open files, and not
/// the operator, sets the number of connections.
pub(super) fn say_listening(addresses: &Addresses, config: &Config, is_limited: bool) {
    let Config { workers, connections_max, .. } = *config;
    let url = app::url(addresses.clients);
    let mut text = format!("listening on {url} ({})", count_of(workers, "worker"));
    let admin_url = addresses.operators.map(app::url);
    let mut values: Vec<(&str, &dyn log::Value)> =
        vec![("url", &url), ("workers", &workers), ("connections_max", &connections_max)];
    if let Some(admin_url) = &admin_url {
        text += &format!(", for operators on {admin_url}");
        values.push(("admin_url", admin_url));
    }
    log::say(log::Level::Info, &text, "listening", &values);
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
