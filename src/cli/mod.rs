//! Command lines for any program: a table of options goes in, and parsing, help, a man page and
//! completions for three shells come out.
//!
//! A program describes itself in one [`Program`]: its name, the prefix of its environment variables,
//! its options ([`Row`]), and the texts of its man page. [`parse()`] reads a command line and the
//! environment by that table, and returns an [`Invocation`]. Because help, man page and completions
//! come from the same table, they always agree with the parser.
//!
//! This room contains no option of any program, and no `process::exit`: the caller decides what
//! happens. It is not a crate of its own, and uses none, because the server has few packages.
//!
//! - `row`: the types of the table. `value`: from text to numbers, bytes, times, switches, choices.
//! - `parse`: the command line and the environment. `error`: what is wrong, with the exact messages.
//! - `suggest`: which option a wrong name was meant to be.
//! - `help`, `man`, `shells`: texts from the table. `generate`: their names.
//! - `print`: text to standard output, also where nothing reads it.

mod error;
mod generate;
mod help;
mod man;
mod parse;
mod print;
mod row;
mod shells;
mod suggest;
#[cfg(test)]
mod tests;
pub mod value;

pub use error::{Source, UnknownVariable, UsageError};
pub use parse::{Invocation, parse};
pub use print::print;
pub use row::{Hint, Kind, Program, Row, Section};
