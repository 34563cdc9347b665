//! The room with a program that has nothing in common with millrace.

use std::ffi::OsString;

use super::*;

#[derive(Debug, Default, PartialEq)]
struct Options {
    size: u64,
    loud: bool,
    calm: bool,
}

#[derive(Debug, PartialEq)]
struct Import(String);

static TOY: Program<Options, Import> = Program {
    name: "toy",
    version: "1.2.3",
    about: "A program for tests",
    prefix: "TOY_",
    own_variables: &["INTERNAL"],
    is_foreign: |name, value| name == "PORT" && value.starts_with("tcp://"),
    description: &["Does nothing, slowly."],
    rows: &[
        Row {
            long: "size",
            short: Some('s'),
            kind: Kind::Value {
                name: "BYTES",
                default: "0",
                set: |options, text| {
                    value::bytes(text, 0..=1 << 20).map(|size| options.size = size)
                },
            },
            summary: "How large",
            explanation: "In bytes.",
            example: "toy --size 4",
        },
        Row {
            long: "loud",
            short: None,
            kind: Kind::Switch { default: false, set: |options, on| options.loud = on },
            summary: "How loud",
            explanation: "Or not.",
            example: "toy --loud",
        },
        Row {
            long: "loud-at-night",
            short: None,
            kind: Kind::Switch { default: false, set: |options, on| options.calm = !on },
            summary: "How loud at night",
            explanation: "Or not.",
            example: "toy --loud-at-night",
        },
        Row {
            long: "import",
            short: None,
            kind: Kind::Instead { name: "FILE", action: |text| Ok(Import(text.to_owned())) },
            summary: "Import a file, and exit",
            explanation: "Or standard input.",
            example: "toy --import -",
        },
        Row {
            long: "check",
            short: None,
            kind: Kind::Check,
            summary: "Check",
            explanation: "And exit.",
            example: "toy --check",
        },
        Row {
            long: "generate",
            short: None,
            kind: Kind::Generate,
            summary: "Print a text",
            explanation: "And exit.",
            example: "toy --generate man",
        },
        Row {
            long: "help",
            short: Some('h'),
            kind: Kind::Help,
            summary: "Print help",
            explanation: "",
            example: "toy -h",
        },
    ],
    hints: &[Hint { names: &["--length", "-x"], instead: "write --size BYTES" }],
    operand_hint: |argument| (argument == "9").then(|| "write --size 9".to_owned()),
    signals: &[],
    exit_statuses: &[("0", "Always.")],
    files: &[],
    examples: &[],
    see_also: &[],
};

fn run(arguments: &str, variables: &[(&str, &str)]) -> Result<Invocation<Options, Import>, String> {
    let arguments = arguments.split_whitespace().map(OsString::from);
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    parse(&TOY, arguments, variables).map_err(|error| error.to_string())
}

#[test]
fn options_and_variables_are_read_by_the_table() {
    for (arguments, variables, size, loud) in [
        ("", &[][..], 0, false),
        ("-s4", &[], 4, false),
        ("-s=4", &[], 4, false),
        ("-s 4 --size=5K --loud", &[], 5120, true),
        ("--", &[("TOY_SIZE", "7"), ("TOY_LOUD", "on")], 7, true),
        ("--loud=off", &[("TOY_SIZE", ""), ("TOY_LOUD", "on")], 0, false),
        ("--size 1", &[("TOY_SIZE", "rubbish"), ("MILLRACE_SIZE", "rubbish")], 1, false),
        ("", &[("TOY_INTERNAL", "x"), ("TOY_PORT", "tcp://1"), ("TOY_WRONG", "")], 0, false),
    ] {
        let options = Options { size, loud, calm: false };
        let expected = Invocation::Run { options, unknown_variables: Vec::new() };
        assert_eq!(run(arguments, variables), Ok(expected), "{arguments}");
    }
    assert_eq!(run("--import -", &[]), Ok(Invocation::Instead(Import("-".to_owned()))));
    assert!(matches!(run("--check", &[]), Ok(Invocation::Check(_))));
}

