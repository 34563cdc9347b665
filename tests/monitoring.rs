//! The files under `tools/monitoring`, with a real Prometheus that scrapes a real server. The tests are
//! skipped where Debian's package `prometheus` is not installed.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use support::{PATIENCE, Server, TempDir, command, event, eventually, lines_of};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/monitoring")
}

fn is_installed() -> bool {
    let installed = ["prometheus", "promtool"].iter().all(|program| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if !installed {
        support::skip("prometheus is not installed (apt-get install prometheus)");
    }
    installed
}

/// A Prometheus of our own; killed and cleaned away when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
    /// Kept, so that there is a reader for what it prints.
    _log: Receiver<String>,
}

impl Prometheus {
    /// Runs with the example configuration, pointed at `target` and scraping every second.
    fn scraping(target: SocketAddr) -> Prometheus {
        let data = std::env::temp_dir().join(format!("millrace-prometheus-{}", std::process::id()));
        fs::create_dir_all(&data).expect("a folder");
        let config = fs::read_to_string(folder().join("prometheus.yml")).expect("the example");
        let config = config.replace("127.0.0.1:8080", &target.to_string()).replace("15s", "1s");
        fs::write(data.join("prometheus.yml"), config).expect("written");
        fs::copy(folder().join("alerts.yml"), data.join("alerts.yml")).expect("copied");
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", data.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", data.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = lines_of(child.stderr.take().expect("piped"));
        let address = loop {
            let line = log.recv_timeout(PATIENCE).expect("the line that names the address");
            if line.contains("\"Listening on\"") {
                let address = line.split("address=").nth(1).and_then(|rest| rest.parse().ok());
                break address.unwrap_or_else(|| panic!("no address: {line}"));
            }
        };
        Prometheus { child, address, data, _log: log }
    }

    /// Asks its interface; `None` while it does not answer.
    fn ask(&self, path: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        // In HTTP/1.0 the end of the connection is the end of the answer.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: t\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, content) = answer.split_once("\r\n\r\n")?;
        let success = head.split(' ').nth(1) == Some("200");
        success.then(|| serde_json::from_str(content).expect("JSON"))
    }

    /// The values that a query gives now, if it is a query.
    fn query(&self, query: &str) -> Vec<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self
            .ask(&format!("/api/v1/query?query={encoded}"))
            .unwrap_or_else(|| panic!("Prometheus refuses: {query}"));
        let results = answer["data"]["result"].as_array().expect("results").clone();
        let value = |result: &serde_json::Value| result["value"][1].as_str()?.parse().ok();
        results.iter().map(|result| value(result).expect("a number")).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

#[test]
fn the_examples_are_valid() {
    if !is_installed() {
        return;
    }
    for (what, file) in [
        (["check", "config"], "prometheus.yml"),
        (["check", "rules"], "alerts.yml"),
        (["test", "rules"], "alerts.test.yml"),
    ] {
        let output =
            Command::new("promtool").args(what).arg(folder().join(file)).output().expect("it runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

/// The dashboard's queries, with what Grafana puts in place of its variables.
fn dashboard_queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(folder().join("grafana.json")).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let query = expression.replace("$instance", ".*").replace("$__rate_interval", "10s");
            assert!(!query.contains('$'), "{query}");
            queries.push((panel["title"].as_str().expect("a title").to_owned(), query));
        }
    }
    queries
}

#[test]
fn every_panel_of_the_dashboard_shows_something_of_a_real_server() {
    if !is_installed() {
        return;
    }
    let state = TempDir::new("monitored");
    let mut command = command(&["--workers", "2", "--max-users", "50"]);
    let server = Server::run(command.arg("--state").arg(state.path()));
    let prometheus = Prometheus::scraping(server.address);
    let mut client = server.connect();
    let mut events = 0;
    eventually("it scrapes", || {
        // Something for every panel, between any two scrapes.
        for i in 0..10 {
            client.send(event(&format!("user_{i}"), 2.5).as_bytes());
            assert_eq!(client.answer().status, 200);
            events += 1;
        }
        assert_eq!(server.once("BAD\r\n\r\n").status, 400);
        let path = "/api/v1/query?query=count_over_time(up%5B10s%5D)%20%3E%203";
        prometheus.ask(path).is_some_and(|it| it["data"]["result"][0].is_object())
    });
    for (title, query) in dashboard_queries() {
        let values = prometheus.query(&query);
        assert!(
            !values.is_empty() && values.iter().all(|value| value.is_finite()),
            "{title}: {query}: {values:?}"
        );
    }
    eventually("the last scrape has all events", || {
        prometheus.query("millrace_events_total") == [f64::from(events)]
    });
    assert_eq!(prometheus.query("millrace_value_sum"), [f64::from(events) * 2.5]);
    assert_eq!(prometheus.query("millrace_unique_users"), [10.0]);
    // Every alert is a query that a healthy server does not answer to.
    let rules = prometheus.ask("/api/v1/rules").expect("rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("rules").clone();
    assert!(rules.len() >= 12);
    for rule in rules {
        let (name, query) = (rule["name"].as_str(), rule["query"].as_str().expect("a query"));
        let firing = prometheus.query(query);
        let expected = usize::from(name == Some("MillraceManyBadRequests"));
        assert!(firing.len() <= expected, "{name:?}: {query}");
    }
    drop(server);
    eventually("it notices that the server is gone", || {
        prometheus.query("up{job=\"millrace\"} == 0") == [0.0]
    });
}
