//! Completions for three shells, from the table.

use std::fmt::Write;

use super::row::{Kind, Program, Row};

/// Returns a completion for bash.
pub(super) fn bash<O, A>(program: &Program<O, A>) -> String {
    let Program { name, rows, .. } = program;
    let words: Vec<String> = rows.iter().flat_map(words_of).collect();
    let mut text = format!(
        "# bash completion for {name}\n_{name}() {{\n    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}\n    COMPREPLY=()\n    case $previous in\n",
    );
    for row in rows.iter().filter(|row| row.value_name().is_some()) {
        let choices: Vec<&str> = row.choices().collect();
        let words = words_of(row).join("|");
        // Writing to a `String` cannot fail, here and below.
        let _ = match choices[..] {
            [] => writeln!(text, "    {words}) return ;;"),
            _ => writeln!(
                text,
                "    {words}) COMPREPLY=($(compgen -W '{}' -- \"$current\")); return ;;",
                choices.join(" ")
            ),
        };
    }
    let _ = write!(
        text,
        "    esac\n    COMPREPLY=($(compgen -W '{}' -- \"$current\"))\n}}\ncomplete -F _{name} {name}\n",
        words.join(" ")
    );
    text
}

/// Returns a completion for zsh.
pub(super) fn zsh<O, A>(program: &Program<O, A>) -> String {
    let mut text = format!("#compdef {}\n_arguments -s -S \\\n", program.name);
    for row in program.rows {
        let choices: Vec<&str> = row.choices().collect();
        let value = match (row.value_name(), &choices[..]) {
            (None, _) => String::new(),
            (Some(name), []) => format!(":{name}: "),
            (Some(_), choices) => format!(":{}:({})", row.long, choices.join(" ")),
        };
        // zsh takes `--long=value` and `--long value` where the name ends in an equals sign.
        let equals = if row.value_name().is_some() { "=" } else { "" };
        let summary = row.summary.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]");
        let long = format!("--{}{equals}", row.long);
        let _ = match row.short {
            Some(short) => {
                let plus = if row.value_name().is_some() { "+" } else { "" };
                writeln!(
                    text,
                    "  '(-{short} --{})'{{-{short}{plus},{long}}}'[{summary}]{value}' \\",
                    row.long
                )
            }
            None => writeln!(text, "  '{long}[{summary}]{value}' \\"),
        };
    }
    text.push_str("  && return 0\n");
    text
}

/// Returns a completion for fish.
pub(super) fn fish<O, A>(program: &Program<O, A>) -> String {
    let name = program.name;
    let mut text = format!("# fish completion for {name}\ncomplete -c {name} -f\n");
    for row in program.rows {
        let _ = write!(text, "complete -c {name} -l {}", row.long);
        if let Some(short) = row.short {
            let _ = write!(text, " -s {short}");
        }
        let choices: Vec<&str> = row.choices().collect();
        if row.value_name().is_some() {
            let _ = write!(text, " -x");
        }
        if !choices.is_empty() {
            let _ = write!(text, " -a '{}'", choices.join(" "));
        }
        let _ = writeln!(text, " -d '{}'", row.summary.replace('\'', "\\'"));
    }
    text
}

/// An option as it is typed: short if it has a letter, and long.
fn words_of<O, A>(row: &Row<O, A>) -> Vec<String> {
    let short = row.short.map(|short| format!("-{short}"));
    let long = match row.kind {
        // A switch that is on by default is only ever turned off.
        Kind::Switch { default: true, .. } => format!("--{}=no", row.long),
        _ => format!("--{}", row.long),
    };
    short.into_iter().chain([long]).collect()
}