#[test]
fn unknown_variables_are_returned_or_refused() {
    for (name, advice) in [
        ("TOY_SIZ", Some("did you mean TOY_SIZE?")),
        ("TOY_PORT", None),
        ("TOY_LENGTH", Some("write --size BYTES")),
        ("TOY_CHECK", Some("--check works on the command line only")),
        ("TOY_COLOUR", None),
    ] {
        let variable = UnknownVariable { name: name.into(), advice: advice.map(str::to_owned) };
        let message = variable.to_string();
        let expected =
            Invocation::Run { options: Options::default(), unknown_variables: vec![variable] };
        assert_eq!(run("", &[(name, "8080")]), Ok(expected));
        assert_eq!(run("--check", &[(name, "8080")]), Err(message));
    }
}

#[test]
fn what_is_wrong_comes_with_what_is_right() {
    for (arguments, message) in [
        ("--size", "--size needs a value; for example: toy --size 4"),
        ("--size --loud", "--size needs a value, but '--loud' follows; for example: toy --size 4"),
        ("--size= --loud", "--size needs a value; for example: toy --size 4"),
        (
            "--size -1",
            "--size: '-1' is not a number of bytes from 0 to 1M, such as 65536, 64K or 1M",
        ),
        ("--help=me", "--help takes no value, but 'me' follows; write --help alone"),
        ("-hs", "--help takes no value, but 's' follows; write --help alone"),
        ("--length 4", "unknown option '--length': write --size BYTES"),
        ("-x4", "unknown option '-x': write --size BYTES"),
        ("-S 4", "unknown option '-S': did you mean '-s' for --size?"),
        ("-size 4", "unknown option '-size': write --size with two hyphens"),
        ("-import=4", "unknown option '-import': write --import with two hyphens"),
        ("–-size 4", "unknown option '–-size': write --size with two hyphens"),
        ("—imprt 4", "unknown option '—imprt': write --import with two hyphens"),
        ("--no-loud", "unknown option '--no-loud': write --loud=no"),
        ("--no-luod", "unknown option '--no-luod': write --loud=no"),
        ("--no-size", "unknown option '--no-size': did you mean '--size'?"),
        ("--SIZE 4", "unknown option '--SIZE': did you mean '--size'?"),
        ("--loudatnight", "unknown option '--loudatnight': did you mean '--loud-at-night'?"),
        ("--lo", "unknown option '--lo': did you mean '--loud' or '--loud-at-night'?"),
        ("--imp", "unknown option '--imp': did you mean '--import'?"),
        ("--sise", "unknown option '--sise': did you mean '--size'?"),
        ("--zz", "unknown option '--zz'"),
        ("--frobnicate", "unknown option '--frobnicate'"),
        ("-é", "unknown option '-é'"),
        ("---", "unknown option '---'"),
        ("--=4", "unknown option '--'"),
        ("-- x", "unexpected argument '--': there are only options, which begin with hyphens"),
        ("-", "unexpected argument '-': there are only options, which begin with hyphens"),
        ("x", "unexpected argument 'x': there are only options, which begin with hyphens"),
        ("9", "unexpected argument '9': write --size 9"),
        ("size 9", "unexpected argument 'size': write --size"),
        ("--loud yes", "unexpected argument 'yes': write --loud=yes"),
        (
            "TOY_SIZE=4",
            "unexpected argument 'TOY_SIZE=4': write it before the program: TOY_SIZE=4 toy",
        ),
        ("--generate csh", "--generate: 'csh' is not man, bash, zsh or fish"),
        ("--check=maybe", "--check: 'maybe' is not yes or no (or on, off, true, false, 1, 0)"),
    ] {
        assert_eq!(run(arguments, &[]), Err(message.to_owned()), "{arguments}");
    }
}

#[test]
fn texts_are_about_this_program() {
    for argument in ["-h", "--help", "--generate=man", "--generate=bash", "--generate=zsh"] {
        let Ok(Invocation::Print(text)) = run(argument, &[]) else { panic!("{argument}") };
        assert!(text.contains("toy"), "{text}");
        assert!(!text.to_lowercase().contains("millrace"), "{text}");
    }
}
