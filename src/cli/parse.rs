//! Reads a command line and the environment by a table of options.
//!
//! The command line wins over the environment. Of an option given twice the last counts, so that a
//! script may append to what its user wrote. An empty environment variable counts as unset, since
//! container files cannot unset one.

use std::ffi::OsString;
use std::iter::Peekable;

use super::error::{Source, UnknownVariable, UsageError};
use super::row::{Kind, Program, Row};
use super::{generate, help, suggest, value};

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation<O, A> {
    /// To run with these options.
    Run {
        /// The values of the options.
        options: O,
        /// Variables that look like options, and are none: to be warned of.
        unknown_variables: Vec<UnknownVariable>,
    },
    /// To say whether it could run with these options.
    Check(O),
    /// To do something else.
    Instead(A),
    /// To print this to standard output, and exit with status 0.
    Print(String),
}

/// Reads the `arguments` after the program's name, and then from the variables of `environment` the
/// options that the arguments leave open.
///
/// # Errors
/// The first thing that is wrong. What is no part of running, such as `--help`, is obeyed where it
/// is reached, and never fails because of the environment.
pub fn parse<O: Default, A>(
    program: &'static Program<O, A>,
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Invocation<O, A>, UsageError> {
    let mut options = O::default();
    let mut given = vec![false; program.rows.len()];
    let mut check = false;
    let mut arguments = arguments.into_iter().peekable();
    let mut last_switch = None;
    while let Some(argument) = arguments.next() {
        let argument = text(argument)?;
        if argument == "--" && arguments.peek().is_none() {
            break;
        }
        let (index, written) = find(program, &argument, last_switch)?;
        let row = &program.rows[index];
        given[index] = true;
        last_switch = (row.is_switch() && written.attached.is_none()).then_some(row.long);
        match row.kind {
            Kind::Help | Kind::Version => return print(program, row, written),
            Kind::Generate => {
                let value = written.value(row, &mut arguments)?;
                let printed = generate::generate(program, &value);
                return wrong_in(row, value, printed).map(Invocation::Print);
            }
            Kind::Check => check = written.switch(row)?,
            Kind::Instead { action, .. } => {
                let value = written.value(row, &mut arguments)?;
                let action = action(&value);
                return wrong_in(row, value, action).map(Invocation::Instead);
            }
            Kind::Switch { set, .. } => set(&mut options, written.switch(row)?),
            Kind::Value { set, .. } => {
                let value = written.value(row, &mut arguments)?;
                let outcome = set(&mut options, &value);
                wrong_in(row, value, outcome)?;
            }
        }
    }
    let variables = Variables::of(program, environment);
    for (row, _) in program.rows.iter().zip(given).filter(|(_, given)| !given) {
        variables.read(program, row, &mut options)?;
    }
    let mut unknown_variables = variables.unknown(program);
    if !check {
        return Ok(Invocation::Run { options, unknown_variables });
    }
    match unknown_variables.is_empty() {
        true => Ok(Invocation::Check(options)),
        false => Err(UsageError::UnknownVariable(unknown_variables.remove(0))),
    }
}

/// How an option was written.
struct Written {
    is_short: bool,
    /// The value that is attached: `--long=value`, `-svalue`, `-s=value`.
    attached: Option<String>,
}

/// Finds the row that `argument` names. `last_switch` is the option before it if that is a switch
/// without a value.
fn find<O, A>(
    program: &Program<O, A>,
    argument: &str,
    last_switch: Option<&str>,
) -> Result<(usize, Written), UsageError> {
    if let Some(long) = argument.strip_prefix("--").filter(|long| !long.is_empty()) {
        let (name, attached) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let index = program.rows.iter().position(|row| row.long == name);
        let index = index.ok_or_else(|| unknown(program, &format!("--{name}")))?;
        return Ok((index, Written { is_short: false, attached }));
    }
    if let Some(long) = suggest::mistyped_hyphens(program, argument) {
        let advice = Some(format!("write --{long} with two hyphens"));
        let name = argument.split('=').next().unwrap_or_default().to_owned();
        return Err(UsageError::Unknown { name, advice });
    }
    let mut letters = argument.chars();
    let (Some('-'), Some(letter)) = (letters.next(), letters.next().filter(|&c| c != '-')) else {
        return Err(operand(program, argument, last_switch));
    };
    let index = program.rows.iter().position(|row| row.short == Some(letter));
    let index =
        index.ok_or_else(|| match program.hints.iter().any(|h| h.names.contains(&argument)) {
            true => unknown(program, argument),
            false => unknown(program, &format!("-{letter}")),
        })?;
    let rest = letters.as_str();
    let attached = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest).to_owned());
    Ok((index, Written { is_short: true, attached }))
}

fn unknown<O, A>(program: &Program<O, A>, name: &str) -> UsageError {
    UsageError::Unknown { name: name.to_owned(), advice: suggest::option(program, name) }
}

