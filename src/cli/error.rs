//! What is wrong with a command line or the environment, and what to write instead, in one line.

use std::error::Error;
use std::fmt::{self, Display};

/// An error of usage. Its text is one line, even if the user wrote line ends.
#[derive(Debug, PartialEq, Eq)]
pub enum UsageError {
    /// No option has this name.
    Unknown {
        /// The name as written, with its hyphens.
        name: String,
        /// What to write instead, if that is known.
        advice: Option<String>,
    },
    /// An argument that is no option.
    Operand {
        /// The argument as written.
        argument: String,
        /// What to write instead, if that is known.
        advice: Option<String>,
    },
    /// The option needs a value, and has none, or an empty one.
    Missing {
        /// The option's name.
        long: &'static str,
        /// A command line that has a value.
        example: &'static str,
        /// The option that follows in the place of the value.
        next: Option<String>,
    },
    /// The option takes no value, and has one.
    Unwanted {
        /// The option's name.
        long: &'static str,
        /// The value as written.
        value: String,
    },
    /// The value is not what it must be.
    Value {
        /// Where it stands.
        source: Source,
        /// The value as written.
        value: String,
        /// The rest of the sentence, which says what would be right.
        problem: String,
    },
    /// An argument, or the value of a variable, is not UTF-8.
    NotText {
        /// The variable, if it is not an argument.
        variable: Option<String>,
        /// The text with replacement characters.
        shown: String,
    },
    /// A variable with the program's prefix that is not one of its own.
    UnknownVariable(UnknownVariable),
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the command line, for the option with this name.
    Option(&'static str),
    /// In the environment variable with this name.
    Variable(String),
}

/// A variable with the program's prefix that is not one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// The whole name.
    pub name: String,
    /// What to set instead, if that is known.
    pub advice: Option<String>,
}

impl Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Unknown { name, advice } => {
                write!(f, "unknown option '{}'", name.escape_debug())?;
                advise(f, advice)
            }
            Self::Operand { argument, advice } => {
                write!(f, "unexpected argument '{}'", argument.escape_debug())?;
                match advice {
                    Some(_) => advise(f, advice),
                    None => f.write_str(": there are only options, which begin with hyphens"),
                }
            }
            Self::Missing { long, example, next } => {
                write!(f, "--{long} needs a value")?;
                if let Some(next) = next {
                    write!(f, ", but '{}' follows", next.escape_debug())?;
                }
                write!(f, "; for example: {example}")
            }
            Self::Unwanted { long, value } => {
                let value = value.escape_debug();
                write!(f, "--{long} takes no value, but '{value}' follows; write --{long} alone")
            }
            Self::Value { source, value, problem } => {
                write!(f, "{source}: '{}' {problem}", value.escape_debug())
            }
            Self::NotText { variable, shown } => {
                let shown = shown.escape_debug();
                match variable {
                    Some(name) => write!(f, "{name}: '{shown}'")?,
                    None => write!(f, "the argument '{shown}'")?,
                }
                f.write_str(" is not UTF-8; write it in characters")
            }
            Self::UnknownVariable(variable) => variable.fmt(f),
        }
    }
}

impl Error for UsageError {}

impl Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "unknown variable {}", self.name.escape_debug())?;
        advise(f, &self.advice)
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Option(long) => write!(f, "--{long}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

fn advise(f: &mut fmt::Formatter, advice: &Option<String>) -> fmt::Result {
    advice.as_ref().map_or(Ok(()), |advice| write!(f, ": {advice}"))
}
