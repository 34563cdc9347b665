//! The table of options: what an option is called, takes, means and does stands in its row alone.

use super::{Invocation, Options, generate, help, value};
use crate::limits;
use crate::log::{Format, Level};

/// One option.
pub struct Row {
    /// The name after two hyphens.
    pub long: &'static str,
    /// The letter after one hyphen.
    pub short: Option<char>,
    /// What it takes and does.
    pub kind: Kind,
    /// What it is for, in one line without a full stop.
    pub summary: &'static str,
    /// What else there is to know, in whole sentences; each line is a paragraph.
    pub explanation: &'static str,
    /// A command line that uses it.
    pub example: &'static str,
}

/// What an option takes and does.
pub enum Kind {
    /// Prints what the function returns, which is told whether the short form was used.
    Print(fn(bool) -> String),
    /// Checks the configuration instead of serving.
    Check,
    /// Does something else than serving, with a value.
    Instead {
        /// What help calls the value.
        name: &'static str,
        /// What is to be done, or what would have been right.
        invocation: fn(&str) -> Result<Invocation, String>,
    },
    /// On or off.
    Switch {
        /// What it is when nobody says.
        default: bool,
        /// Turns it on or off.
        set: fn(&mut Options, bool),
    },
    /// Takes a value.
    Value {
        /// What help calls the value; names with bars between them are all there are.
        name: &'static str,
        /// The value in force when none is given, as help shows it.
        default: &'static str,
        /// Sets the value, or says what would have been right.
        set: fn(&mut Options, &str) -> Result<(), String>,
    },
}

impl Row {
    /// The environment variable: `MILLRACE_LOG_LEVEL` for `--log-level`. None for what only prints.
    pub fn environment(&self) -> Option<String> {
        let name = || format!("MILLRACE_{}", self.long.replace('-', "_").to_ascii_uppercase());
        matches!(self.kind, Kind::Switch { .. } | Kind::Value { .. }).then(name)
    }

    /// What help calls the value, if it takes one.
    pub const fn value_name(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Value { name, .. } | Kind::Instead { name, .. } => Some(name),
            Kind::Print(_) | Kind::Check | Kind::Switch { .. } => None,
        }
    }

    /// All values there are, where there are only some.
    pub fn choices(&self) -> impl Iterator<Item = &'static str> {
        self.value_name()
            .filter(|name| name.contains('|'))
            .into_iter()
            .flat_map(|name| name.split('|'))
    }

    /// The value in force when none is given, as help shows it.
    pub const fn default(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Value { default, .. } => Some(default),
            Kind::Switch { default: true, .. } => Some("on"),
            Kind::Switch { default: false, .. } => Some("off"),
            Kind::Print(_) | Kind::Check | Kind::Instead { .. } => None,
        }
    }
}

