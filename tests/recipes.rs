//! The recipes of docs/recipes.md: each program, script and configuration is cut out of the page and
//! run. A block of code begins with its language and the name of its file. A recipe whose interpreter or
//! server is not installed is skipped.

mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use millrace::options::Invocation;
use support::{Proxy, Server, TempDir, eventually, free_port, is_installed, skip};

/// Returns the block of code called `name`.
fn recipe(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md");
    let page = fs::read_to_string(path).expect("the page");
    let begins = |line: &&str| line.starts_with("```") && line.ends_with(&format!(" {name}"));
    let block: Vec<&str> = page
        .lines()
        .skip_while(|line| !begins(line))
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    assert!(!block.is_empty(), "docs/recipes.md has no {name}");
    block.join("\n") + "\n"
}

/// Writes the block called `name` into a directory, with other words in place of some.
fn write_recipe(directory: &TempDir, name: &str, replacements: &[(&str, &str)]) -> PathBuf {
    let mut text = recipe(name);
    for (word, other) in replacements {
        assert!(text.contains(word), "{name} has no {word}");
        text = text.replace(word, other);
    }
    let path = directory.path().join(name);
    fs::write(&path, text).expect("written");
    path
}

/// Runs a command to its end, which must be a good one.
fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", text_of(&output));
    output
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Stands before a server: answers the first request with `503`, and passes all further connections on.
struct RefusingDoor {
    address: SocketAddr,
    refused: Arc<AtomicU32>,
}

