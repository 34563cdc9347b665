//! The command line and the environment, from outside: one row a case.

use std::ffi::OsString;
use std::time::Duration;

use millrace::cli::UsageError;
use millrace::log::{Format, Level};
use millrace::options::{Action, Invocation, Listen, Options, Origins, PROGRAM, log_format, parse};

/// Parses a command line and an environment, both in words: `-w 4`, `MILLRACE_PIN=1`.
fn run(arguments: &str, environment: &str) -> Result<Invocation, UsageError> {
    let variables = environment.split_whitespace().filter_map(|word| word.split_once('='));
    parse(
        arguments.split_whitespace().map(OsString::from),
        variables.map(|(name, value)| (name.into(), value.into())),
    )
}

fn serve(arguments: &str, environment: &str) -> Options {
    match run(arguments, environment) {
        Ok(Invocation::Run { options, .. }) => options,
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
    ("admin-listen", "127.0.0.1:1", "[::1]:0", |options| text(options.admin_listen.as_ref())),
    ("workers", "3", "1024", |options| options.workers.to_string()),
    ("backlog", "1", "65535", |options| options.backlog.to_string()),
    ("max-connections", "1", "10000000", |options| text(options.max_connections)),
    ("max-body", "1", "1073741824", |options| options.max_body_bytes.to_string()),
    ("max-batch-events", "1", "10000000", |options| options.max_batch_events.to_string()),
    ("max-batch-body", "1", "1073741824", |options| options.max_batch_body_bytes.to_string()),
    ("max-users", "1", "18446744073709551615", |options| text(options.max_users)),
    ("header-timeout", "0.5", "86400", |options| options.header_timeout.as_secs_f64().to_string()),
    ("body-timeout", "0.001", "2", |options| options.body_timeout.as_secs_f64().to_string()),
    ("idle-timeout", "1.25", "3", |options| options.idle_timeout.as_secs_f64().to_string()),
    ("write-timeout", "7", "0.25", |options| options.write_timeout.as_secs_f64().to_string()),
    ("drain-delay", "0", "15", |options| options.drain_delay.as_secs_f64().to_string()),
    ("drain-timeout", "1", "600", |options| options.drain_timeout.as_secs_f64().to_string()),
    ("allow-origin", "*", "https://a.example,http://b.example:81", |options| {
        match &options.allow_origin {
            Origins::None => "none".to_owned(),
            Origins::Any => "*".to_owned(),
            Origins::Listed(origins) => origins.join(","),
        }
    }),
    ("state", "/tmp/a", "b/c", |options| text(options.state.as_ref().map(|it| it.display()))),
    ("fsync", "always", "everysec", |options| options.fsync.name().to_owned()),
    ("trusted-proxy", "127.0.0.1/32", "10.0.0.0/8,::1/128", |options| {
        options.trusted_proxy.to_string()
    }),
    ("log-level", "error", "debug", |options| options.log_level.name().to_owned()),
    ("log-format", "json", "text", |options| format!("{:?}", options.log_format).to_lowercase()),
];

/// A switch, its default, and whether the options have it on.
type Switch = (&'static str, bool, fn(&Options) -> bool);

const SWITCHES: &[Switch] = &[
    ("pin", false, |options| options.pin),
    ("allow-reset", false, |options| options.allow_reset),
    ("salvage", false, |options| options.salvage),
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
fn no_option_gives_the_defaults_of_the_contract() {
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
    for row in PROGRAM.rows {
        let covered = cases.contains(&row.long) || row.variable().is_none();
        assert!(covered, "--{} has no case here", row.long);
        if let Some(name) = PROGRAM.variable(row) {
            assert_eq!(name, variable(row.long));
        }
    }
}

#[test]
fn bytes_and_times_have_units() {
    for (option, value, expected) in [
        ("max-body", "64K", "65536"),
        ("max-body", "2m", "2097152"),
        ("max-body", "1GiB", "1073741824"),
        ("header-timeout", "500ms", "0.5"),
        ("body-timeout", "10s", "10"),
        ("idle-timeout", "2m", "120"),
        ("write-timeout", "1.5h", "5400"),
        ("drain-timeout", "24h", "86400"),
    ] {
        let show = VALUES.iter().find(|case| case.0 == option).expect("a case").3;
        let options = serve(&format!("--{option} {value}"), "");
        assert_eq!(show(&options), expected, "--{option} {value}");
        let options = serve("", &format!("{}={value}", variable(option)));
        assert_eq!(show(&options), expected, "--{option} {value}");
    }
}

#[test]
fn a_bad_value_is_named_with_its_place_and_what_would_be_right() {
    const BYTES: &str = "is not a number of bytes from 1 to 1G, such as 65536, 64K or 1M";
    const TIME: &str = "is not a time from 1ms to 24h, such as 10, 2.5, 500ms, 10s or 2m";
    const SWITCH: &str = "is not yes or no (or on, off, true, false, 1, 0)";
    let users = format!("is not a whole number from 1 to {}", u64::MAX);
    let mut cases: Vec<(&str, &str, &str)> = vec![
        (
            "listen",
            ":80",
            "names no host; write [::]:80 to listen on all addresses, 127.0.0.1:80 for clients of \
             this machine only",
        ),
        ("listen", "localhost", "has no port; write for example localhost:8080"),
        ("listen", "127.0.0.1:99999", "has the port 99999; the highest port is 65535"),
        ("listen", "::1:8080", "has an IPv6 address without brackets; write [::1]:8080"),
        ("listen", "http://127.0.0.1:80/", "is a URL; write 127.0.0.1:80"),
        (
            "listen",
            "300.1.1.1:80",
            "has the host '300.1.1.1'; an IPv4 address is four numbers from 0 to 255",
        ),
        ("log-level", "trace", "is not error, warn, info or debug"),
        ("log-format", "xml", "is not text or json"),
    ];
    for value in ["0", "1025", "-1", "+4", "4.0", "four", "0x4", "1e2", "1,000", "9999999999999"] {
        cases.push(("workers", value, "is not a whole number from 1 to 1024"));
    }
    for value in ["0", "65536"] {
        cases.push(("backlog", value, "is not a whole number from 1 to 65535"));
    }
    for value in ["0", "10000001"] {
        cases.push(("max-connections", value, "is not a whole number from 1 to 10000000"));
    }
    for value in ["0", "64X", "1073741825", "2G", "-1", "1.5K"] {
        cases.push(("max-body", value, BYTES));
    }
    for value in ["0", "18446744073709551616"] {
        cases.push(("max-users", value, &users));
    }
    for option in
        ["header-timeout", "body-timeout", "idle-timeout", "write-timeout", "drain-timeout"]
    {
        for value in
            ["0", "0.0", "0.0001", "86400.1", "25h", "-1", "1e3", "inf", "nan", "1d", ".", "1.2.3"]
        {
            cases.push((option, value, TIME));
        }
    }
    for &(option, ..) in SWITCHES {
        cases.push((option, "maybe", SWITCH));
    }
    for (option, value, problem) in cases {
        let message = refuse(&format!("--{option}={value}"), "");
        assert_eq!(message, format!("--{option}: '{value}' {problem}"));
        if !SWITCHES.iter().any(|case| case.0 == option) {
            assert_eq!(refuse(&format!("--{option} {value}"), ""), message);
        }
        let variable = variable(option);
        let message = refuse("", &format!("{variable}={value}"));
        assert_eq!(message, format!("{variable}: '{value}' {problem}"));
    }
    assert_eq!(refuse("-w0", ""), "--workers: '0' is not a whole number from 1 to 1024");
    assert_eq!(refuse("-w -1", ""), "--workers: '-1' is not a whole number from 1 to 1024");
}

/// Wrong usages, with the message about each.
const WRONG: &[(&str, &str)] = &[
    // A name that is nearly right.
    ("--wrokers 4", "unknown option '--wrokers': did you mean '--workers'?"),
    ("--worker 4", "unknown option '--worker': did you mean '--workers'?"),
    ("--workers4", "unknown option '--workers4': did you mean '--workers'?"),
    ("--lisen [::1]:1", "unknown option '--lisen': did you mean '--listen'?"),
    ("--idletimeout=4", "unknown option '--idletimeout': did you mean '--idle-timeout'?"),
    ("--max_body 4", "unknown option '--max_body': did you mean '--max-body'?"),
    ("--max-conections 4", "unknown option '--max-conections': did you mean '--max-connections'?"),
    ("--Listen", "unknown option '--Listen': did you mean '--listen'?"),
    ("--LISTEN", "unknown option '--LISTEN': did you mean '--listen'?"),
    ("--log debug", "unknown option '--log': did you mean '--log-level' or '--log-format'?"),
    ("--drain 4", "unknown option '--drain': did you mean '--drain-delay' or '--drain-timeout'?"),
    ("-W 4", "unknown option '-W': did you mean '-w' for --workers?"),
    ("-L [::1]:1", "unknown option '-L': did you mean '-l' for --listen?"),
    // Hyphens.
    ("-listen 127.0.0.1:1", "unknown option '-listen': write --listen with two hyphens"),
    ("-lisen 127.0.0.1:1", "unknown option '-lisen': write --listen with two hyphens"),
    ("-workers=4", "unknown option '-workers': write --workers with two hyphens"),
    ("-help", "unknown option '-help': write --help with two hyphens"),
    ("-pin", "unknown option '-pin': write --pin with two hyphens"),
    ("–workers 4", "unknown option '–workers': write --workers with two hyphens"),
    ("—workers=4", "unknown option '—workers': write --workers with two hyphens"),
    ("---workers 4", "unknown option '---workers': write --workers with two hyphens"),
    ("workers=4", "unexpected argument 'workers=4': write --workers"),
    ("listen", "unexpected argument 'listen': write --listen"),
    // Switches.
    ("--no-sandbox", "unknown option '--no-sandbox': write --sandbox=no"),
    ("--no-sanbox", "unknown option '--no-sanbox': write --sandbox=no"),
    ("--no-pin", "unknown option '--no-pin': write --pin=no"),
    ("--no-access_log", "unknown option '--no-access_log': write --access-log=no"),
    ("--sandbox no", "unexpected argument 'no': write --sandbox=no"),
    ("--pin yes", "unexpected argument 'yes': write --pin=yes"),
    ("--pin=", "--pin: '' is not yes or no (or on, off, true, false, 1, 0)"),
    // Names of other servers.
    (
        "--port 8080",
        "unknown option '--port': write --listen HOST:PORT, for example --listen 127.0.0.1:8080",
    ),
    (
        "-p 8080",
        "unknown option '-p': write --listen HOST:PORT, for example --listen 127.0.0.1:8080",
    ),
    (
        "-p8080",
        "unknown option '-p': write --listen HOST:PORT, for example --listen 127.0.0.1:8080",
    ),
    (
        "--host=0.0.0.0",
        "unknown option '--host': write --listen HOST:PORT, for example --listen 127.0.0.1:8080",
    ),
    (
        "--bind 0.0.0.0",
        "unknown option '--bind': write --listen HOST:PORT, for example --listen 127.0.0.1:8080",
    ),
    ("-v", "unknown option '-v': write --log-level debug for a longer log, or -V for the version"),
    (
        "--verbose",
        "unknown option '--verbose': write --log-level debug for a longer log, or -V for the version",
    ),
    ("--quiet", "unknown option '--quiet': write --log-level error for a shorter log"),
    ("--threads 4", "unknown option '--threads': write --workers N"),
    (
        "--timeout 4",
        "unknown option '--timeout': write --header-timeout, --body-timeout, --idle-timeout or \
         --write-timeout",
    ),
    (
        "-c millrace.conf",
        "unknown option '-c': there is no configuration file; write options, or set MILLRACE_… \
         variables",
    ),
    (
        "--daemon",
        "unknown option '--daemon': millrace stays in the foreground; start it by a service manager \
         such as systemd",
    ),
    (
        "--tls",
        "unknown option '--tls': millrace speaks plain HTTP; put a reverse proxy in front of it for \
         TLS",
    ),
    ("-?", "unknown option '-?': write -h for a short help, --help for a long one"),
    // No option at all.
    ("--frobnicate", "unknown option '--frobnicate'"),
    ("--zz", "unknown option '--zz'"),
    ("-x", "unknown option '-x'"),
    ("-é", "unknown option '-é'"),
    ("-", "unexpected argument '-': there are only options, which begin with hyphens"),
    ("hello", "unexpected argument 'hello': there are only options, which begin with hyphens"),
    ("--check -- x", "unexpected argument '--': there are only options, which begin with hyphens"),
    ("8080", "unexpected argument '8080': write --listen [::]:8080 to listen on this port"),
    ("127.0.0.1:80", "unexpected argument '127.0.0.1:80': write --listen 127.0.0.1:80"),
    ("help", "unexpected argument 'help': write --help"),
    ("version", "unexpected argument 'version': write --version"),
    (
        "serve",
        "unexpected argument 'serve': millrace needs no command to start; write only options",
    ),
    (
        "stop",
        "unexpected argument 'stop': millrace takes no commands; send a signal to the running server, \
         as 'millrace --help' explains",
    ),
    (
        "MILLRACE_WORKERS=4",
        "unexpected argument 'MILLRACE_WORKERS=4': write it before the program: MILLRACE_WORKERS=4 \
         millrace",
    ),
    // Values that are missing, empty, or too many.
    ("--workers", "--workers needs a value; for example: millrace --workers 4"),
    ("-w", "--workers needs a value; for example: millrace --workers 4"),
    ("--workers=", "--workers needs a value; for example: millrace --workers 4"),
    ("-w=", "--workers needs a value; for example: millrace --workers 4"),
    (
        "--workers --pin",
        "--workers needs a value, but '--pin' follows; for example: millrace --workers 4",
    ),
    ("--health", "--health needs a value; for example: millrace --health http://127.0.0.1:8080"),
    ("--workers 4 4", "unexpected argument '4': write --listen [::]:4 to listen on this port"),
    ("--help=listen", "--help takes no value, but 'listen' follows; write --help alone"),
    ("-hV", "--help takes no value, but 'V' follows; write --help alone"),
    ("--version=2", "--version takes no value, but '2' follows; write --version alone"),
    // Values of options that do not serve.
    (
        "--health localhost:80",
        "--health: 'localhost:80' does not begin with http://; write http://localhost:80",
    ),
    (
        "--health https://a",
        "--health: 'https://a' begins with https, but millrace speaks plain HTTP; write \
         http://HOST:PORT",
    ),
    (
        "--health localhost",
        "--health: 'localhost' is not http://HOST:PORT, such as http://127.0.0.1:8080",
    ),
    ("--generate csh", "--generate: 'csh' is not man, bash, zsh or fish"),
    ("--check=maybe", "--check: 'maybe' is not yes or no (or on, off, true, false, 1, 0)"),
    // The first mistake is the one that is reported.
    ("-w x --port 1", "--workers: 'x' is not a whole number from 1 to 1024"),
];

#[test]
fn wrong_usage_is_refused_with_what_to_write_instead() {
    for (arguments, message) in WRONG {
        assert_eq!(refuse(arguments, ""), *message, "{arguments}");
    }
    let arguments = ["--workers", "", "--log-level", " debug"].map(OsString::from);
    for (range, message) in [
        (0..2, "--workers needs a value; for example: millrace --workers 4"),
        (2..4, "--log-level: ' debug' is not error, warn, info or debug"),
    ] {
        let error = parse(arguments[range].iter().cloned(), []).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn of_a_repeated_option_the_last_one_counts() {
    let options = serve("-w 1 --workers=2 -w3 --pin --pin=no", "MILLRACE_WORKERS=9");
    assert_eq!((options.workers, options.pin), (3, false));
    assert_eq!(serve("-w=5 --", "").workers, 5);
    // A wrong value counts even if a right one follows.
    assert!(refuse("-w x -w 3", "").contains("'x'"));
}

#[test]
fn unknown_variables_are_warned_of_and_fail_a_check() {
    for (name, message) in [
        ("MAX_USER", "unknown variable MILLRACE_MAX_USER: did you mean MILLRACE_MAX_USERS?"),
        ("WORKER", "unknown variable MILLRACE_WORKER: did you mean MILLRACE_WORKERS?"),
        ("LOGLEVEL", "unknown variable MILLRACE_LOGLEVEL: did you mean MILLRACE_LOG_LEVEL?"),
        (
            "LOG",
            "unknown variable MILLRACE_LOG: did you mean MILLRACE_LOG_LEVEL or MILLRACE_LOG_FORMAT?",
        ),
        ("CHECK", "unknown variable MILLRACE_CHECK: --check works on the command line only"),
        ("THREADS", "unknown variable MILLRACE_THREADS: write --workers N"),
        ("COLOUR", "unknown variable MILLRACE_COLOUR"),
        ("workers", "unknown variable MILLRACE_workers: did you mean MILLRACE_WORKERS?"),
    ] {
        let environment = format!("MILLRACE_{name}=5 PATH=/bin MILLRACE_WORKERS=2");
        let Ok(Invocation::Run { options, unknown_variables }) = run("", &environment) else {
            panic!("{name}")
        };
        assert_eq!(options.workers, 2);
        assert_eq!(unknown_variables.len(), 1);
        assert_eq!(unknown_variables[0].to_string(), message);
        assert_eq!(refuse("--check", &environment), message);
    }
    // What others set for services of this name, what is empty, and what the program sets itself.
    for variables in [
        "MILLRACE_PORT=tcp://10.0.0.1:8080 MILLRACE_PORT_8080_TCP=tcp://10.0.0.1:8080",
        "MILLRACE_PORT_8080_TCP_PROTO=tcp MILLRACE_PORT_8080_TCP_PORT=8080",
        "MILLRACE_PORT_8080_TCP_ADDR=10.0.0.1 MILLRACE_SERVICE_HOST=10.0.0.1",
        "MILLRACE_SERVICE_PORT=8080 MILLRACE_SERVICE_PORT_HTTP=8080 MILLRACE_PORT=8080",
        "MILLRACE_WEST_SERVICE_HOST=10.0.0.1 MILLRACE_WEST_SERVICE_PORT_HTTP=8080",
        "MILLRACE_WEST_PORT=tcp://10.0.0.1:8080 MILLRACE_WEST_PORT_53_UDP_ADDR=10.0.0.1",
        "MILLRACE_MAX_USER= MILLRACE_SUCCESSOR=1 MILLRACE=4 MILL=5 millrace_x=6",
    ] {
        assert!(matches!(run("--check", variables), Ok(Invocation::Check(_))), "{variables}");
        let Ok(Invocation::Run { unknown_variables, .. }) = run("", variables) else { panic!() };
        assert_eq!(unknown_variables, []);
    }
}

#[test]
fn a_message_stays_one_line_whatever_was_given() {
    use std::os::unix::ffi::OsStringExt;

    for argument in [
        &b"--a\nb"[..],
        b"a\x1b[2J",
        b"--workers=\r\n",
        b"--listen=a\nb:80",
        b"--listen=[\n]:80",
        b"--listen=a:\x1b",
        b"--listen=http://\n",
        b"--health=\n",
        b"MILLRACE_A=\n",
        b"--help=\n",
    ] {
        let error = parse([OsString::from_vec(argument.to_vec())], []).unwrap_err();
        let message = error.to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
    }
    for (argument, message) in [
        (&b"--listen=\xff\xfe"[..], "the argument '--listen=\u{fffd}\u{fffd}' is not UTF-8"),
        (b"-\xff", "the argument '-\u{fffd}' is not UTF-8"),
    ] {
        let error = parse([OsString::from_vec(argument.to_vec())], []).unwrap_err();
        assert_eq!(error.to_string(), format!("{message}; write it in characters"));
    }
    let value = OsString::from_vec(b"\xff".to_vec());
    let error = parse([], [("MILLRACE_WORKERS".into(), value)]).unwrap_err();
    let message = "MILLRACE_WORKERS: '\u{fffd}' is not UTF-8; write it in characters";
    assert_eq!(error.to_string(), message);
}

#[test]
fn the_format_of_a_message_about_wrong_usage_is_the_one_that_was_asked_for() {
    for (arguments, variable, expected) in [
        ("", None, Format::Text),
        ("", Some("json"), Format::Json),
        ("--port 1 --log-format json", None, Format::Json),
        ("--log-format=json", None, Format::Json),
        ("--log-format=text", Some("json"), Format::Text),
        ("--log-format", Some("json"), Format::Json),
        ("--log-format xml", None, Format::Text),
    ] {
        let arguments: Vec<OsString> = arguments.split_whitespace().map(OsString::from).collect();
        assert_eq!(log_format(&arguments, variable.map(OsString::from)), expected);
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
    assert_eq!(print("-w 4 -h", "MILLRACE_BACKLOG=rubbish MILLRACE_X=1"), short);
    assert_eq!(refuse("-w x -h", ""), "--workers: 'x' is not a whole number from 1 to 1024");
}

#[test]
fn what_is_no_serving_is_told_apart_from_it() {
    let Ok(Invocation::Check(options)) = run("--check -w 4", "MILLRACE_BACKLOG=7") else {
        panic!()
    };
    assert_eq!((options.workers, options.backlog), (4, 7));
    assert!(matches!(run("--check --check=no", ""), Ok(Invocation::Run { .. })));
    let Ok(Invocation::Instead(Action::Health(url))) =
        run("--health http://h:1", "MILLRACE_BACKLOG=x")
    else {
        panic!()
    };
    assert_eq!((url.server.to_string().as_str(), url.path.as_str()), ("h:1", "/health"));
    let Ok(Invocation::Print(text)) = run("--generate=bash", "") else { panic!() };
    assert!(text.contains("--max-users"));
}