fn operand<O, A>(program: &Program<O, A>, argument: &str, last_switch: Option<&str>) -> UsageError {
    let advice = last_switch
        .filter(|_| value::switch(argument).is_ok())
        .map(|long| format!("write --{long}={argument}"))
        .or_else(|| (program.operand_hint)(argument))
        .or_else(|| suggest::operand(program, argument));
    UsageError::Operand { argument: argument.to_owned(), advice }
}

fn text(argument: OsString) -> Result<String, UsageError> {
    argument.into_string().map_err(|argument| UsageError::NotText {
        variable: None,
        shown: argument.to_string_lossy().into_owned(),
    })
}

fn print<O, A>(
    program: &'static Program<O, A>,
    row: &'static Row<O, A>,
    written: Written,
) -> Result<Invocation<O, A>, UsageError> {
    if let Some(value) = written.attached {
        return Err(UsageError::Unwanted { long: row.long, value });
    }
    Ok(Invocation::Print(match (&row.kind, written.is_short) {
        (Kind::Version, _) => help::version(program),
        (_, true) => help::short(program),
        (_, false) => help::long(program),
    }))
}

/// Adds to the problem with a value of the command line where it stands.
fn wrong_in<O, A, T>(
    row: &'static Row<O, A>,
    value: String,
    outcome: Result<T, String>,
) -> Result<T, UsageError> {
    let source = Source::Option(row.long);
    outcome.map_err(|problem| UsageError::Value { source, value, problem })
}

impl Written {
    /// The value of an option that takes one: attached, or the next argument.
    fn value<O, A>(
        self,
        row: &'static Row<O, A>,
        arguments: &mut Peekable<impl Iterator<Item = OsString>>,
    ) -> Result<String, UsageError> {
        let mut next = None;
        let value = match self.attached {
            Some(value) => value,
            None => match arguments.next_if(can_be_a_value) {
                Some(argument) => text(argument)?,
                None => {
                    next = arguments.peek().map(|next| next.to_string_lossy().into_owned());
                    String::new()
                }
            },
        };
        if value.is_empty() {
            return Err(UsageError::Missing { long: row.long, example: row.example, next });
        }
        Ok(value)
    }

    /// On, or what `--switch=no` says: the way to turn off what the environment turned on.
    fn switch<O, A>(self, row: &'static Row<O, A>) -> Result<bool, UsageError> {
        let Some(value) = self.attached else { return Ok(true) };
        let on = value::switch(&value);
        wrong_in(row, value, on)
    }
}

/// An argument that begins with a hyphen is an option, but for negative numbers, which get the error
/// of a wrong value, and the hyphen that stands for standard input.
fn can_be_a_value(argument: &OsString) -> bool {
    match argument.as_encoded_bytes() {
        [b'-', second, ..] => second.is_ascii_digit() || *second == b'.',
        _ => true,
    }
}

/// The variables of an environment that have the program's prefix and a value; without the prefix.
struct Variables(Vec<(String, OsString)>);

impl Variables {
    fn of<O, A>(
        program: &Program<O, A>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Variables {
        let ours = environment.into_iter().filter_map(|(name, value)| {
            let rest = name.to_string_lossy().strip_prefix(program.prefix)?.to_owned();
            (!value.is_empty()).then_some((rest, value))
        });
        Variables(ours.collect())
    }

    /// Reads the variable of one option, if it is set.
    fn read<O, A>(
        &self,
        program: &Program<O, A>,
        row: &Row<O, A>,
        options: &mut O,
    ) -> Result<(), UsageError> {
        let Some(rest) = row.variable() else { return Ok(()) };
        let Some((_, value)) = self.0.iter().find(|(name, _)| *name == rest) else {
            return Ok(());
        };
        let name = format!("{}{rest}", program.prefix);
        let Some(value) = value.to_str() else {
            let shown = value.to_string_lossy().into_owned();
            return Err(UsageError::NotText { variable: Some(name), shown });
        };
        match row.kind {
            Kind::Switch { set, .. } => value::switch(value).map(|on| set(options, on)),
            Kind::Value { set, .. } => set(options, value),
            _ => Ok(()),
        }
        .map_err(|problem| UsageError::Value {
            source: Source::Variable(name),
            value: value.to_owned(),
            problem,
        })
    }

    /// The variables that belong to no option, and come from nowhere else.
    fn unknown<O, A>(&self, program: &Program<O, A>) -> Vec<UnknownVariable> {
        let known = |rest: &str, value: &OsString| {
            program.rows.iter().any(|row| row.variable().as_deref() == Some(rest))
                || program.own_variables.contains(&rest)
                || (program.is_foreign)(rest, &value.to_string_lossy())
        };
        let unknown = self.0.iter().filter(|(rest, value)| !known(rest, value));
        unknown
            .map(|(rest, _)| UnknownVariable {
                name: format!("{}{rest}", program.prefix),
                advice: suggest::variable(program, rest),
            })
            .collect()
    }
}
