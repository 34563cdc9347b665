//! The man page and shell completions, from the table: what `--generate` prints.
//!
//! They are made by the program that they describe and stand in no file beside it, so they cannot
//! drift; a release packs what its own binary prints.

use std::fmt::Write;

use super::help::{ABOUT, EXIT_STATUSES, GENERAL, SIGNALS};
use super::table::{Kind, ROWS, Row};
use super::value;

/// Writes one of them.
type Generate = fn() -> String;

/// What can be generated, by name.
pub(super) const WHAT: [(&str, Generate); 4] =
    [("man", man), ("bash", bash), ("zsh", zsh), ("fish", fish)];

/// What is called so.
pub(super) fn generate(what: &str) -> Result<String, String> {
    value::choice(what, &WHAT).map(|generate| generate())
}

/// man(7) in roff's macros.
fn man() -> String {
    // Without a date, so that the same source gives the same bytes.
    let version = env!("CARGO_PKG_VERSION");
    let (_, about) = ABOUT.split_once(": ").unwrap_or(("", ABOUT));
    let about = about.trim_end_matches('.');
    // Writing to a `String` cannot fail, here and below.
    let mut text = format!(
        ".TH MILLRACE 1 \"\" \"millrace {version}\" \"User Commands\"\n.SH NAME\nmillrace \\- {}\n.SH SYNOPSIS\n.B millrace\n[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n",
        roff(about)
    );
    for (i, paragraph) in GENERAL.iter().enumerate() {
        let _ = writeln!(text, "{}{}", if i > 0 { ".PP\n" } else { "" }, roff(paragraph));
    }
    text.push_str(".SH OPTIONS\n");
    for row in ROWS {
        let short = row.short.map_or(String::new(), |short| format!("\\fB\\-{short}\\fR, "));
        let value =
            row.value_name().map_or(String::new(), |name| format!(" \\fI{}\\fR", roff(name)));
        let _ = writeln!(text, ".TP\n{short}\\fB\\-\\-{}\\fR{value}", roff(row.long));
        let _ = writeln!(text, "{}.\n{}", roff(row.summary), roff(row.explanation));
        if let (Some(default), Some(variable)) = (row.default(), row.environment()) {
            let _ = writeln!(text, ".br\nDefault: {}. Variable: {variable}.", roff(default));
        }
        let _ = writeln!(text, ".br\nExample:\n.B {}", roff(row.example));
    }
    for (title, rows) in [("SIGNALS", SIGNALS), ("EXIT STATUS", EXIT_STATUSES)] {
        let _ = writeln!(text, ".SH {title}");
        for (name, meaning) in rows {
            let _ = writeln!(text, ".TP\n.B {name}\n{}", roff(meaning));
        }
    }
    // An option without an explanation has left an empty line, which roff would print.
    text.replace("\n\n", "\n")
}

/// Escapes what roff would take for its own.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('…', "...");
    // A line that begins with a dot or a quote is a request.
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn bash() -> String {
    let words: Vec<String> = ROWS.iter().flat_map(words_of).collect();
    let mut text = String::from(
        "# bash completion for millrace\n_millrace() {\n    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n    COMPREPLY=()\n    case $previous in\n",
    );
    for row in ROWS.iter().filter(|row| row.value_name().is_some()) {
        let choices: Vec<&str> = row.choices().collect();
        let words = words_of(row).join("|");
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
        "    esac\n    COMPREPLY=($(compgen -W '{}' -- \"$current\"))\n}}\ncomplete -F _millrace millrace\n",
        words.join(" ")
    );
    text
}

fn zsh() -> String {
    let mut text = String::from("#compdef millrace\n_arguments -s -S \\\n");
    for row in ROWS {
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

fn fish() -> String {
    let mut text = String::from("# fish completion for millrace\ncomplete -c millrace -f\n");
    for row in ROWS {
        let _ = write!(text, "complete -c millrace -l {}", row.long);
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

/// An option as it is typed: long, and short if it has one.
fn words_of(row: &Row) -> Vec<String> {
    let short = row.short.map(|short| format!("-{short}"));
    let long = match row.kind {
        // What is on already is only ever turned off.
        Kind::Switch { default: true, .. } => format!("--{}=no", row.long),
        _ => format!("--{}", row.long),
    };
    short.into_iter().chain([long]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_names_every_option_and_choice() {
        for (what, generate) in WHAT {
            let text = generate().replace("\\-", "-");
            assert!(text.ends_with('\n') && text.is_ascii(), "{what}");
            for row in ROWS {
                let name = if what == "fish" {
                    format!("-l {}", row.long)
                } else {
                    format!("--{}", row.long)
                };
                assert!(text.contains(&name), "{what}: --{}", row.long);
                assert!(
                    row.choices().all(|choice| text.contains(choice)),
                    "{what}: --{}",
                    row.long
                );
            }
        }
    }

    #[test]
    fn the_man_page_says_all_that_help_says() {
        let text = man().replace("\\-", "-");
        for row in ROWS {
            for part in [row.summary, &row.explanation.replace('…', "..."), row.example] {
                assert!(text.contains(part), "--{}: {part}", row.long);
            }
        }
        assert!(!text.contains("\n\n"));
    }
}
