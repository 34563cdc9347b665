//! The command line and the environment.
//!
//! [`table`] has one row an option, from which parsing, both lengths of help and whatever else is
//! to agree with them are made. Of the command line and the environment the command line wins; of
//! an option given twice the last counts, so that a script may append to what its user wrote; an
//! empty environment variable counts as unset, since container files cannot unset one.
//!
//! No parser from a crate: the server's run-time packages are few, and this needs none.

mod error;
mod generate;
mod help;
mod listen;
pub mod table;
mod value;

use std::ffi::OsString;
use std::iter::Peekable;
use std::time::Duration;

pub use error::UsageError;
pub use listen::{HostPort, Listen};
pub use value::HttpUrl;

use crate::{limits, log, sys};
use error::Source;
use table::{Kind, Row};

/// What an operator may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where to listen.
    pub listen: Listen,
    /// Worker threads.
    pub workers: usize,
    /// Whether worker `i` is bound to the `i`-th allowed processor.
    pub pin: bool,
    /// Length of each listen queue.
    pub backlog: u32,
    /// Connections at a time; `None` leaves it to the descriptor limit.
    pub max_connections: Option<usize>,
    /// Bytes of a request's content.
    pub max_body_bytes: usize,
    /// Users counted; `None` counts all.
    pub max_users: Option<u64>,
    /// A whole header section, from its first byte.
    pub header_timeout: Duration,
    /// A whole body, from its first byte.
    pub body_timeout: Duration,
    /// A connection between two requests.
    pub idle_timeout: Duration,
    /// A peer that does not read its answers.
    pub write_timeout: Duration,
    /// A stop, until what is still in flight is cut off.
    pub drain_timeout: Duration,
    /// Whether `POST /reset` is allowed.
    pub allow_reset: bool,
    /// What is logged.
    pub log_level: log::Level,
    /// How it is logged.
    pub log_format: log::Format,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Whether rights that are not needed are given up after the start.
    pub sandbox: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Listen::Default,
            workers: sys::affinity::processors().min(limits::WORKERS_MAX),
            pin: false,
            backlog: limits::BACKLOG_DEFAULT,
            max_connections: None,
            max_body_bytes: limits::BODY_BYTES_MAX_DEFAULT,
            max_users: None,
            header_timeout: Duration::from_secs(limits::HEADER_TIMEOUT_S_DEFAULT),
            body_timeout: Duration::from_secs(limits::BODY_TIMEOUT_S_DEFAULT),
            idle_timeout: Duration::from_secs(limits::IDLE_TIMEOUT_S_DEFAULT),
            write_timeout: Duration::from_secs(limits::WRITE_TIMEOUT_S_DEFAULT),
            drain_timeout: Duration::from_secs(limits::DRAIN_TIMEOUT_S_DEFAULT),
            allow_reset: false,
            log_level: log::Level::Info,
            log_format: log::Format::Text,
            access_log: false,
            sandbox: true,
        }
    }
}

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// To serve.
    Serve(Options),
    /// To say whether it could serve.
    Check(Options),
    /// To ask another server for its health.
    Health(HttpUrl),
    /// To print this to standard output and exit with status 0.
    Print(String),
}