/// All options, in the order of the help.
pub const ROWS: &[Row] = &[
    Row {
        long: "listen",
        short: Some('l'),
        kind: Kind::Value {
            name: "ADDR",
            default: "[::]:8080",
            set: |options, text| value::listen(text).map(|listen| options.listen = listen),
        },
        summary: "Address to listen on",
        explanation: "HOST:PORT, where HOST is an IPv4 address, an IPv6 address in brackets, or a \
                      name. The default takes clients of both IP versions; where IPv6 is off it \
                      is 0.0.0.0:8080. With port 0 the system chooses one, which the line \
                      'listening on …' tells.",
        example: "millrace --listen 127.0.0.1:9000",
    },
    Row {
        long: "workers",
        short: Some('w'),
        kind: Kind::Value {
            name: "N",
            default: "one a processor",
            set: |options, text| {
                value::whole(text, 1, limits::WORKERS_MAX).map(|count| options.workers = count)
            },
        },
        summary: "Worker threads",
        explanation: "Processors count as far as the process may use them, by its affinity and its \
                      cgroup's quota.",
        example: "millrace --workers 4",
    },
    Row {
        long: "pin",
        short: None,
        kind: Kind::Switch { default: false, set: |options, on| options.pin = on },
        summary: "Pin worker i to processor i",
        explanation: "Counts the processors the process may use, and starts over when there are \
                      more workers. Steadier latency on a machine of its own; on a shared one the \
                      scheduler knows better.",
        example: "taskset -c 2-5 millrace --workers 4 --pin",
    },
    Row {
        long: "backlog",
        short: None,
        kind: Kind::Value {
            name: "N",
            default: "4096",
            set: |options, text| {
                value::whole(text, 1, limits::BACKLOG_MAX).map(|length| options.backlog = length)
            },
        },
        summary: "Length of each worker's listen queue",
        explanation: "Connections the kernel holds until they are accepted. The kernel cuts it to \
                      net.core.somaxconn.",
        example: "millrace --backlog 16384",
    },
    Row {
        long: "max-connections",
        short: None,
        kind: Kind::Value {
            name: "N",
            default: "descriptor limit less a reserve",
            set: |options, text| {
                value::whole(text, 1, limits::CONNECTIONS_MAX)
                    .map(|count| options.max_connections = Some(count))
            },
        },
        summary: "Connections at a time",
        explanation: "Further clients are answered 503 with Retry-After, and closed. The soft \
                      descriptor limit is raised to the hard one first.",
        example: "millrace --max-connections 10000",
    },
    Row {
        long: "max-body",
        short: None,
        kind: Kind::Value {
            name: "BYTES",
            default: "65536",
            set: |options, text| {
                value::whole(text, 1, limits::BODY_BYTES_MAX)
                    .map(|bytes| options.max_body_bytes = bytes)
            },
        },
        summary: "Size of a request's body",
        explanation: "A longer body is answered 413 and not counted.",
        example: "millrace --max-body 4096",
    },
    Row {
        long: "max-users",
        short: None,
        kind: Kind::Value {
            name: "N",
            default: "none",
            set: |options, text| {
                value::whole(text, 1, u64::MAX).map(|count| options.max_users = Some(count))
            },
        },
        summary: "Distinct users to count",
        explanation: "Bounds the memory, of which a user takes some 40 bytes. Once so many are \
                      known, events of new users are answered 507 and not counted; known users go \
                      on.",
        example: "millrace --max-users 50000000",
    },
    Row {
        long: "header-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "10",
            set: |options, text| value::seconds(text).map(|time| options.header_timeout = time),
        },
        summary: "Time for a whole request header",
        explanation: "From its first byte. Then the client is answered 408, and closed. Seconds \
                      may have decimals.",
        example: "millrace --header-timeout 2.5",
    },
    Row {
        long: "body-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "30",
            set: |options, text| value::seconds(text).map(|time| options.body_timeout = time),
        },
        summary: "Time for a whole request body",
        explanation: "From its first byte. Then the client is answered 408, and closed. Seconds \
                      may have decimals.",
        example: "millrace --body-timeout 5",
    },
    Row {
        long: "idle-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "75",
            set: |options, text| value::seconds(text).map(|time| options.idle_timeout = time),
        },
        summary: "Time a connection may idle between requests",
        explanation: "Then it is closed. Behind a proxy, choose longer than the proxy keeps its \
                      own end open, so that it never sends into a closing connection. Seconds may \
                      have decimals.",
        example: "millrace --idle-timeout 600",
    },
    Row {
        long: "write-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "30",
            set: |options, text| value::seconds(text).map(|time| options.write_timeout = time),
        },
        summary: "Time a client may leave its answers unread",
        explanation: "Then its connection is closed. Seconds may have decimals.",
        example: "millrace --write-timeout 10",
    },
    Row {
        long: "drain-timeout",
        short: None,
        kind: Kind::Value {
            name: "SECONDS",
            default: "10",
            set: |options, text| value::seconds(text).map(|time| options.drain_timeout = time),
        },
        summary: "Time for what is in flight at a stop",
        explanation: "At SIGTERM or SIGINT the server accepts no more and finishes what has begun; \
                      after this time, or at a second signal, it cuts off the rest. Seconds may \
                      have decimals.",
        example: "millrace --drain-timeout 60",
    },
    Row {
        long: "allow-reset",
        short: None,
        kind: Kind::Switch { default: false, set: |options, on| options.allow_reset = on },
        summary: "Enable POST /reset",
        explanation: "It sets all statistics to zero for whoever asks, so it is off and answered \
                      403 unless this is given.",
        example: "millrace --allow-reset",
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
        explanation: "Each includes those before it. The log goes to standard error; a flood of \
                      one kind of line is cut, and the lines left out are counted.",
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
        explanation: "One line an event in both.",
        example: "millrace --log-format json",
    },
    Row {
        long: "access-log",
        short: None,
        kind: Kind::Switch { default: false, set: |options, on| options.access_log = on },
        summary: "Log every request",
        explanation: "One line a request to standard output, in the combined format of Apache and \
                      nginx; costs a good part of the speed. Lines are gathered and leave when a \
                      worker has answered all that was waiting.",
        example: "millrace --access-log >>access.log",
    },
    Row {
        long: "sandbox",
        short: None,
        kind: Kind::Switch { default: true, set: |options, on| options.sandbox = on },
        summary: "Give up every right a worker does not need",
        explanation: "After the start the process gives up its capabilities and the way to new \
                      ones, and each worker has the kernel refuse all system calls but those it \
                      needs; one that only an intruder makes, such as starting a program, ends the \
                      process. '--sandbox=no' turns it off, for debuggers and strange kernels.",
        example: "millrace --sandbox=no",
    },
    Row {
        long: "check",
        short: None,
        kind: Kind::Check,
        summary: "Check the configuration, and exit",
        explanation: "Reads options and environment, resolves the address and compares the \
                      connections with the limit of open files, without listening. The exit status \
                      is 0 if a start would get as far, otherwise as of the start.",
        example: "millrace --listen localhost:8080 --check",
    },
    Row {
        long: "health",
        short: None,
        kind: Kind::Instead {
            name: "URL",
            invocation: |text| value::http_url(text).map(Invocation::Health),
        },
        summary: "Ask a running server whether it is well, and exit",
        explanation: "The exit status is 0 if it answers 200 within five seconds, otherwise 1. \
                      Without a path it asks for /health. For containers, which have no other \
                      program to ask with.",
        example: "millrace --health http://127.0.0.1:8080",
    },
    Row {
        long: "generate",
        short: None,
        kind: Kind::Instead {
            name: "man|bash|zsh|fish",
            invocation: |text| generate::generate(text).map(Invocation::Print),
        },
        summary: "Print the man page or a shell's completions",
        explanation: "Made of the same table as this help.",
        example: "millrace --generate bash >/etc/bash_completion.d/millrace",
    },
    Row {
        long: "help",
        short: Some('h'),
        kind: Kind::Print(|short| if short { help::short() } else { help::long() }),
        summary: "Print help: a line an option with -h, all of it with --help",
        explanation: "",
        example: "millrace --help",
    },
    Row {
        long: "version",
        short: Some('V'),
        kind: Kind::Print(|_| help::version()),
        summary: "Print the version",
        explanation: "",
        example: "millrace --version",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_help_shows_is_the_one_in_force() {
        for row in ROWS {
            let Kind::Value { default, set, .. } = row.kind else { continue };
            let mut options = Options::default();
            match set(&mut options, default) {
                // The default address has a fallback, so it differs from the one it is shown as.
                Ok(()) if row.long == "listen" => {
                    assert_eq!(Options::default().listen.to_string(), default);
                }
                Ok(()) => assert_eq!(options, Options::default(), "--{}", row.long),
                // Words in place of a number: nothing to compare.
                Err(_) => assert!(default.parse::<f64>().is_err(), "--{}: {default}", row.long),
            }
        }
    }

    #[test]
    fn names_are_unique_and_words_are_complete() {
        for (index, row) in ROWS.iter().enumerate() {
            for other in &ROWS[..index] {
                assert_ne!(row.long, other.long);
                assert!(row.short.is_none() || row.short != other.short, "--{}", row.long);
            }
            assert!(row.summary.len() <= 60 && !row.summary.ends_with('.'), "--{}", row.long);
            assert!(row.choices().all(|choice| !choice.is_empty()), "--{}", row.long);
            let prints = matches!(row.kind, Kind::Print(_));
            assert!(prints || row.explanation.ends_with('.'), "--{}", row.long);
            assert!(row.example.contains(&format!("--{}", row.long)), "--{}", row.long);
        }
    }

    #[test]
    fn choices_are_all_there_are_and_valid() {
        for row in ROWS {
            for choice in row.choices() {
                let argument = format!("--{}={choice}", row.long);
                assert!(crate::options::parse([argument.into()], |_| None).is_ok(), "{choice}");
            }
        }
        let choices = |long| ROWS.iter().find(|row| row.long == long).unwrap().choices();
        assert!(choices("log-level").eq(Level::NAMES.iter().map(|(name, _)| *name)));
        assert!(choices("log-format").eq(Format::NAMES.iter().map(|(name, _)| *name)));
        assert!(choices("generate").eq(generate::WHAT.iter().map(|(name, _)| *name)));
        assert_eq!(choices("listen").count(), 0);
    }

    #[test]
    fn a_switch_is_what_it_says_when_nobody_says() {
        for row in ROWS {
            if let Kind::Switch { default, set } = row.kind {
                let mut options = Options::default();
                set(&mut options, default);
                assert_eq!(options, Options::default(), "--{}", row.long);
                set(&mut options, !default);
                assert_ne!(options, Options::default(), "--{}", row.long);
            }
        }
    }

    #[test]
    fn examples_are_valid() {
        for row in ROWS {
            let (_, arguments) = row.example.split_once("millrace").unwrap();
            let arguments = arguments.split('>').next().unwrap().split_whitespace();
            let parsed = crate::options::parse(arguments.map(Into::into), |_| None);
            assert!(parsed.is_ok(), "{}: {parsed:?}", row.example);
        }
    }
}
