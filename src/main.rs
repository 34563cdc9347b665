//! millrace: what was asked for on the command line, and the exit status.

use std::env;
use std::process::ExitCode;

use millrace::options::{self, Invocation};
use millrace::{health, log, supervisor};

/// Bad usage, as is the custom.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match options::parse(env::args_os().skip(1), |name| env::var_os(name)) {
        Ok(Invocation::Serve(options)) => end(supervisor::run(&options).map(|()| None)),
        Ok(Invocation::Check(options)) => end(supervisor::check(&options).map(Some)),
        Ok(Invocation::Health(url)) => end(health::ask(&url).map(Some)),
        Ok(Invocation::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::say(&format!("millrace: {error}\nTry 'millrace --help'."));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Says what came of it.
fn end(outcome: Result<Option<String>, String>) -> ExitCode {
    match outcome {
        Ok(Some(text)) => println!("{text}"),
        Ok(None) => {}
        Err(message) => {
            log::say(&format!("millrace: {message}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
