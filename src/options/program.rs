//! What millrace is, for its help and its man page, and which wrong options deserve a hint.

use super::address::HostPort;
use super::table::ROWS;
use super::values::{Action, Options};
use crate::cli::{Hint, Program, Section};

/// The program, as its command line describes it.
pub static PROGRAM: Program<Options, Action> = Program {
    name: "millrace",
    version: env!("CARGO_PKG_VERSION"),
    about: "An event counter that speaks HTTP",
    prefix: "MILLRACE_",
    own_variables: &["SUCCESSOR"],
    is_foreign: is_of_kubernetes,
    description: DESCRIPTION,
    rows: ROWS,
    hints: HINTS,
    operand_hint,
    signals: SIGNALS,
    exit_statuses: EXIT_STATUSES,
    files: FILES,
    examples: EXAMPLES,
    see_also: &["systemd.service(5)", "systemd.socket(5)", "curl(1)", "prometheus(1)"],
};

const DESCRIPTION: &[&str] = &[
    "Takes events, each a user and a value, by POST /event, and answers GET /stats with their exact \
     number, the number of distinct users, the exact sum and the average. GET / shows them live in a \
     browser; GET /health and GET /metrics are for monitoring; GET /openapi.json describes all of it.",
    "A value follows its option as in '--workers 4', '--workers=4', '-w 4' or '-w4'. If an option is \
     given twice, the last one counts. Each option can also be set by an environment variable, which \
     the command line overrides; an empty variable counts as unset. A switch is turned on by 1, true, \
     yes or on, and off by 0, false, no or off, on the command line as in '--pin=no'.",
    "Numbers of bytes may end in K, M or G, which stand for powers of 1,024: 64K is 65536. Times are \
     in seconds, with decimals if need be, or end in ms, s, m or h: 0.5 is 500ms.",
];

const SIGNALS: Section = &[
    (
        "SIGTERM, SIGINT",
        "Accept the clients that wait, finish what is in flight, print the final statistics and exit. \
         A second signal ends the process at once.",
    ),
    (
        "SIGUSR2",
        "Start the program that now stands in the place of this one with the same options, hand over \
         sockets, connections and statistics to it, and exit: clients do not notice this restart. If \
         the new program cannot go on, the old one does.",
    ),
    (
        "SIGHUP",
        "The same as SIGTERM if the server was started on a terminal. Otherwise nothing: there is no \
         file to be opened again, since logs go to standard output and standard error. A server \
         started with nohup ignores it.",
    ),
];

const EXIT_STATUSES: Section = &[
    ("0", "The server was stopped by a signal, or has handed over to its successor."),
    ("1", "The server could not start, or failed."),
    ("2", "Wrong usage."),
];

const FILES: Section = &[
    (
        "/var/lib/millrace",
        "State directory of the service of the Debian package. Each directory given by --state has a \
         file 'control' and a file 'lane-NNNN' for each worker.",
    ),
    (
        "/etc/default/millrace",
        "Environment variables for the service of the Debian package, one on each line.",
    ),
    (
        "/lib/systemd/system/millrace.service, /lib/systemd/system/millrace.socket",
        "The service of the Debian package, and the socket that systemd can open for it.",
    ),
];

const EXAMPLES: Section = &[
    (
        "millrace --listen 127.0.0.1:8080 --workers 2 --max-users 1000000",
        "Serve clients of this machine with two workers, and count up to a million users:",
    ),
    (
        "curl -d '{\"userId\": \"user_42\", \"value\": 499.5}' http://127.0.0.1:8080/event",
        "Count an event:",
    ),
    ("curl http://127.0.0.1:8080/stats", "Ask for the statistics:"),
    (
        "MILLRACE_LOG_FORMAT=json MILLRACE_IDLE_TIMEOUT=10m millrace --check",
        "Check a configuration that stands in environment variables:",
    ),
    ("pkill -USR2 -x millrace", "Replace the running program by a new version without a pause:"),
];

