//! millrace: what was asked for on the command line, and the exit status.

use std::env;
use std::process::ExitCode;

use millrace::options::{self, Action, Invocation};
use millrace::{cli, health, log, supervisor};

/// The exit status of wrong usage, as is the custom.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match options::parse(arguments, env::vars_os()) {
        Ok(Invocation::Run { options, unknown_variables }) => {
            log::init(options.log_level, options.log_format);
            for variable in unknown_variables {
                log::warn(&variable.to_string(), &[]);
            }
            end(supervisor::run(&options).map(|()| String::new()))
        }
        Ok(Invocation::Check(options)) => end(supervisor::check(&options).map(line)),
        Ok(Invocation::Instead(Action::Health(url))) => end(health::ask(&url).map(line)),
        Ok(Invocation::Print(text)) => end(Ok(text)),
        Err(error) => {
            log::say(&format!("millrace: {error}\nTry 'millrace --help'."));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn line(text: String) -> String {
    format!("{text}\n")
}

/// Prints what came of it.
fn end(outcome: Result<String, String>) -> ExitCode {
    let printed = outcome.and_then(|text| {
        cli::print(&text).map_err(|error| format!("cannot write to standard output: {error}"))
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::say(&format!("millrace: {message}"));
            ExitCode::FAILURE
        }
    }
}
