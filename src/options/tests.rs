//! The table holds together, and help, man page and completions contain all of it.

use super::*;
use crate::cli::Kind;
use crate::log::Level;

fn print(argument: &str) -> String {
    match parse([argument.into()], []) {
        Ok(Invocation::Print(text)) => text,
        other => panic!("{argument}: {other:?}"),
    }
}

#[test]
fn a_default_that_help_shows_is_the_one_in_force() {
    for row in PROGRAM.rows {
        let Kind::Value { default, set, .. } = row.kind else { continue };
        let mut options = Options::default();
        match set(&mut options, default) {
            // The default address has a fallback, so it differs from the one it is shown as.
            Ok(()) if row.long == "listen" => {
                assert_eq!(Options::default().listen.to_string(), default);
            }
            // A directory may be called so, but help says that there is none.
            Ok(()) if row.long == "state" => assert_eq!(default, "none"),
            Ok(()) => assert_eq!(options, Options::default(), "--{}", row.long),
            // Words in place of a number: nothing to compare.
            Err(_) => assert!(default.parse::<f64>().is_err(), "--{}: {default}", row.long),
        }
    }
}

#[test]
fn names_are_unique_and_words_are_complete() {
    for (index, row) in PROGRAM.rows.iter().enumerate() {
        for other in &PROGRAM.rows[..index] {
            assert_ne!(row.long, other.long);
            assert!(row.short.is_none() || row.short != other.short, "--{}", row.long);
        }
        assert!(row.summary.len() <= 60 && !row.summary.ends_with('.'), "--{}", row.long);
        assert!(row.choices().all(|choice| !choice.is_empty()), "--{}", row.long);
        let prints = matches!(row.kind, Kind::Help | Kind::Version);
        assert!(prints || row.explanation.ends_with('.'), "--{}", row.long);
        assert!(row.example.contains(&format!("--{}", row.long)), "--{}", row.long);
    }
}

#[test]
fn no_hint_hides_an_option_or_another_hint() {
    let mut names: Vec<&str> = PROGRAM.hints.iter().flat_map(|hint| hint.names).copied().collect();
    for row in PROGRAM.rows {
        let short = row.short.map(|letter| format!("-{letter}"));
        assert!(!names.contains(&format!("--{}", row.long).as_str()), "--{}", row.long);
        assert!(short.is_none_or(|short| !names.contains(&short.as_str())), "--{}", row.long);
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn choices_are_all_there_are_and_valid() {
    for row in PROGRAM.rows {
        for choice in row.choices() {
            let argument = format!("--{}={choice}", row.long);
            assert!(parse([argument.into()], []).is_ok(), "{choice}");
        }
    }
    let choices = |long| PROGRAM.rows.iter().find(|row| row.long == long).unwrap().choices();
    assert!(choices("log-level").eq(Level::NAMES.iter().map(|(name, _)| *name)));
    assert!(choices("log-format").eq(Format::NAMES.iter().map(|(name, _)| *name)));
    assert_eq!(choices("listen").count(), 0);
}

#[test]
fn a_switch_has_the_default_that_help_shows() {
    for row in PROGRAM.rows {
        if let Kind::Switch { default, set } = row.kind {
            let mut options = Options::default();
            set(&mut options, default);
            assert_eq!(options, Options::default(), "--{}", row.long);
            set(&mut options, !default);
            assert_ne!(options, Options::default(), "--{}", row.long);
        }
    }
}

#[test]
fn examples_are_valid() {
    let examples = PROGRAM.examples.iter().map(|(command, _)| *command);
    let ours = examples.filter(|command| command.contains("millrace --"));
    for example in PROGRAM.rows.iter().map(|row| row.example).chain(ours) {
        let (before, arguments) = example.split_once("millrace").unwrap();
        let variables = before.split_whitespace().filter_map(|word| word.split_once('='));
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let arguments = arguments.split('>').next().unwrap().split_whitespace();
        let parsed = parse(arguments.map(Into::into), variables);
        assert!(parsed.is_ok(), "{example}: {parsed:?}");
    }
}

#[test]
fn both_lengths_of_help_name_every_row_and_its_default() {
    let (short, long) = (print("-h"), print("--help"));
    // Compared word by word, since the long help breaks lines.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in PROGRAM.rows {
        for text in [&short, &long] {
            assert!(text.contains(&format!("--{}", row.long)), "--{}", row.long);
            assert!(text.contains(row.summary), "--{}", row.long);
            let default = row.default().filter(|&default| default != "off");
            assert!(default.is_none_or(|it| text.contains(it)), "--{}", row.long);
        }
        assert!(long.contains(row.example), "--{}", row.long);
        let variable = PROGRAM.variable(row);
        assert!(variable.is_none_or(|name| long.contains(&name)), "--{}", row.long);
        assert!(words(&long).contains(&words(row.explanation)), "--{}", row.long);
    }
    for text in [&short, &long] {
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
            assert_eq!(line, line.trim_end());
        }
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    }
    assert!(long.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn what_is_generated_names_every_option_and_choice() {
    for what in ["man", "bash", "zsh", "fish"] {
        let text = print(&format!("--generate={what}")).replace("\\-", "-");
        assert!(text.ends_with('\n') && text.is_ascii(), "{what}");
        for row in PROGRAM.rows {
            let hyphens = if what == "fish" { "-l " } else { "--" };
            assert!(text.contains(&format!("{hyphens}{}", row.long)), "{what}: --{}", row.long);
            assert!(row.choices().all(|it| text.contains(it)), "{what}: --{}", row.long);
        }
    }
}

#[test]
fn the_man_page_says_all_that_help_says() {
    let text = print("--generate=man").replace("\\-", "-");
    for row in PROGRAM.rows {
        for part in [row.summary, &row.explanation.replace('…', "..."), row.example] {
            assert!(text.contains(part), "--{}: {part}", row.long);
        }
        assert!(PROGRAM.variable(row).is_none_or(|name| text.contains(&name)), "--{}", row.long);
    }
    assert!(!text.contains("\n\n"));
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let expected = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "SIGNALS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    ];
    assert_eq!(sections, expected);
}
