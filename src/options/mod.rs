//! The options of millrace, and what the program is.
//!
//! `values` is the struct, `table` has a row for each option and explains how to add one, `program`
//! has all other text of help and man page. `address`, `origin`, `proxies` and `url` read the
//! values that only millrace has. How a command line is read, and how help is made from the table, is the subject of
//! [`cli`](mod@crate::cli).

mod address;
mod origin;
mod program;
mod proxies;
mod table;
#[cfg(test)]
mod tests;
mod url;
mod values;

use std::ffi::OsString;

pub use address::{HostPort, Listen};
pub use origin::Origins;
pub use program::PROGRAM;
pub use proxies::Proxies;
pub use url::HttpUrl;
pub use values::{Action, Options};

use crate::cli::{self, UsageError};
use crate::log::Format;

/// What the program was asked to do.
pub type Invocation = cli::Invocation<Options, Action>;

/// Reads the `arguments` after the program's name, and then from the variables of `environment` the
/// options that they leave open.
///
/// # Errors
///
/// The first thing that is wrong.
///
/// ```
/// use millrace::options::{Invocation, parse};
///
/// let Ok(Invocation::Run { options, .. }) = parse(["-w4".into()], []) else { unreachable!() };
/// assert_eq!(options.workers, 4);
/// let error = parse(["--wrokers=4".into()], []).unwrap_err();
/// assert_eq!(error.to_string(), "unknown option '--wrokers': did you mean '--workers'?");
/// ```
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Invocation, UsageError> {
    cli::parse(&PROGRAM, arguments, environment)
}

/// Returns the format of the log, as far as a command line that may be wrong shows it: also
/// the message about that is to be in the format that reads the log.
pub fn log_format(arguments: &[OsString], variable: Option<OsString>) -> Format {
    let attached =
        |argument: &OsString| Some(argument.to_str()?.strip_prefix("--log-format=")?.to_owned());
    let separate = |pair: &[OsString]| {
        (pair[0] == "--log-format").then(|| pair[1].to_string_lossy().into_owned())
    };
    let given = arguments.windows(2).filter_map(separate).next_back();
    let given = arguments.iter().filter_map(attached).next_back().or(given);
    let chosen = given.or_else(|| variable.and_then(|value| value.into_string().ok()));
    let named = |(name, _): &&(&str, Format)| chosen.as_deref() == Some(*name);
    Format::NAMES.iter().find(named).map_or(Format::Text, |&(_, format)| format)
}
