//! What systemd does with a service, done by hand: a socket that is passed, words to a datagram
//! socket, a watchdog.

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Server, event, get};

/// The server with `listener` passed as a service manager does, and these variables set.
fn activated(listener: &TcpListener, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    // LISTEN_PID must hold the id of the process itself, which only that process can set.
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 </dev/null"]);
    command.arg(env!("CARGO_BIN_EXE_millrace")).args(arguments);
    command.env_clear().env("LISTEN_FDS", "1").envs(variables.iter().copied());
    let socket = OwnedFd::from(listener.try_clone().expect("a second handle"));
    command.stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn a_passed_socket_is_taken_shared_by_all_workers_and_outlives_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    // A client that came before the service.
    let mut early = Client::connect(address).expect("it waits in the queue");
    early.send(event("early", 1.0).as_bytes());
    let mut command = activated(&listener, &["--workers", "3", "--listen", "127.0.0.1:1"], &[]);
    let mut server = Server::run(&mut command);
    assert_eq!(server.address, address);
    assert_eq!(early.answer().status, 200);
    let mut clients: Vec<Client> = (0..30).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(event("a", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    for worker in 0..3 {
        let sample = format!("millrace_worker_connections{{worker=\"{worker}\"}}");
        assert!(server.metric(&sample) >= 10.0);
    }
    server.restart();
    assert_eq!(server.count(), 31);
    assert_eq!(server.stop().events, 31);
    // No process serves now. The manager's socket holds new connections until one does again.
    let mut late = Client::connect(address).expect("it waits in the queue");
    late.send(event("late", 1.0).as_bytes());
    let server = Server::run(&mut command);
    assert_eq!(late.answer().status, 200);
    assert_eq!(server.stop().events, 1);
}

#[test]
fn what_is_passed_wrongly_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let connected = Client::connect(listener.local_addr().expect("an address")).expect("connected");
    let mut no_listener = activated(&listener, &[], &[]);
    no_listener.stdin(Stdio::from(OwnedFd::from(connected.stream)));
    let mut nothing = activated(&listener, &[], &[]);
    nothing.args(["--workers", "1"]).stdin(Stdio::null());
    let many = activated(&listener, &[], &[("LISTEN_FDS", "2")]);
    for (mut command, words) in [
        (no_listener, "not a TCP socket that listens"),
        (nothing, "cannot use the socket that was passed"),
        (many, "LISTEN_FDS is 2"),
    ] {
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
    }
    // What is meant for another process is none of ours.
    let server = Server::run(
        support::command(&[]).env("LISTEN_FDS", "1").env("LISTEN_PID", "1").stdin(Stdio::null()),
    );
    assert_eq!(server.stop().events, 0);
}

/// A service manager's ear.
struct Ear {
    socket: UnixDatagram,
    name: String,
}

impl Ear {
    fn new(test: &str) -> Ear {
        let name = format!("millrace-test-{}-{test}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Ear { socket, name: format!("@{name}") }
    }

    fn hears(&self) -> String {
        let mut room = [0; 1024];
        let length = self.socket.recv(&mut room).expect("a word");
        String::from_utf8_lossy(&room[..length]).into_owned()
    }

    /// Listens until it hears this.
    fn waits_for(&self, word: &str) {
        let start = Instant::now();
        while !self.hears().lines().any(|line| line == word) {
            assert!(start.elapsed() < PATIENCE, "{word}");
        }
    }
}

#[test]
fn the_manager_hears_of_start_restart_and_stop() {
    let ear = Ear::new("life");
    let mut server = Server::run(support::command(&[]).env("NOTIFY_SOCKET", &ear.name));
    assert_eq!(ear.hears(), "READY=1\nSTATUS=Serving.");
    server.restart();
    let mut heard = [ear.hears(), ear.hears()];
    heard.sort();
    let main = format!("MAINPID={}", server.process_id());
    assert_eq!(heard, [main.as_str(), "READY=1\nSTATUS=Serving."]);
    assert_eq!(server.stop().events, 0);
    assert_eq!(ear.hears(), "STOPPING=1\nSTATUS=Finishing what is in flight.");
}

#[test]
fn a_manager_that_takes_nothing_does_not_keep_the_server_from_its_end() {
    let ear = Ear::new("deaf");
    let mut command = support::command(&["--workers", "1"]);
    command.env("NOTIFY_SOCKET", &ear.name).env("WATCHDOG_USEC", "2000");
    let server = Server::run(&mut command);
    // Its queue is full when the first message finds no room.
    server.line_with("takes no message");
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
    let start = Instant::now();
    assert_eq!(server.stop().events, 1);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_sign_of_life_comes_as_often_as_it_is_asked_for_and_only_of_the_living() {
    let ear = Ear::new("watchdog");
    let mut command = support::command(&["--workers", "2"]);
    command.env("NOTIFY_SOCKET", &ear.name).env("WATCHDOG_USEC", "200000");
    // Before the first sign can come, since several may wait for a test that is late.
    let start = Instant::now();
    let mut server = Server::run(&mut command);
    ear.waits_for("READY=1");
    for _ in 0..10 {
        ear.waits_for("WATCHDOG=1");
    }
    // One every 100 ms.
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(850), "{elapsed:?}");
    server.restart();
    // The successor goes on with it.
    ear.waits_for("READY=1");
    ear.waits_for("WATCHDOG=1");
    let mut client = server.connect();
    client.send(get("/health").as_bytes());
    assert_eq!(client.answer().status, 200);
    // A process that is not run gives no sign.
    server.halt();
    ear.socket.set_read_timeout(Some(Duration::from_millis(400))).expect("set");
    let silent = (0..10).any(|_| ear.socket.recv(&mut [0; 64]).is_err());
    assert!(silent, "a stopped process gives signs of life");
    server.resume();
    assert_eq!(server.stop().events, 0);
}

#[test]
fn signs_of_life_go_on_while_a_successor_hangs() {
    let ear = Ear::new("hangs");
    let folder = std::env::temp_dir().join(format!("millrace-{}-signs", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("millrace");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_millrace"), &program).expect("a link");
    let mut command = Command::new(&program);
    command.args(["--listen", "127.0.0.1:0", "--workers", "2"]).env_clear();
    command.env("NOTIFY_SOCKET", &ear.name).env("WATCHDOG_USEC", "200000");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let server = Server::run(&mut command);
    ear.waits_for("READY=1");
    // It never answers, and never ends.
    let script = folder.join("script");
    std::fs::write(&script, "#!/bin/sh\nexec sleep 1000\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("executable");
    std::fs::rename(&script, &program).expect("replaced");
    server.signal(libc::SIGUSR2);
    server.line_with("restarting");
    let start = Instant::now();
    let mut signs = 0;
    while start.elapsed() < Duration::from_secs(3) {
        ear.waits_for("WATCHDOG=1");
        signs += 1;
    }
    assert!(signs >= 10, "{signs} signs of life in three seconds");
    assert!(server.line_with("no restart").contains("does not answer in time"));
    assert_eq!(server.once(&get("/health")).status, 200);
    assert_eq!(server.stop().events, 0);
    std::fs::remove_dir_all(folder).expect("removed");
}
