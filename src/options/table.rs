//! The table of options: what an option is called, takes, means and does stands in its row alone.
//!
//! # How to add an option
//!
//! 1. Add a field to `Options`, and its default to `Default for Options` (`mod.rs`). If it has a
//!    default or a limit that is a number, that number is a constant in `limits`.
//! 2. Add a row here, where it is to stand in the help. `set` reads the text with a function of
//!    `cli::value` (`whole`, `bytes`, `time`, `choice`) or of this room (`address`, `url`), and
//!    stores it. `default` is what help shows; a test compares it with `Default for Options`.
//! 3. Add a row to `VALUES` or `SWITCHES` in `tests/options.rs`, and a line to the table in
//!    docs/options.md. Tests fail until both are there.
//!
//! Parsing, both helps, the environment variable, the man page, the completions and the suggestions
//! for misspelt names follow from the row. Other programs' names for the option belong to `HINTS` in
//! `program.rs`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::address::{HostPort, Listen};
use super::origin::Origins;
use super::proxies::Proxies;
use super::url::HttpUrl;
use super::values::{Action, Options};
use crate::cli::{Kind, Row, value};
use crate::journal::Fsync;
use crate::limits;
use crate::log::{Format, Level};

/// What a time-out may be.
const TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(limits::TIMEOUT_S_MAX);

