//! The command line and the environment, from outside: one row a case.

use std::ffi::OsString;
use std::time::Duration;

use millrace::log::{Format, Level};
use millrace::options::table::ROWS;
use millrace::options::{Invocation, Listen, Options, UsageError, parse};

/// Parses a command line and an environment, both in words: `-w 4`, `MILLRACE_PIN=1`.
fn run(arguments: &str, environment: &str) -> Result<Invocation, UsageError> {
    parse(arguments.split_whitespace().map(OsString::from), |wanted| {
        let mut variables = environment.split_whitespace().filter_map(|word| word.split_once('='));
        variables.find(|(name, _)| *name == wanted).map(|(_, value)| value.into())
    })
}

fn serve(arguments: &str, environment: &str) -> Options {
    match run(arguments, environment) {
        Ok(Invocation::Serve(options)) => options,
        other => panic!("{environment} millrace {arguments}: {other:?}"),
    }
}

fn refuse(arguments: &str, environment: &str) -> String {
    match run(arguments, environment) {
        Err(error) => error.to_string(),
        Ok(other) => panic!("{environment} millrace {arguments}: {other:?}"),
    }
}

/// An option, a value, another one, and what the options hold, as text.
type Case = (&'static str, &'static str, &'static str, fn(&Options) -> String);

const VALUES: &[Case] = &[
    ("listen", "127.0.0.1:1", "[::1]:0", |options| options.listen.to_string()),
    ("workers", "3", "1024", |options| options.workers.to_string()),
    ("backlog", "1", "65535", |options| options.backlog.to_string()),
    ("max-connections", "1", "10000000", |options| text(options.max_connections)),
    ("max-body", "1", "1073741824", |options| options.max_body_bytes.to_string()),
    ("max-users", "1", "18446744073709551615", |options| text(options.max_users)),
    ("header-timeout", "0.5", "86400", |options| options.header_timeout.as_secs_f64().to_string()),
    ("body-timeout", "0.001", "2", |options| options.body_timeout.as_secs_f64().to_string()),
    ("idle-timeout", "1.25", "3", |options| options.idle_timeout.as_secs_f64().to_string()),
    ("write-timeout", "7", "0.25", |options| options.write_timeout.as_secs_f64().to_string()),
    ("drain-timeout", "1", "600", |options| options.drain_timeout.as_secs_f64().to_string()),
    ("log-level", "error", "debug", |options| options.log_level.name().to_owned()),
    ("log-format", "json", "text", |options| format!("{:?}", options.log_format).to_lowercase()),
];

/// A switch, its default, and whether the options have it on.
type Switch = (&'static str, bool, fn(&Options) -> bool);

const SWITCHES: &[Switch] = &[
    ("pin", false, |options| options.pin),
    ("allow-reset", false, |options| options.allow_reset),
    ("access-log", false, |options| options.access_log),
    ("sandbox", true, |options| options.sandbox),
];

fn text(number: Option<impl ToString>) -> String {
    number.map_or("none".to_owned(), |number| number.to_string())
}

fn variable(option: &str) -> String {
    format!("MILLRACE_{}", option.replace('-', "_").to_uppercase())
}

#[test]
fn nothing_said_gives_the_defaults_of_the_contract() {
    let options = serve("", "");
    assert_eq!(options, Options::default());
    assert_eq!(
        (options.listen.clone(), options.listen.to_string().as_str()),
        (Listen::Default, "[::]:8080")
    );
    assert_eq!(options.workers, std::thread::available_parallelism().unwrap().get());
    assert_eq!((options.backlog, options.max_body_bytes), (4096, 65536));
    assert_eq!((options.max_connections, options.max_users), (None, None));
    let timeouts = [
        options.header_timeout,
        options.body_timeout,
        options.idle_timeout,
        options.write_timeout,
        options.drain_timeout,
    ];
    assert_eq!(timeouts, [10, 30, 75, 30, 10].map(Duration::from_secs));
    assert_eq!((options.log_level, options.log_format), (Level::Info, Format::Text));
    assert!(!options.pin && !options.allow_reset && !options.access_log && options.sandbox);
}

#[test]
fn a_value_comes_by_option_or_variable_and_the_option_wins() {
    for &(option, first, second, show) in VALUES {
        let variable = variable(option);
        for (arguments, environment, expected) in [
            (format!("--{option} {first}"), String::new(), first),
            (format!("--{option}={second}"), String::new(), second),
            (String::new(), format!("{variable}={first}"), first),
            (format!("--{option} {second}"), format!("{variable}={first}"), second),
            (format!("--{option}={first} --{option} {second}"), String::new(), second),
            (format!("--{option} {first}"), format!("{variable}=rubbish"), first),
        ] {
            let shown = show(&serve(&arguments, &environment));
            assert_eq!(shown, expected, "{environment} millrace {arguments}");
        }
        let shown = show(&serve("", &format!("{variable}=")));
        assert_eq!(shown, show(&Options::default()), "an empty {variable} counts as unset");
    }
    for arguments in ["-l [::1]:5 -w 4", "-l[::1]:5 -w4"] {
        let options = serve(arguments, "");
        assert_eq!((options.listen.to_string().as_str(), options.workers), ("[::1]:5", 4));
    }
}

#[test]
fn a_switch_comes_by_option_or_variable_and_the_option_wins() {
    for &(option, default, show) in SWITCHES {
        let variable = variable(option);
        assert!(show(&serve(&format!("--{option}"), "")));
        assert!(show(&serve(&format!("--{option}"), &format!("{variable}=0"))));
        assert!(!show(&serve(&format!("--{option}=no"), &format!("{variable}=1"))));
        assert!(!show(&serve(&format!("--{option} --{option}=off"), "")));
        for (value, expected) in [
            ("1", true),
            ("true", true),
            ("yes", true),
            ("on", true),
            ("TRUE", true),
            ("0", false),
            ("false", false),
            ("no", false),
            ("off", false),
            ("", default),
        ] {
            assert_eq!(show(&serve("", &format!("{variable}={value}"))), expected, "{value:?}");
        }
    }
}

#[test]
fn every_row_of_the_table_is_among_the_cases() {
    let mut cases: Vec<&str> = VALUES.iter().map(|case| case.0).collect();
    cases.extend(SWITCHES.iter().map(|case| case.0));
    for row in ROWS {
        let covered = cases.contains(&row.long) || row.environment().is_none();
        assert!(covered, "--{} has no case here", row.long);
        if let Some(name) = row.environment() {
            assert_eq!(name, variable(row.long));
        }
    }
}

#[test]
fn a_bad_value_is_named_with_its_place_and_what_would_be_right() {
    const ADDRESS: &str = "HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or localhost:8080";
    const SECONDS: &str = "a number of seconds from 0.001 to 86400";
    let users = format!("a whole number from 1 to {}", u64::MAX);
    let mut cases: Vec<(&str, &str, &str)> = vec![
        ("listen", ":80", "HOST:PORT (for every interface write [::]:80 or 0.0.0.0:80)"),
        ("log-level", "trace", "error, warn, info or debug"),
        ("log-level", "INFO", "error, warn, info or debug"),
        ("log-format", "xml", "text or json"),
    ];
    for value in ["80", "localhost", "::1:80", "127.0.0.1:65536", "127.0.0.1:", "300.1.1.1:80"] {
        cases.push(("listen", value, ADDRESS));
    }
    for value in ["0", "1025", "+4", "4.0", "four", "0x4", "99999999999999999999999"] {
        cases.push(("workers", value, "a whole number from 1 to 1024"));
    }
    for value in ["0", "65536"] {
        cases.push(("backlog", value, "a whole number from 1 to 65535"));
    }
    for value in ["0", "10000001"] {
        cases.push(("max-connections", value, "a whole number from 1 to 10000000"));
    }
    for value in ["0", "64k", "1073741825"] {
        cases.push(("max-body", value, "a whole number from 1 to 1073741824"));
    }
    for value in ["0", "18446744073709551616"] {
        cases.push(("max-users", value, &users));
    }
    for option in
        ["header-timeout", "body-timeout", "idle-timeout", "write-timeout", "drain-timeout"]
    {
        for value in
            ["0", "0.0", "0.0001", "86400.1", "-1", "1e3", "inf", "nan", "10s", ".", "1.2.3"]
        {
            cases.push((option, value, SECONDS));
        }
    }
    for &(option, ..) in SWITCHES {
        cases.push((option, "maybe", "1, true, yes or on, nor 0, false, no or off"));
    }
    for (option, value, expected) in cases {
        let said = refuse(&format!("--{option}={value}"), "");
        assert_eq!(said, format!("--{option}: '{value}' is not {expected}"));
        let variable = variable(option);
        let said = refuse("", &format!("{variable}={value}"));
        assert_eq!(said, format!("{variable}: '{value}' is not {expected}"));
    }
    assert_eq!(refuse("-w0", ""), "--workers: '0' is not a whole number from 1 to 1024");
    assert_eq!(refuse("--workers=", ""), "--workers: '' is not a whole number from 1 to 1024");
}

#[test]
fn what_is_no_option_or_incomplete_is_refused() {
    for (arguments, expected) in [
        ("--wrokers 4", "unknown option '--wrokers', did you mean '--workers'?"),
        ("--idletimeout=4", "unknown option '--idletimeout', did you mean '--idle-timeout'?"),
        ("--Listen", "unknown option '--Listen', did you mean '--listen'?"),
        ("--frobnicate", "unknown option '--frobnicate'"),
        ("--", "unknown option '--'"),
        ("-x", "unknown option '-x'"),
        ("-é", "unknown option '-é'"),
        ("-", "unexpected argument '-', there are only options"),
        ("serve", "unexpected argument 'serve', there are only options"),
        ("--pin yes", "unexpected argument 'yes', there are only options"),
        ("--workers", "--workers needs a value, for example: millrace --workers 4"),
        ("-w", "--workers needs a value, for example: millrace --workers 4"),
        (
            "--health",
            "--health needs a value, for example: millrace --health http://127.0.0.1:8080",
        ),
        (
            "--health localhost",
            "--health: 'localhost' is not http://HOST:PORT, such as http://127.0.0.1:8080",
        ),
        ("--generate csh", "--generate: 'csh' is not man, bash, zsh or fish"),
        ("--check=maybe", "--check: 'maybe' is not 1, true, yes or on, nor 0, false, no or off"),
        ("--workers --pin", "--workers needs a value, for example: millrace --workers 4"),
    ] {
        assert_eq!(refuse(arguments, ""), expected, "{arguments}");
    }
}

#[test]
fn a_message_stays_one_line_whatever_was_given() {
    use std::os::unix::ffi::OsStringExt;

    for argument in [&b"--a\nb"[..], b"a\x1b[2J", b"--workers=\r\n", b"--listen=\xff\xfe", b"-\xff"]
    {
        let error = parse([OsString::from_vec(argument.to_vec())], |_| None).unwrap_err();
        let said = error.to_string();
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}

#[test]
fn help_and_version_are_printed_where_they_are_reached() {
    let print = |arguments, environment| match run(arguments, environment) {
        Ok(Invocation::Print(text)) => text,
        other => panic!("{arguments}: {other:?}"),
    };
    let (short, long) = (print("-h", ""), print("--help", ""));
    assert!(long.lines().count() > 2 * short.lines().count());
    for text in [&short, &long] {
        assert!(text.contains("Usage: millrace [OPTIONS]") && text.contains("--max-users N"));
    }
    let version = format!("millrace {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((print("-V", ""), print("--version", "")), (version.clone(), version));
    assert_eq!(print("-w 4 -h", "MILLRACE_BACKLOG=rubbish"), short);
    assert_eq!(refuse("-w x -h", ""), "--workers: 'x' is not a whole number from 1 to 1024");
}

#[test]
fn what_is_no_serving_is_told_apart_from_it() {
    let Ok(Invocation::Check(options)) = run("--check -w 4", "MILLRACE_BACKLOG=7") else {
        panic!()
    };
    assert_eq!((options.workers, options.backlog), (4, 7));
    assert!(matches!(run("--check --check=no", ""), Ok(Invocation::Serve(_))));
    let Ok(Invocation::Health(url)) = run("--health http://h:1", "MILLRACE_BACKLOG=x") else {
        panic!()
    };
    assert_eq!((url.server.to_string().as_str(), url.path.as_str()), ("h:1", "/health"));
    let Ok(Invocation::Print(text)) = run("--generate=bash", "") else { panic!() };
    assert!(text.contains("--max-users"));
}
