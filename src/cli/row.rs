//! The types of a table of options.
//!
//! `O` is the struct that holds the values of the options. `A` is what the program can do instead of
//! its usual work, such as asking another server for its health.

use std::fmt::{self, Debug};

/// A program, as its command line, its help and its man page describe it.
pub struct Program<O: 'static, A: 'static> {
    /// The name of the program, as it is typed.
    pub name: &'static str,
    /// The version, as `--version` prints it.
    pub version: &'static str,
    /// What the program is, in one sentence without its name and without a full stop.
    pub about: &'static str,
    /// How the names of its environment variables begin, with the underscore.
    pub prefix: &'static str,
    /// Names without the prefix of variables that the program reads itself, outside the table.
    pub own_variables: &'static [&'static str],
    /// Whether a variable, given as its name without the prefix and its value, comes from elsewhere
    /// and is to be ignored.
    pub is_foreign: fn(&str, &str) -> bool,
    /// What the program does, a paragraph each.
    pub description: &'static [&'static str],
    /// All options, in the order of the help.
    pub rows: &'static [Row<O, A>],
    /// Options that users try, and that the program does not have.
    pub hints: &'static [Hint],
    /// Says what to write instead of an argument that is no option, if that is known.
    pub operand_hint: fn(&str) -> Option<String>,
    /// What each signal does.
    pub signals: Section,
    /// What each exit status means.
    pub exit_statuses: Section,
    /// The files that the program, or its package, uses.
    pub files: Section,
    /// Command lines, each with what it does.
    pub examples: Section,
    /// Manual pages, as `name(section)`, and other documents.
    pub see_also: &'static [&'static str],
}

/// Terms, each with its meaning in whole sentences.
pub type Section = &'static [(&'static str, &'static str)];

/// Options that do not exist, with what to write instead.
pub struct Hint {
    /// Their names, with their hyphens.
    pub names: &'static [&'static str],
    /// What to write instead: a clause that follows a colon, without a full stop.
    pub instead: &'static str,
}

/// One option.
pub struct Row<O: 'static, A: 'static> {
    /// The name after two hyphens.
    pub long: &'static str,
    /// The letter after one hyphen.
    pub short: Option<char>,
    /// What it takes and does.
    pub kind: Kind<O, A>,
    /// What it is for, in one line without a full stop.
    pub summary: &'static str,
    /// The rest of the explanation, in whole sentences.
    pub explanation: &'static str,
    /// A command line that uses it.
    pub example: &'static str,
}

/// What an option takes and does.
pub enum Kind<O: 'static, A: 'static> {
    /// Prints the help: the short one for the letter, the long one for the name.
    Help,
    /// Prints the version.
    Version,
    /// Prints the man page or the completions of a shell.
    Generate,
    /// Checks the configuration instead of running.
    Check,
    /// Does something else than running, with a value.
    Instead {
        /// What help calls the value.
        name: &'static str,
        /// Returns what is to be done; an error as those of `Value`.
        action: fn(&str) -> Result<A, String>,
    },
    /// On or off.
    Switch {
        /// The value in force when none is given.
        default: bool,
        /// Turns it on or off.
        set: fn(&mut O, bool),
    },
    /// Takes a value.
    Value {
        /// What help calls the value; names with bars between them are all the values there are.
        name: &'static str,
        /// The value in force when none is given, as help shows it.
        default: &'static str,
        /// Sets the value. The error is the rest of a sentence that begins with the value in
        /// quotes: "is not a whole number from 1 to 9".
        set: fn(&mut O, &str) -> Result<(), String>,
    },
}

impl<O, A> Row<O, A> {
    /// The rest of the environment variable's name after the prefix: `LOG_LEVEL` for `--log-level`.
    /// `None` for options that only the command line takes.
    pub fn variable(&self) -> Option<String> {
        matches!(self.kind, Kind::Switch { .. } | Kind::Value { .. })
            .then(|| self.long.replace('-', "_").to_ascii_uppercase())
    }

    /// What help calls the value, if the option takes one.
    pub fn value_name(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Value { name, .. } | Kind::Instead { name, .. } => Some(name),
            Kind::Generate => Some(GENERATED),
            Kind::Help | Kind::Version | Kind::Check | Kind::Switch { .. } => None,
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
            _ => None,
        }
    }

    /// Whether the option is on or off, and nothing else.
    pub const fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Switch { .. } | Kind::Check)
    }
}

/// The value of an option of the kind [`Kind::Generate`], as help calls it.
pub(super) const GENERATED: &str = "man|bash|zsh|fish";

impl<O, A> Program<O, A> {
    /// The environment variable of an option, with the prefix.
    pub fn variable(&self, row: &Row<O, A>) -> Option<String> {
        row.variable().map(|name| format!("{}{name}", self.prefix))
    }
}

impl<O, A> Debug for Row<O, A> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "--{}", self.long)
    }
}