/// All options, in the order of the help.
pub(super) const ROWS: &[Row<Options, Action>] = &[
    Row {
        long: "listen",
        short: Some('l'),
        kind: Kind::Value {
            name: "ADDR",
            default: "[::]:8080",
            set: |options, text| {
                HostPort::parse(text).map(|address| options.listen = Listen::Address(address))
            },
        },
        summary: "Address to listen on",
        explanation: "HOST:PORT, where HOST is an IPv4 address, an IPv6 address in brackets, or a \
                      name. The default accepts clients of both IP versions; where IPv6 is off it \
                      is 0.0.0.0:8080. With port 0 the system chooses a port, and the line \
                      'listening on …' shows it.",
        example: "millrace --listen 127.0.0.1:9000",
    },
    Row {
        long: "admin-listen",
        short: None,
        kind: Kind::Value {
            name: "ADDR",
            default: "none",
            set: |options, text| {
                HostPort::parse(text).map(|address| options.admin_listen = Some(address))
            },
        },
        summary: "Address for operators",
        explanation: "HOST:PORT, as for --listen. /metrics, /, /live, /openapi.json and /reset are \
                      served there and no longer at the address of --listen; /stats and /health \
                      are served at both. One thread of its own serves it, with connections of its \
                      own, so operators get in when clients have taken every place.",
        example: "millrace --admin-listen 127.0.0.1:9090",
    },
    Row {
        long: "workers",
        short: Some('w'),
        kind: Kind::Value {
            name: "N",
            default: "one per processor",
            set: |options, text| {
                value::whole(text, 1..=limits::WORKERS_MAX).map(|count| options.workers = count)
            },
        },
        summary: "Worker threads",
        explanation: "The default is the number of processors that the process may use, by its \
                      affinity and by the quota of its cgroup.",
        example: "millrace --workers 4",
    },
    Row {
        long: "pin",
        short: None,
        kind: Kind::Switch { default: false, set: |options, on| options.pin = on },
        summary: "Pin worker i to processor i",
        explanation: "Counts the processors that the process may use, and starts over when there \
                      are more workers. It makes latency steadier on a machine that runs nothing \
                      else; on a shared machine leave the choice to the scheduler.",
        example: "taskset -c 2-5 millrace --workers 4 --pin",
    },
    Row {
        long: "backlog",
        short: None,
        kind: Kind::Value {
            name: "N",
            default: "4096",
            set: |options, text| {
                value::whole(text, 1..=limits::BACKLOG_MAX).map(|length| options.backlog = length)
            },
        },
        summary: "Length of each worker's listen queue",
        explanation: "Connections that the kernel holds until they are accepted. The kernel limits \
                      it to net.core.somaxconn.",
        example: "millrace --backlog 16384",
    },
    Row {
        long: "max-connections",
        short: None,
        kind: Kind::Value {
            name: "N",
            default: "descriptor limit less a reserve",
            set: |options, text| {
                value::whole(text, 1..=limits::CONNECTIONS_MAX)
                    .map(|count| options.max_connections = Some(count))
            },
        },
        summary: "Connections at a time",
        explanation: "Further clients are answered 503 with Retry-After, and closed. The server \
                      first raises the soft limit of open files to the hard one.",
        example: "millrace --max-connections 10000",
    },
    Row {
        long: "max-body",
        short: None,
        kind: Kind::Value {
            name: "BYTES",
            default: "65536",
            set: |options, text| {
                value::bytes(text, 1..=limits::BODY_BYTES_MAX as u64)
                    .map(|bytes| options.max_body_bytes = bytes as usize)
            },
        },
        summary: "Size of a request's body",
        explanation: "A longer body is answered 413 and not counted. K, M and G stand for powers of \
                      1,024.",
        example: "millrace --max-body 1M",
    },
    Row {
        long: "max-batch-events",
        short: None,
        kind: Kind::Value {
            name: "N",
            default: "2000",
            set: |options, text| {
                value::whole(text, 1..=limits::MANY_EVENTS_MAX)
                    .map(|count| options.max_batch_events = count)
            },
        },
        summary: "Events in one request of /events",
        explanation: "More are answered 413, and none of them is counted. A worker handles 2,000 \
                      events in less than a millisecond; its other clients wait for so long.",
        example: "millrace --max-batch-events 10000",
    },
    Row {
        long: "max-batch-body",
        short: None,
        kind: Kind::Value {
            name: "BYTES",
            default: "1M",
            set: |options, text| {
                value::bytes(text, 1..=limits::BODY_BYTES_MAX as u64)
                    .map(|bytes| options.max_batch_body_bytes = bytes as usize)
            },
        },
        summary: "Size of a request's body at /events",
        explanation: "A longer body is answered 413, and nothing in it is counted. K, M and G stand \
                      for powers of 1,024.",
        example: "millrace --max-batch-body 4M",
    },
    Row {
        long: "max-users",
        short: None,
        kind: Kind::Value {
            name: "N",
            default: "none",
            set: |options, text| {
                value::whole(text, 1..=u64::MAX).map(|count| options.max_users = Some(count))
            },
        },
        summary: "Distinct users to count",
        explanation: "Limits the memory, of which a user takes up to 40 bytes. When this number is \
                      reached, events of new users are answered 507 and not counted; events of \
                      known users are counted as before.",
        example: "millrace --max-users 50000000",
    },
    Row {
        long: "header-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "10",
            set: |options, text| {
                value::time(text, TIMEOUTS).map(|time| options.header_timeout = time)
            },
        },
        summary: "Time for a whole request header",
        explanation: "From its first byte. Then the client is answered 408, and closed.",
        example: "millrace --header-timeout 2.5",
    },
    Row {
        long: "body-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "30",
            set: |options, text| {
                value::time(text, TIMEOUTS).map(|time| options.body_timeout = time)
            },
        },
        summary: "Time for a whole request body",
        explanation: "From its first byte. Then the client is answered 408, and closed.",
        example: "millrace --body-timeout 5",
    },
    Row {
        long: "idle-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "75",
            set: |options, text| {
                value::time(text, TIMEOUTS).map(|time| options.idle_timeout = time)
            },
        },
        summary: "Time a connection may idle between requests",
        explanation: "Then it is closed. Behind a proxy, choose a longer time than the proxy keeps \
                      its own end open, so that it never sends into a closing connection.",
        example: "millrace --idle-timeout 10m",
    },
    Row {
        long: "write-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "30",
            set: |options, text| {
                value::time(text, TIMEOUTS).map(|time| options.write_timeout = time)
            },
        },
        summary: "Time a client may leave its answers unread",
        explanation: "Then its connection is closed.",
        example: "millrace --write-timeout 10",
    },
    Row {
        long: "drain-delay",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "0",
            set: |options, text| {
                let range = Duration::ZERO..=*TIMEOUTS.end();
                value::time(text, range).map(|time| options.drain_delay = time)
            },
        },
        summary: "Time for load balancers to notice a stop",
        explanation: "At SIGTERM or SIGINT, /health answers 503 for this time while everything else \
                      goes on, so that load balancers send no more clients; then the stop begins. A \
                      second signal ends the delay.",
        example: "millrace --drain-delay 15",
    },
    Row {
        long: "drain-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "10",
            set: |options, text| {
                value::time(text, TIMEOUTS).map(|time| options.drain_timeout = time)
            },
        },
        summary: "Time for what is in flight at a stop",
        explanation: "At SIGTERM or SIGINT the server accepts no more clients and finishes what has \
                      begun; after this time, or at a further signal, it cuts off the rest.",
        example: "millrace --drain-timeout 1m",
    },
    Row {
        long: "allow-reset",
        short: None,
        kind: Kind::Switch { default: false, set: |options, on| options.allow_reset = on },
        summary: "Enable POST /reset",
        explanation: "It sets all statistics to zero, and any client can send it. Without this \
                      option it is answered 403.",
        example: "millrace --allow-reset",
    },
    Row {
        long: "allow-origin",
        short: None,
        kind: Kind::Value {
            name: "ORIGIN",
            default: "none",
            set: |options, text| Origins::parse(text).map(|origins| options.allow_origin = origins),
        },
        summary: "Pages in browsers that may count",
        explanation: "Pages of this origin may send events, read /stats and, with --allow-reset, \
                      reset. Write the scheme, the host, and a port that is not the usual one; \
                      separate several origins by commas; * stands for all. Without this option \
                      pages of other origins are answered 403, so a page that a user of this \
                      machine visits cannot count here.",
        example: "millrace --allow-origin https://shop.example",
    },
    Row {
        long: "state",
        short: None,
        kind: Kind::Value {
            name: "DIR",
            default: "none",
            set: |options, text| {
                if text.is_empty() {
                    return Err("a directory".to_owned());
                }
                options.state = Some(text.into());
                Ok(())
            },
        },
        summary: "Directory that keeps the statistics",
        explanation: "It is made if it is not there. What was answered 200 is there after the next \
                      start, also after kill -9. Without it, statistics live in memory and end with \
                      the process.",
        example: "millrace --state /var/lib/millrace",
    },
    Row {
        long: "fsync",
        short: None,
        kind: Kind::Value {
            name: "everysec|always",
            default: "everysec",
            set: |options, text| {
                value::choice(text, &Fsync::NAMES).map(|fsync| options.fsync = fsync)
            },
        },
        summary: "When the state is synced to the disk",
        explanation: "With everysec a power loss takes back the last 2 seconds at most, and nothing \
                      else takes anything back. With always every answer waits for the disk, and \
                      nothing is lost at all; one sync serves all clients that wait.",
        example: "millrace --state /var/lib/millrace --fsync always",
    },
    Row {
        long: "salvage",
        short: None,
        kind: Kind::Switch { default: false, set: |options, on| options.salvage = on },
        summary: "Go on with what is intact in a damaged state directory",
        explanation: "A start with damaged or missing files is refused otherwise. The log says what \
                      is lost before anything is changed, and the damaged files are kept under other \
                      names. It has no effect on an intact directory, or on the torn end that a crash \
                      leaves. Use it once; not in the service's permanent options, because damage \
                      should be seen.",
        example: "millrace --state /var/lib/millrace --salvage",
    },
    Row {
        long: "log-level",
        short: None,
        kind: Kind::Value {
            name: "error|warn|info|debug",
            default: "info",
            set: |options, text| {
                value::choice(text, &Level::NAMES).map(|level| options.log_level = level)
            },
        },
        summary: "What to log",
        explanation: "Each level includes those before it; debug has a line with the reason for each \
                      refused request. The log goes to standard error. Lines of one kind are limited \
                      to ten in ten seconds; further ones are counted and left out.",
        example: "millrace --log-level debug",
    },
    Row {
        long: "log-format",
        short: None,
        kind: Kind::Value {
            name: "text|json",
            default: "text",
            set: |options, text| {
                value::choice(text, &Format::NAMES).map(|format| options.log_format = format)
            },
        },
        summary: "How to log",
        explanation: "One line for each event in both. With json every line of standard error is a \
                      JSON object, also 'listening on …' and the final statistics.",
        example: "millrace --log-format json",
    },
    Row {
        long: "access-log",
        short: None,
        kind: Kind::Switch { default: false, set: |options, on| options.access_log = on },
        summary: "Log every request",
        explanation: "One line for each request to standard output, in the combined format of \
                      Apache and nginx. It costs a good part of the speed. The server never waits \
                      for the reader of these lines: lines that it does not take in time are left \
                      out and counted.",
        example: "millrace --access-log >>access.log",
    },
    Row {
        long: "trusted-proxy",
        short: None,
        kind: Kind::Value {
            name: "ADDR",
            default: "none",
            set: |options, text| {
                Proxies::parse(text).map(|proxies| options.trusted_proxy = proxies)
            },
        },
        summary: "Proxies that name the client in the access log",
        explanation: "For connections from these addresses or networks, separated by commas, the \
                      access log has the client's address from Forwarded or X-Forwarded-For instead \
                      of the proxy's. Of several addresses the last one counts that is not a trusted \
                      proxy. If both fields lead to different addresses, the proxy's is logged.",
        example: "millrace --access-log --trusted-proxy 127.0.0.1,10.0.0.0/8",
    },
    Row {
        long: "sandbox",
        short: None,
        kind: Kind::Switch { default: true, set: |options, on| options.sandbox = on },
        summary: "Give up every right that the server does not need",
        explanation: "After the start the process gives up its capabilities and the way to new \
                      ones, and the kernel refuses to each thread all system calls but those it \
                      needs. A call that only an intruder makes, such as starting a program, ends \
                      the process. '--sandbox=no' turns it off, for debuggers and unusual kernels.",
        example: "millrace --sandbox=no",
    },
    Row {
        long: "check",
        short: None,
        kind: Kind::Check,
        summary: "Check the configuration, and exit",
        explanation: "Reads options and environment, resolves the address and compares the number \
                      of connections with the limit of open files, without listening. It is \
                      stricter than a start in one point: a variable that begins with MILLRACE_ \
                      and is not known is an error. The exit status is 0 if a start would get as \
                      far, otherwise that of the start.",
        example: "millrace --listen localhost:8080 --check",
    },
    Row {
        long: "health",
        short: None,
        kind: Kind::Instead {
            name: "URL",
            action: |text| HttpUrl::parse(text).map(Action::Health),
        },
        summary: "Ask a running server for its health, and exit",
        explanation: "The exit status is 0 if it answers 200 within five seconds, otherwise 1. \
                      Without a path it asks for /health. Useful in containers that have no other \
                      program to ask with.",
        example: "millrace --health http://127.0.0.1:8080",
    },
    Row {
        long: "generate",
        short: None,
        kind: Kind::Generate,
        summary: "Print the man page or a shell's completions",
        explanation: "They are made from the same table as this help.",
        example: "millrace --generate bash >/etc/bash_completion.d/millrace",
    },
    Row {
        long: "help",
        short: Some('h'),
        kind: Kind::Help,
        summary: "Print help: -h one line for each option, --help everything",
        explanation: "",
        example: "millrace --help",
    },
    Row {
        long: "version",
        short: Some('V'),
        kind: Kind::Version,
        summary: "Print the version",
        explanation: "",
        example: "millrace --version",
    },
];
