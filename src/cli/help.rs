//! Both lengths of help, and the version, from the table.

use std::fmt::Write;

use super::row::{Program, Row};

/// Returns what `-h` prints: a line for each option.
pub(super) fn short<O, A>(program: &Program<O, A>) -> String {
    let name = program.name;
    let width = program.rows.iter().map(|row| usage(row).len()).max().unwrap_or(0);
    let mut text = format!("{}Options:\n", beginning(program));
    for row in program.rows {
        // Writing to a `String` cannot fail, here and below.
        let _ = write!(text, "  {:width$}  {}", usage(row), row.summary);
        if let Some(default) = row.default().filter(|&default| default != "off") {
            let _ = write!(text, " [{default}]");
        }
        text.push('\n');
    }
    let with_variable = program.rows.iter().find_map(|row| Some((row, program.variable(row)?)));
    if let Some((row, variable)) = with_variable {
        let long = row.long;
        let _ = writeln!(
            text,
            "\nAn environment variable can set an option too: {variable} is for --{long}."
        );
    }
    let _ = writeln!(text, "'{name} --help' explains all of them.");
    text
}

/// Returns what `--help` prints: everything.
pub(super) fn long<O, A>(program: &Program<O, A>) -> String {
    let mut text = beginning(program);
    for paragraph in program.description {
        wrap(&mut text, "", paragraph);
        text.push('\n');
    }
    text.push_str("Options:\n");
    for row in program.rows {
        let _ = writeln!(text, "  {}", usage(row));
        wrap(&mut text, INDENT, &format!("{}.", row.summary));
        if !row.explanation.is_empty() {
            wrap(&mut text, INDENT, row.explanation);
        }
        if let (Some(default), Some(variable)) = (row.default(), program.variable(row)) {
            let _ = writeln!(text, "{INDENT}Default: {default}\n{INDENT}Variable: {variable}");
        }
        let _ = writeln!(text, "{INDENT}Example: {}\n", row.example);
    }
    let sections = [("Signals", program.signals), ("Exit status", program.exit_statuses)];
    for (i, (title, terms)) in sections.into_iter().filter(|it| !it.1.is_empty()).enumerate() {
        let _ = writeln!(text, "{}{title}:", if i > 0 { "\n" } else { "" });
        for (term, meaning) in terms {
            let _ = writeln!(text, "  {term}");
            wrap(&mut text, INDENT, meaning);
        }
    }
    text
}

/// Returns what `--version` prints.
pub(super) fn version<O, A>(program: &Program<O, A>) -> String {
    format!("{} {}\n", program.name, program.version)
}

fn beginning<O, A>(program: &Program<O, A>) -> String {
    let Program { name, about, .. } = program;
    format!("{name}: {about}.\n\nUsage: {name} [OPTIONS]\n\n")
}

/// `-w, --workers N`.
fn usage<O, A>(row: &Row<O, A>) -> String {
    let short = row.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    match row.value_name() {
        Some(name) => format!("{short}--{} {name}", row.long),
        None => format!("{short}--{}", row.long),
    }
}

const COLUMNS: usize = 80;
const INDENT: &str = "        ";

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