/// Names that other servers have, and what they are called here.
const HINTS: &[Hint] = &[
    Hint {
        names: &["--port", "-p", "-P"],
        instead: "write --listen HOST:PORT, for example --listen 127.0.0.1:8080",
    },
    Hint {
        names: &[
            "--host",
            "--bind",
            "-b",
            "-a",
            "--addr",
            "--address",
            "--ip",
            "--interface",
            "--http",
            "--server",
            "--url",
            "--socket",
        ],
        instead: "write --listen HOST:PORT, for example --listen 127.0.0.1:8080",
    },
    Hint {
        names: &["-v", "-vv", "--verbose", "--debug", "-d", "--trace"],
        instead: "write --log-level debug for a longer log, or -V for the version",
    },
    Hint {
        names: &["-q", "--quiet", "--silent", "-s"],
        instead: "write --log-level error for a shorter log",
    },
    Hint {
        names: &["-t", "-j", "--threads", "--processes", "--procs", "--concurrency", "-n"],
        instead: "write --workers N",
    },
    Hint {
        names: &["--max-clients", "--maxclients", "--max-conns", "--maxconn", "--limit-conn", "-m"],
        instead: "write --max-connections N",
    },
    Hint {
        names: &[
            "--timeout",
            "--keep-alive",
            "--keepalive",
            "--keepalive-timeout",
            "--read-timeout",
        ],
        instead: "write --header-timeout, --body-timeout, --idle-timeout or --write-timeout",
    },
    Hint {
        names: &["--grace", "--grace-period", "--shutdown-timeout", "--stop-timeout"],
        instead: "write --drain-timeout SECONDS",
    },
    Hint {
        names: &["-c", "-f", "--config", "--conf", "--config-file"],
        instead: "there is no configuration file; write options, or set MILLRACE_… variables",
    },
    Hint {
        names: &["-D", "--daemon", "--daemonize", "--background", "--pidfile", "--pid-file"],
        instead: "millrace stays in the foreground; start it by a service manager such as systemd",
    },
    Hint {
        names: &["-u", "-g", "--user", "--group", "--chroot"],
        instead: "millrace does not change its user; start it as the user that it is to run as",
    },
    Hint {
        names: &["--tls", "--ssl", "--https", "--cert", "--key", "--tls-cert", "--tls-key"],
        instead: "millrace speaks plain HTTP; put a reverse proxy in front of it for TLS",
    },
    Hint {
        names: &["-o", "--output", "--log-file", "--logfile", "--error-log"],
        instead: "the log goes to standard error; redirect it, for example with 2>>millrace.log",
    },
    Hint {
        names: &["-?", "--usage", "-H"],
        instead: "write -h for a short help, --help for a long one",
    },
    Hint { names: &["--test", "-T", "--dry-run", "--configtest"], instead: "write --check" },
    Hint { names: &["--man", "--completion", "--completions"], instead: "write --generate" },
];

fn operand_hint(argument: &str) -> Option<String> {
    if let Ok(address) = HostPort::parse(argument) {
        return Some(format!("write --listen {address}"));
    }
    match argument {
        "start" | "run" | "serve" | "server" | "daemon" => {
            Some("millrace needs no command to start; write only options".to_owned())
        }
        "stop" | "restart" | "reload" | "quit" | "status" => Some(
            "millrace takes no commands; send a signal to the running server, as 'millrace --help' \
             explains"
                .to_owned(),
        ),
        _ => argument
            .parse::<u16>()
            .ok()
            .map(|port| format!("write --listen [::]:{port} to listen on this port")),
    }
}

/// Whether this variable is one of those that Kubernetes, and Docker's links, set for a service that
/// is named millrace, or whose name begins so: `MILLRACE_PORT`, `MILLRACE_SERVICE_HOST`,
/// `MILLRACE_PORT_8080_TCP_ADDR`, `MILLRACE_WEST_PORT`. The name comes without the prefix.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let name = format!("_{rest}");
    let of_millrace =
        name == "_PORT" || name.starts_with("_PORT_") || name.starts_with("_SERVICE_");
    let protocols = ["tcp", "udp", "sctp"];
    let is_url = protocols.iter().any(|it| value.starts_with(&format!("{it}://")));
    let names_a_port = name.split("_PORT_").skip(1).any(|part| {
        let (number, protocol) = part.split_once('_').unwrap_or((part, ""));
        let protocol = protocol.split('_').next().unwrap_or_default().to_ascii_lowercase();
        number.parse::<u16>().is_ok() && protocols.contains(&protocol.as_str())
    });
    of_millrace
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || names_a_port
        || (name.ends_with("_PORT") && is_url)
}