impl RefusingDoor {
    fn before(server: SocketAddr) -> RefusingDoor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let refused = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&refused);
        thread::spawn(move || {
            let mut clients = listener.incoming().flatten();
            if let Some(client) = clients.next() {
                refuse(client);
                count.fetch_add(1, Ordering::SeqCst);
            }
            for client in clients {
                let server = TcpStream::connect(server).expect("the server accepts");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) =
                        (from.try_clone().expect("a copy"), to.try_clone().expect("a copy"));
                    thread::spawn(move || {
                        // Either side may end the connection in its own way.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        RefusingDoor { address, refused }
    }
}

/// Reads a whole request, and refuses it.
fn refuse(mut client: TcpStream) {
    let mut request = Vec::new();
    let mut is_whole = false;
    while !is_whole {
        let mut piece = [0; 4096];
        let length = client.read(&mut piece).expect("the rest of the request");
        assert!(length > 0, "the client leaves: {}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request).into_owned();
        is_whole = text.split_once("\r\n\r\n").is_some_and(|(head, content)| {
            let head = head.to_ascii_lowercase();
            let rest = head.split("content-length: ").nth(1).expect("a length");
            let length: usize = rest.lines().next().unwrap_or_default().parse().expect("a number");
            content.len() == length
        });
    }
    let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
                  Content-Length: 2\r\n\r\n{}";
    client.write_all(answer.as_bytes()).expect("the client reads");
}

/// Each sends three events of two users in one request, again if it is refused, and prints the statistics.
fn check_client(name: &str, program: &[&str], version: &str) {
    if !is_installed(program[0], version) {
        return;
    }
    let directory = TempDir::new("recipe");
    let path = write_recipe(&directory, name, &[]);
    let server = Server::start(&[]);
    let door = RefusingDoor::before(server.address);
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(path).env("COUNTER_URL", format!("http://{}", door.address));
    command.env("no_proxy", "127.0.0.1").env("NO_PROXY", "127.0.0.1");
    let output = text_of(&succeed(&mut command));
    assert_eq!(door.refused.load(Ordering::SeqCst), 1);
    assert!(output.contains("3.75"), "{output}");
    assert_eq!(server.stats(), r#"{"totalRequests":3,"uniqueUsers":2,"sum":3.75,"avg":1.25}"#);
}

#[test]
fn curl_counts_once_and_again_after_a_refusal() {
    if is_installed("curl", "--version") {
        check_client("count.sh", &["sh"], "-c true");
    }
}

#[test]
fn python_counts_once_and_again_after_a_refusal() {
    check_client("count.py", &["python3"], "--version");
}

#[test]
fn node_counts_once_and_again_after_a_refusal() {
    check_client("count.mjs", &["node"], "--version");
}

#[test]
fn go_counts_once_and_again_after_a_refusal() {
    check_client("count.go", &["go", "run"], "version");
}

#[test]
fn java_counts_once_and_again_after_a_refusal() {
    check_client("Count.java", &["java"], "--version");
}

/// Makes a certificate for count.example, and a file with it and its key.
fn certificate(directory: &TempDir) -> Option<[String; 3]> {
    if !is_installed("openssl", "version") {
        return None;
    }
    let [certificate, key, both] = ["cert.pem", "key.pem", "both.pem"]
        .map(|name| directory.path().join(name).display().to_string());
    succeed(Command::new("openssl").args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=count.example",
        "-addext",
        "subjectAltName=DNS:count.example",
        "-out",
        &certificate,
        "-keyout",
        &key,
    ]));
    let pair = [&certificate, &key].map(|path| fs::read(path).expect("it was made"));
    fs::write(&both, pair.concat()).expect("written");
    Some([certificate, key, both])
}

/// Sends requests through a proxy: clients may count and read, and nothing else.
fn check_proxy(server: &Server, port: u16, certificate: &str) {
    let ask = |path: &str, data: Option<&str>| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--noproxy", "*", "--cacert", certificate, "--write-out"]);
        command.args([" %{http_code}", "--resolve", &format!("count.example:{port}:127.0.0.1")]);
        if let Some(data) = data {
            command.args(["--data", data]);
        }
        text_of(&command.arg(format!("https://count.example:{port}{path}")).output().expect("curl"))
    };
    eventually("the proxy passes requests on", || ask("/health", None).ends_with(" 200"));
    assert_eq!(ask("/event", Some(r#"{"userId":"a","value":1}"#)), " 200");
    assert_eq!(ask("/events", Some(r#"[{"userId":"b","value":2}]"#)), r#"{"counted":1} 200"#);
    let statistics = r#"{"totalRequests":2,"uniqueUsers":2,"sum":3.0,"avg":1.5}"#;
    assert_eq!(ask("/stats", None), format!("{statistics} 200"));
    assert!(ask("/event", Some("{}")).ends_with(" 400"));
    for (path, data) in
        [("/", None), ("/metrics", None), ("/live", None), ("/reset", Some("")), ("/stats/x", None)]
    {
        assert!(ask(path, data).ends_with(" 404"), "{path}");
    }
    assert_eq!(server.stats(), statistics);
}

#[test]
fn nginx_lets_clients_count_and_nothing_else() {
    let directory = TempDir::new("nginx");
    if !is_installed("nginx", "-v") || !is_installed("curl", "--version") {
        return;
    }
    let Some([certificate, key, _]) = certificate(&directory) else { return };
    let (server, port) = (Server::start(&["--allow-reset"]), free_port());
    let path = write_recipe(
        &directory,
        "millrace.conf",
        &[
            ("443", &format!("127.0.0.1:{port}")),
            ("127.0.0.1:8080", &server.address.to_string()),
            ("/etc/ssl/count.example.pem", &certificate),
            ("/etc/ssl/count.example.key", &key),
        ],
    );
    let place = directory.path().display();
    let main = directory.path().join("nginx.conf");
    let settings = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {place}/{what}; "))
        .concat();
    let text = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/errors; events {{}}\n\
         http {{ access_log off; {settings} include {}; }}\n",
        path.display()
    );
    fs::write(&main, text).expect("written");
    let mut command = Command::new("nginx");
    command.arg("-c").arg(main).stderr(Stdio::null());
    let _proxy = Proxy(command.spawn().expect("nginx starts"));
    check_proxy(&server, port, &certificate);
}

#[test]
fn haproxy_lets_clients_count_and_nothing_else() {
    let directory = TempDir::new("haproxy");
    if !is_installed("haproxy", "-v") || !is_installed("curl", "--version") {
        return;
    }
    let Some([certificate, _, both]) = certificate(&directory) else { return };
    let (server, port) = (Server::start(&["--allow-reset"]), free_port());
    let path = write_recipe(
        &directory,
        "haproxy.cfg",
        &[
            (":443", &format!("127.0.0.1:{port}")),
            ("127.0.0.1:8080", &server.address.to_string()),
            ("/etc/ssl/count.example.pem", &both),
        ],
    );
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    let _proxy = Proxy(command.spawn().expect("haproxy starts"));
    check_proxy(&server, port, &certificate);
}

#[test]
fn caddy_lets_clients_count_and_nothing_else() {
    let directory = TempDir::new("caddy");
    if !is_installed("caddy", "version") || !is_installed("curl", "--version") {
        return;
    }
    let Some([certificate, key, _]) = certificate(&directory) else { return };
    let (server, port) = (Server::start(&["--allow-reset"]), free_port());
    let path = write_recipe(
        &directory,
        "Caddyfile",
        &[
            ("127.0.0.1:8080", &server.address.to_string()),
            ("count.example {", &format!("count.example:{port} {{\n    tls {certificate} {key}")),
        ],
    );
    // No administration endpoint, no redirect from port 80, and no files outside the directory.
    let text = fs::read_to_string(&path).expect("written above");
    fs::write(&path, format!("{{\n    admin off\n    auto_https disable_redirects\n}}\n{text}"))
        .expect("written");
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
    command.env("HOME", directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let _proxy = Proxy(command.spawn().expect("caddy starts"));
    check_proxy(&server, port, &certificate);
}

#[test]
fn the_daily_units_are_valid() {
    if !is_installed("systemd-analyze", "--version") {
        return;
    }
    let directory = TempDir::new("units");
    for name in ["millrace-daily.service", "millrace-daily.timer"] {
        write_recipe(&directory, name, &[]);
    }
    let mut command = Command::new("systemd-analyze");
    let path = directory.path().join("millrace-daily.timer");
    let said = text_of(&succeed(command.arg("verify").arg(path)));
    assert!(!said.contains("millrace"), "{said}");
}

#[test]
fn the_manifest_is_yaml_and_its_variables_are_options() {
    let text = recipe("millrace.yaml");
    let variables: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- { name: ")?.strip_suffix(" }"))
        .filter_map(|line| line.split_once(", value: "))
        .collect();
    assert_eq!(variables.len(), 3);
    let environment =
        variables.iter().map(|(name, value)| (name.into(), value.trim_matches('"').into()));
    match millrace::options::parse([], environment) {
        Ok(Invocation::Run { unknown_variables, .. }) => assert!(unknown_variables.is_empty()),
        other => panic!("{variables:?}: {other:?}"),
    }
    if !is_installed("python3", "--version") {
        return;
    }
    let directory = TempDir::new("manifest");
    let path = write_recipe(&directory, "millrace.yaml", &[]);
    let script = "import sys\ntry: import yaml\nexcept ImportError: sys.exit(7)\n\
                  kinds = [it['kind'] for it in yaml.safe_load_all(open(sys.argv[1]))]\n\
                  assert kinds == ['StatefulSet', 'Service'], kinds";
    let output = Command::new("python3").args(["-c", script]).arg(path).output().expect("Python");
    match output.status.code() {
        Some(7) => skip("PyYAML is not installed (pip3 install pyyaml)"),
        code => assert_eq!(code, Some(0), "{}", text_of(&output)),
    }
}

/// Runs a script. Its service manager does nothing: the test stops and starts the server.
fn run_script(directory: &TempDir, name: &str, variables: &[(&str, &Path)]) {
    let path = write_recipe(directory, name, &[]);
    let orders = directory.path().join("orders");
    // Shell functions stand in for the programs of these names.
    let stand_ins = format!(
        "systemctl() {{ echo \"$1 $2\" >>{}; }}\njournalctl() {{ echo 'final statistics {{}}'; }}\n",
        orders.display()
    );
    let script = fs::read_to_string(&path).expect("written above");
    fs::write(&path, stand_ins + &script).expect("written");
    succeed(Command::new("sh").arg(path).envs(variables.iter().copied()));
    let order = fs::read_to_string(&orders).expect("the script gives orders");
    assert_eq!(order, "stop millrace.service\nstart millrace.service\n", "{name}");
    fs::remove_file(orders).expect("it is there");
}

#[test]
fn a_backup_is_restored_and_a_day_is_closed() {
    let directory = TempDir::new("kept");
    let place = |name: &str| directory.path().join(name);
    let (state, backup, days) = (place("state"), place("backup"), place("days"));
    let start = |path: &Path| Server::start(&["--state", path.to_str().expect("UTF-8")]);
    let count = |server: &Server| {
        let answer = server.once(
            "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 24\r\n\r\n{\"userId\":\"a\",\"value\":1}",
        );
        assert_eq!(answer.status, 200);
    };
    let server = start(&state);
    (0..2).for_each(|_| count(&server));
    assert_eq!(server.stop().events, 2);
    run_script(&directory, "backup.sh", &[("STATE", &state), ("BACKUP", &backup)]);
    let mut check = Command::new(env!("CARGO_BIN_EXE_millrace"));
    succeed(check.args(["--listen", "127.0.0.1:0", "--check", "--state"]).arg(&backup));

    let server = start(&state);
    count(&server);
    assert_eq!(server.stop().events, 3);
    run_script(&directory, "restore.sh", &[("STATE", &state), ("BACKUP", &backup)]);
    assert_eq!(start(&state).stop().events, 2);

    run_script(&directory, "daily.sh", &[("STATE", &state), ("ARCHIVE", &days)]);
    assert_eq!(start(&state).stop().events, 0);
    let day = fs::read_dir(days).expect("made").flatten().next().expect("a day").path();
    let statistics = fs::read_to_string(day.join("statistics.txt")).expect("written");
    assert_eq!(statistics, "final statistics {}\n");
    assert_eq!(start(&day.join("state")).stop().events, 2);
}
