//! Both lengths of help, and the version, from the table.

use std::fmt::Write;

use super::table::{ROWS, Row};

/// `-h`: a line an option.
pub(super) fn short() -> String {
    let width = ROWS.iter().map(|row| usage(row).len()).max().unwrap_or(0);
    let mut text = format!("{ABOUT}\n\n{USAGE}\n\nOptions:\n");
    for row in ROWS {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "  {:width$}  {}", usage(row), row.summary);
        if let Some(default) = row.default().filter(|&default| default != "off") {
            let _ = write!(text, " [{default}]");
        }
        text.push('\n');
    }
    text.push_str("\nEach option may also be set by a variable: MILLRACE_LISTEN for --listen.\n");
    text.push_str("'millrace --help' explains them.\n");
    text
}

/// `--help`: all there is to say.
pub(super) fn long() -> String {
    let mut text = format!("{ABOUT}\n\n{USAGE}\n\n");
    for paragraph in GENERAL {
        wrap(&mut text, "", paragraph);
        text.push('\n');
    }
    text.push_str("Options:\n");
    for row in ROWS {
        let _ = writeln!(text, "  {}", usage(row));
        wrap(&mut text, INDENT, &format!("{}.", row.summary));
        if !row.explanation.is_empty() {
            wrap(&mut text, INDENT, row.explanation);
        }
        if let (Some(default), Some(variable)) = (row.default(), row.environment()) {
            let _ = writeln!(
                text,
                "{INDENT}Default: {default}
{INDENT}Variable: {variable}"
            );
        }
        let _ = writeln!(text, "{INDENT}Example: {}\n", row.example);
    }
    for (title, rows) in [("Signals", SIGNALS), ("\nExit status", EXIT_STATUSES)] {
        let _ = writeln!(text, "{title}:");
        for (name, meaning) in rows {
            let _ = writeln!(text, "  {name}");
            wrap(&mut text, INDENT, meaning);
        }
    }
    text
}

/// `-V`.
pub(super) fn version() -> String {
    concat!("millrace ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

pub(super) const ABOUT: &str = "millrace: an event counter that speaks HTTP.";
const USAGE: &str = "Usage: millrace [OPTIONS]";

pub(super) const GENERAL: &[&str] = &[
    "Takes events, each a user and a value, by POST /event, and answers GET /stats with their exact \
     number, the number of distinct users, the exact sum and the average. GET / shows them live in a \
     browser; GET /health and GET /metrics are for monitoring; GET /openapi.json describes it all.",
    "A value follows its option as '--workers 4', '--workers=4', '-w 4' or '-w4'. Of an option given \
     twice the last counts. Each option may also be set by an environment variable, which the \
     command line overrides; an empty one counts as unset. A switch is turned on by 1, true, yes or \
     on and off by 0, false, no or off, on the command line as '--pin=no'.",
];

/// What each signal does.
pub(super) const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM, SIGINT",
        "Accept what waits, finish what is in flight, print the final statistics, exit; the second \
         one exits at once.",
    ),
    (
        "SIGUSR2",
        "Start the program that stands in this one's place with the same options, hand it sockets, \
         connections and statistics, and exit: a restart that no client notices. If the new one \
         cannot go on, the old one does.",
    ),
    (
        "SIGHUP",
        "On a terminal as SIGTERM, otherwise nothing: there is no file to be opened again, since \
         logs go to standard output and standard error.",
    ),
];

/// What each exit status means.
pub(super) const EXIT_STATUSES: &[(&str, &str)] = &[
    ("0", "Stopped by a signal, or handed over to a successor."),
    ("1", "Could not start, or failed."),
    ("2", "Wrong usage."),
];

const COLUMNS: usize = 80;
const INDENT: &str = "        ";

/// `-w, --workers N`.
fn usage(row: &Row) -> String {
    let short = row.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    match row.value_name() {
        Some(name) => format!("{short}--{} {name}", row.long),
        None => format!("{short}--{}", row.long),
    }
}

/// Appends `paragraph` in lines of at most [`COLUMNS`] characters, each after `indent`.
fn wrap(text: &mut String, indent: &str, paragraph: &str) {
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            text.push('\n');
            column = 0;
        }
        if column == 0 {
            text.push_str(indent);
            column = indent.len();
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lengths_name_every_row_and_its_default() {
        let (short, long) = (short(), long());
        for row in ROWS {
            for text in [&short, &long] {
                assert!(text.contains(&format!("  {}", usage(row))), "--{}", row.long);
                assert!(text.contains(row.summary), "--{}", row.long);
                let default = row.default().filter(|&default| default != "off");
                assert!(default.is_none_or(|it| text.contains(it)), "--{}", row.long);
            }
            assert!(long.contains(row.example), "--{}", row.long);
            let variable = row.environment();
            assert!(variable.is_none_or(|name| long.contains(&name)), "--{}", row.long);
            // Compared word by word, since the long help breaks lines.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&long).contains(&words(row.explanation)), "--{}", row.long);
        }
    }

    #[test]
    fn lines_fit_a_terminal() {
        for text in [short(), long()] {
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{line}");
                assert_eq!(line, line.trim_end());
            }
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
        }
        assert!(long().lines().all(|line| line.chars().count() <= COLUMNS));
    }
}