/// Reads the `arguments` after the program's name, and then from `environment` the options that
/// they leave open.
///
/// # Errors
///
/// The first thing that is wrong. What is no part of serving, such as `--help`, is obeyed where it
/// is reached, and never fails over the environment.
///
/// ```
/// use millrace::options::{Invocation, parse};
///
/// let Ok(Invocation::Serve(options)) = parse(["-w4".into()], |_| None) else { unreachable!() };
/// assert_eq!(options.workers, 4);
/// let error = parse(["--wrokers=4".into()], |_| None).unwrap_err();
/// assert_eq!(error.to_string(), "unknown option '--wrokers', did you mean '--workers'?");
/// ```
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Invocation, UsageError> {
    let mut options = Options::default();
    let mut given = [false; table::ROWS.len()];
    let mut check = false;
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        let (index, attached) = Given::read(&argument)?;
        let row = &table::ROWS[index];
        given[index] = true;
        match row.kind {
            Kind::Print(print) => return Ok(Invocation::Print(print(attached.is_short()))),
            Kind::Check => check = attached.switch(row)?,
            Kind::Instead { invocation, .. } => {
                let value = attached.value(row, &mut arguments)?;
                let source = Source::Option(row);
                return invocation(&value).map_err(|expected| UsageError::Value {
                    source,
                    value,
                    expected,
                });
            }
            Kind::Switch { set, .. } => set(&mut options, attached.switch(row)?),
            Kind::Value { set, .. } => {
                let value = attached.value(row, &mut arguments)?;
                set(&mut options, &value).map_err(|expected| UsageError::Value {
                    source: Source::Option(row),
                    value,
                    expected,
                })?;
            }
        }
    }
    for (row, given) in table::ROWS.iter().zip(given) {
        if !given {
            read_environment(row, &environment, &mut options)?;
        }
    }
    Ok(if check { Invocation::Check(options) } else { Invocation::Serve(options) })
}

fn read_environment(
    row: &'static Row,
    environment: impl Fn(&str) -> Option<OsString>,
    options: &mut Options,
) -> Result<(), UsageError> {
    let Some(name) = row.environment() else { return Ok(()) };
    let Some(value) = environment(&name).filter(|value| !value.is_empty()) else { return Ok(()) };
    let value = value.to_string_lossy().into_owned();
    match row.kind {
        Kind::Print(_) | Kind::Check | Kind::Instead { .. } => Ok(()),
        Kind::Switch { set, .. } => value::switch(&value).map(|on| set(options, on)),
        Kind::Value { set, .. } => set(options, &value),
    }
    .map_err(|expected| UsageError::Value {
        source: Source::Environment(row),
        value,
        expected,
    })
}

/// How an option was written, and with what attached.
enum Given {
    /// `--long` or `--long=value`.
    Long(Option<String>),
    /// `-s` or `-svalue`.
    Short(Option<String>),
}

impl Given {
    /// Finds the row that `argument` names. What is not UTF-8 can be no valid name or value, and
    /// is carried on with replacement characters, to be refused and shown.
    fn read(argument: &OsString) -> Result<(usize, Self), UsageError> {
        let argument = argument.to_string_lossy();
        if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let index = table::ROWS.iter().position(|row| row.long == name);
            let index = index.ok_or_else(|| UsageError::unknown(&format!("--{name}")))?;
            return Ok((index, Self::Long(value)));
        }
        let mut letters = argument.chars();
        let (Some('-'), Some(letter)) = (letters.next(), letters.next()) else {
            return Err(UsageError::Operand(argument.into_owned()));
        };
        let index = table::ROWS.iter().position(|row| row.short == Some(letter));
        let index = index.ok_or_else(|| UsageError::unknown(&argument))?;
        let rest = letters.as_str();
        Ok((index, Self::Short((!rest.is_empty()).then(|| rest.to_owned()))))
    }

    fn is_short(&self) -> bool {
        matches!(self, Self::Short(_))
    }

    /// The value of an option that takes one: attached, or the next argument.
    fn value(
        self,
        row: &'static Row,
        arguments: &mut Peekable<impl Iterator<Item = OsString>>,
    ) -> Result<String, UsageError> {
        let (Self::Long(attached) | Self::Short(attached)) = self;
        if let Some(value) = attached {
            return Ok(value);
        }
        // No option takes a value that begins with a hyphen: rather than one, the value is missing.
        arguments
            .next_if(|next| !next.as_encoded_bytes().starts_with(b"-"))
            .map(|value| value.to_string_lossy().into_owned())
            .ok_or(UsageError::Missing(row))
    }

    /// On, or what `--switch=no` says: the way to turn off what the environment turned on.
    fn switch(self, row: &'static Row) -> Result<bool, UsageError> {
        let (Self::Long(attached) | Self::Short(attached)) = self;
        let Some(value) = attached else { return Ok(true) };
        value::switch(&value).map_err(|expected| UsageError::Value {
            source: Source::Option(row),
            value,
            expected,
        })
    }
}
