//! What is wrong with a command line or the environment, and what would be right, in one line.

use std::error::Error;
use std::fmt::{self, Debug, Display};

use super::table::{ROWS, Row};

/// An error of usage: `main` prints it, points to `--help`, and exits with status 2.
#[derive(Debug)]
pub enum UsageError {
    /// No option has this name.
    Unknown {
        /// The name as written, with its hyphens.
        name: String,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// An argument that is no option.
    Operand(String),
    /// The option needs a value, and has none.
    Missing(&'static Row),
    /// The value is not what it must be.
    Value {
        /// Where it stands.
        source: Source,
        /// The value as written.
        value: String,
        /// What would be right.
        expected: String,
    },
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// On the command line, for this option.
    Option(&'static Row),
    /// In this option's environment variable.
    Environment(&'static Row),
}

impl UsageError {
    /// No option is called `name`; looks for one that is called nearly so.
    pub(super) fn unknown(name: &str) -> Self {
        let nearest = ROWS
            .iter()
            .map(|row| (format!("--{}", row.long), distance(name, &format!("--{}", row.long))))
            .min_by_key(|&(_, distance)| distance)
            // Two slips, or one in three letters of a longer name, still are a likeness.
            .filter(|(option, distance)| *distance <= 2.max(option.len() / 3))
            .filter(|_| name.starts_with("--") && name.len() > 3);
        Self::Unknown { name: name.to_owned(), nearest: nearest.map(|(option, _)| option) }
    }
}

impl Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } => {
                write!(f, "unknown option '{}'", name.escape_debug())?;
                match nearest {
                    Some(nearest) => write!(f, ", did you mean '{nearest}'?"),
                    None => Ok(()),
                }
            }
            Self::Operand(argument) => {
                let argument = argument.escape_debug();
                write!(f, "unexpected argument '{argument}', there are only options")
            }
            Self::Missing(row) => {
                write!(f, "--{} needs a value, for example: {}", row.long, row.example)
            }
            Self::Value { source, value, expected } => {
                write!(f, "{source}: '{}' is not {expected}", value.escape_debug())
            }
        }
    }
}

impl Error for UsageError {}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Option(row) => write!(f, "--{}", row.long),
            Self::Environment(row) => f.write_str(&row.environment().unwrap_or_default()),
        }
    }
}

impl Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "--{}", self.long)
    }
}

/// Insertions, deletions, substitutions and swaps of neighbours that lead from `a` to `b`
/// (Damerau and Levenshtein, "optimal string alignment"), byte by byte.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Row `i` holds the distances from the first `i` bytes of `a` to each beginning of `b`.
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substitution.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_slips() {
        for (a, b, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("listen", "listen", 0),
            ("lsiten", "listen", 1),
            ("liste", "listen", 1),
            ("llisten", "listen", 1),
            ("lixten", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (slips, slips), "{a} {b}");
        }
    }

    #[test]
    fn only_a_likeness_is_suggested() {
        for (name, expected) in [
            ("--lisen", Some("--listen")),
            ("--max-conections", Some("--max-connections")),
            ("--max_body", Some("--max-body")),
            ("--timeout", None),
            ("--zzz", None),
            ("--", None),
            ("-x", None),
        ] {
            let UsageError::Unknown { nearest, .. } = UsageError::unknown(name) else { panic!() };
            assert_eq!(nearest.as_deref(), expected, "{name}");
        }
    }
}
