//! millrace: what was asked for on the command line, and the exit status.

use std::env;
use std::process::ExitCode;

use millrace::log::Level;
use millrace::options::{self, Action, Invocation};
use millrace::{cli, health, log, supervisor};

/// The exit status of wrong usage, as is the custom.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let _finish = FinishLogs;
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let format = options::log_format(&arguments, env::var_os("MILLRACE_LOG_FORMAT"));
    log::init(Level::Info, format);
    match options::parse(arguments, env::vars_os()) {
        Ok(Invocation::Run { options, unknown_variables }) => {
            log::init(options.log_level, options.log_format);
            let warnings: Vec<_> = unknown_variables.iter().map(ToString::to_string).collect();
            end(supervisor::run(&options, &warnings).map(|()| String::new()))
        }
        Ok(Invocation::Check(options)) => end(supervisor::check(&options).map(line)),
        Ok(Invocation::Instead(Action::Health(url))) => end(health::ask(&url).map(line)),
        Ok(Invocation::Print(text)) => end(Ok(text)),
        Err(error) => {
            let hint = "Try 'millrace --help'.";
            let text = format!("millrace: {error}\n{hint}");
            log::say(Level::Error, &text, &error.to_string(), &[("hint", &hint)]);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn line(text: String) -> String {
    format!("{text}\n")
}

/// Prints the outcome.
fn end(outcome: Result<String, String>) -> ExitCode {
    let printed = outcome.and_then(|text| {
        cli::print(&text).map_err(|error| format!("cannot write to standard output: {error}"))
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::say(Level::Error, &format!("millrace: {message}"), &message, &[]);
            ExitCode::FAILURE
        }
    }
}

/// Lets the last lines of the logs leave when the program ends, also by a panic.
struct FinishLogs;

impl Drop for FinishLogs {
    fn drop(&mut self) {
        log::finish();
    }
}
