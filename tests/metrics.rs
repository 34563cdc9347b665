//! The metrics as their readers see them: promtool, the OpenMetrics parser of PyPI's
//! prometheus_client where they are installed, and rules that need neither.

mod support;

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::process::{Command, Stdio};

use support::{Server, TempDir, event, get, post};

/// A server that has something to tell of everything, with its state directory.
fn busy_server() -> (Server, TempDir) {
    let directory = TempDir::new("metrics");
    let state = directory.path().to_str().expect("a path");
    let server = Server::start(&[
        "--workers",
        "2",
        "--max-users",
        "2",
        "--state",
        state,
        "--log-level",
        "warn",
    ]);
    for request in [
        event("a", 0.5),
        event("b", -1.25),
        event("one too many", 1.0),
        post("/event", "{}"),
        get("/stats"),
        get("/nothing"),
        "BAD\r\n\r\n".to_owned(),
    ] {
        server.once(&request);
    }
    (server, directory)
}

fn page(server: &Server, accept: &str) -> (String, String) {
    let answer = server.once(&format!("GET /metrics HTTP/1.1\r\nHost: t\r\n{accept}\r\n"));
    assert_eq!((answer.status, answer.field("vary")), (200, Some("Accept")));
    (answer.field("content-type").expect("a media type").to_owned(), answer.text())
}

const OPEN_METRICS: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n";

/// What the program says of the page on its standard input; `None` if it is not installed.
fn judge(program: &str, arguments: &[&str], page: &str) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child.stdin.take().expect("piped").write_all(page.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some((output.status.success(), said))
}

#[test]
fn promtool_finds_nothing_to_say() {
    let (server, _directory) = busy_server();
    for accept in ["", "Accept: text/plain\r\n", "Accept: */*\r\n"] {
        let (media_type, page) = page(&server, accept);
        assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
        match judge("promtool", &["check", "metrics"], &page) {
            Some((success, said)) => assert!(success && said.is_empty(), "{said}\n{page}"),
            None => support::skip("promtool is not installed (apt-get install prometheus)"),
        }
    }
}

#[test]
fn an_openmetrics_parser_takes_the_page() {
    let script = "import sys
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
except ImportError:
    print('absent'); sys.exit()
families = {family.name: family for family in parse(sys.stdin.read())}
assert families['millrace_events'].samples[0].value == 2
assert families['millrace_value_sum'].samples[0].value == -0.75
assert families['millrace_request_duration_seconds'].type == 'histogram'
print('taken')";
    let (server, _directory) = busy_server();
    let (media_type, page) = page(&server, OPEN_METRICS);
    assert_eq!(media_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.ends_with("\n# EOF\n"));
    match judge("python3", &["-c", script], &page) {
        Some((_, said)) if said.starts_with("absent") => {
            support::skip("prometheus_client is not installed (pip install prometheus_client)");
        }
        Some((success, said)) => assert!(success && said == "taken\n", "{said}\n{page}"),
        None => support::skip("python3 is not installed"),
    }
}

#[test]
fn every_family_has_help_and_type_and_every_sample_a_family_and_a_place_of_its_own() {
    let (server, _directory) = busy_server();
    for accept in ["", OPEN_METRICS] {
        let (_, page) = page(&server, accept);
        let mut types = HashMap::new();
        let (mut samples, mut family) = (HashSet::new(), "");
        for line in page.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help text");
                assert!(help.ends_with('.') && !types.contains_key(name), "{line}");
                family = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, family, "{line}");
                types.insert(name, kind);
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                assert!(sample.starts_with(family) && types.contains_key(family), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(samples.insert(sample.to_owned()), "twice: {line}");
                let counter = types[family] == "counter";
                let name = sample.split('{').next().expect("a name");
                assert_eq!(name.ends_with("_total"), counter, "{line}");
            }
        }
        for name in [
            "millrace_unique_users",
            "millrace_connections_accepted_total",
            "millrace_received_bytes_total",
            "millrace_sent_bytes_total",
            "millrace_worker_connections{worker=\"1\"}",
            "millrace_worker_events_total{worker=\"1\"}",
            "millrace_connections{state=\"idle\"}",
            "millrace_connections_closed_total{reason=\"peer\"}",
            "millrace_http_requests_total{route=\"event\",code=\"507\"}",
            "millrace_http_request_errors_total{reason=\"users_full\"}",
            "process_resident_memory_bytes",
            "process_open_fds",
        ] {
            assert!(samples.contains(name), "{name}");
        }
        assert!(samples.iter().any(|sample| sample.starts_with("millrace_build_info{")));
    }
}

#[test]
fn durations_are_counted_for_every_request_that_was_answered() {
    let server = Server::start(&["--workers", "2"]);
    let mut client = server.connect();
    client.send(event("a", 1.0).repeat(40).as_bytes());
    (0..40).for_each(|_| assert_eq!(client.answer().status, 200));
    let name = "millrace_request_duration_seconds";
    // A request is counted after its answer has left.
    server.wait_until("all are counted", |server| {
        server.metric(&format!("{name}_bucket{{le=\"+Inf\"}}")) >= 40.0
    });
    let sum = server.metric(&format!("{name}_sum"));
    assert!(sum > 0.0 && sum < 40.0 * 10.0, "{sum}");
    let buckets: Vec<f64> = ["0.00001", "0.0001", "0.01", "1.0", "10.0"]
        .map(|le| server.metric(&format!("{name}_bucket{{le=\"{le}\"}}")))
        .into();
    assert!(buckets.is_sorted(), "{buckets:?}");
}

#[test]
fn the_journal_is_shown_where_there_is_one() {
    let (server, _directory) = busy_server();
    assert_eq!(server.metric(r#"millrace_journal_info{fsync="everysec"}"#), 1.0);
    assert_eq!(server.metric("millrace_journal_errors_total"), 0.0);
    assert_eq!(server.metric("millrace_journal_disk_full"), 0.0);
    assert!(server.metric("millrace_journal_bytes") > 1024.0);
    assert!(server.metric("millrace_journal_recovery_seconds") < 10.0);
    server.wait_until("a checkpoint", |it| it.metric("millrace_journal_checkpoints_total") > 0.0);
    assert!(server.metric("millrace_journal_last_sync_timestamp_seconds") > 1e9);
    let (_, page) = page(&Server::start(&[]), "");
    assert!(!page.contains("millrace_journal"), "without a state directory");
}
