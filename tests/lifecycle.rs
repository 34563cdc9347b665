//! Start and stop: readiness, signals, what is in flight, exit statuses.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Server, event, get};

#[test]
fn sigterm_and_sigint_end_it_with_the_final_statistics() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let server = Server::start(&["--workers", "2"]);
        assert_eq!(server.once(&event("a", 2.5)).status, 200);
        server.signal(signal);
        let (status, lines) = server.wait();
        assert_eq!(status.code(), Some(0));
        let expected =
            r#"final statistics {"totalRequests":1,"uniqueUsers":1,"sum":2.5,"avg":2.5}"#;
        assert_eq!(lines.last().map(String::as_str), Some(expected));
    }
}

#[test]
fn a_stop_in_mid_load_loses_no_answered_event() {
    let server = Server::start(&["--workers", "2"]);
    let address = server.address;
    let answered = AtomicU64::new(0);
    let (sent, statistics) = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let answered = &answered;
                scope.spawn(move || {
                    let mut sent = 0u64;
                    let Ok(mut connection) = Client::connect(address) else { return sent };
                    loop {
                        let batch: String =
                            (0..20).map(|i| event(&format!("{client}-{i}"), 1.0)).collect();
                        connection.send(batch.as_bytes());
                        sent += 20;
                        for _ in 0..20 {
                            match connection.try_answer(true) {
                                Some(answer) => assert_eq!(answer.status, 200),
                                None => return sent,
                            }
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        while answered.load(Ordering::Relaxed) < 5_000 {
            thread::yield_now();
        }
        let statistics = server.stop();
        (
            clients.into_iter().map(|client| client.join().expect("no panic")).sum::<u64>(),
            statistics,
        )
    });
    let answered = answered.into_inner();
    assert!(
        (answered..=sent).contains(&statistics.events),
        "{answered} answered, {statistics:?}, {sent} sent"
    );
    assert_eq!(statistics.sum, Some(statistics.events as f64));
}

#[test]
fn a_request_under_way_is_finished_and_idle_connections_end() {
    let server = Server::start(&["--workers", "1"]);
    let mut idle = server.connect();
    idle.send(get("/health").as_bytes());
    idle.answer();
    let mut busy = server.connect();
    let request = event("a", 1.0);
    let (start, rest) = request.split_at(request.len() - 5);
    busy.send(start.as_bytes());
    server.wait_until("half a request is there", |server| {
        server.metric(r#"millrace_connections{state="reading"}"#) >= 1.0
    });
    server.signal(libc::SIGTERM);
    assert!(idle.is_closed());
    let start = Instant::now();
    while Client::connect(server.address).is_ok() {
        assert!(start.elapsed() < PATIENCE, "it goes on listening while it drains");
    }
    busy.send(rest.as_bytes());
    let answer = busy.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(busy.is_closed());
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(lines.last().is_some_and(|line| line.contains("\"totalRequests\":1")), "{lines:?}");
}

#[test]
fn the_drain_time_out_or_a_second_signal_ends_what_does_not_end_by_itself() {
    for second_signal in [false, true] {
        let timeout = if second_signal { "60" } else { "0.3" };
        let server = Server::start(&["--drain-timeout", timeout]);
        let mut stuck = server.connect();
        stuck.send(&event("a", 1.0).as_bytes()[..60]);
        server.wait_until("half a request is there", |server| {
            server.metric(r#"millrace_connections{state="reading"}"#) >= 1.0
        });
        let start = Instant::now();
        server.signal(libc::SIGTERM);
        if second_signal {
            // The listener is gone once the first has been understood.
            while Client::connect(server.address).is_ok() {
                assert!(start.elapsed() < PATIENCE);
            }
            server.signal(libc::SIGTERM);
        }
        let (status, lines) = server.wait();
        assert_eq!(status.code(), Some(0));
        assert!(lines.iter().any(|line| line.contains("cut")), "{lines:?}");
        assert!(second_signal || start.elapsed() >= Duration::from_millis(300));
        assert!(stuck.is_closed());
    }
}

#[test]
fn it_starts_again_on_the_same_port_at_once() {
    let server = Server::start(&["--workers", "2"]);
    let address = server.address.to_string();
    let mut open = server.connect();
    open.send(event("a", 1.0).as_bytes());
    open.answer();
    server.stop();
    for _ in 0..3 {
        let mut command = support::command(&["--workers", "2", "--listen", &address]);
        let server = Server::run(&mut command);
        assert_eq!(server.once(&event("b", 1.0)).status, 200);
        assert_eq!(server.count(), 1);
        // Killed, not stopped, when it is dropped.
    }
}

#[test]
fn killed_in_mid_load_it_starts_again_on_the_same_port() {
    let mut server = Server::start(&["--workers", "2"]);
    let address = server.address;
    for _ in 0..3 {
        let answered = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut connection = Client::connect(address).expect("it accepts");
                    loop {
                        connection.send(event("a", 1.0).repeat(20).as_bytes());
                        for _ in 0..20 {
                            if connection.try_answer(true).is_none() {
                                return;
                            }
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            while answered.load(Ordering::Relaxed) < 2_000 {
                thread::yield_now();
            }
            server.signal(libc::SIGKILL);
        });
        let (status, lines) = server.wait();
        assert_eq!((status.code(), lines.len()), (None, 0), "{lines:?}");
        let listen = address.to_string();
        server = Server::run(&mut support::command(&["--workers", "2", "--listen", &listen]));
        assert_eq!(server.count(), 0);
        assert_eq!(server.once(&event("b", 1.0)).status, 200);
    }
    assert_eq!(server.stop().events, 1);
}

#[test]
fn a_second_server_on_the_same_port_fails_with_one_clear_line() {
    let server = Server::start(&["--workers", "2"]);
    let port = server.address.port();
    for address in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}"), format!("[::]:{port}")]
    {
        for workers in ["1", "2"] {
            let output = support::command(&["--listen", &address, "--workers", workers])
                .output()
                .expect("it runs");
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{message}");
            assert!(message.contains("another process listens there"), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
}

#[test]
fn start_up_failures_say_what_to_do() {
    let run = |arguments: &[&str]| {
        let output = support::command(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, message) = run(&["--listen", "192.0.2.1:1"]);
    assert!(code == Some(1) && message.contains("cannot listen on 192.0.2.1:1"), "{message}");
    let (code, message) = run(&["--workers", "none"]);
    assert!(
        code == Some(2) && message.contains("--workers") && message.contains("none"),
        "{message}"
    );

    let limited = |arguments: &str| {
        let program = env!("CARGO_BIN_EXE_millrace");
        let script = format!("ulimit -n 100; exec {program} -l 127.0.0.1:0 -w 1 {arguments}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
        command
    };
    for (arguments, expected) in [
        (
            "--max-connections 90",
            "millrace: the limit of open files is 100, too low for 90 connections on 1 worker: \
             raise it to 158 (ulimit -n 158)\n",
        ),
        (
            "-w 10",
            "millrace: the limit of open files is 100, too low for 1 connection on 10 workers: \
             raise it to 393 (ulimit -n 393)\n",
        ),
    ] {
        let output = limited(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
    // Enough to start, but with few connections: that is said.
    let server = Server::run(limited("").stdout(Stdio::null()));
    assert!(server.line_with("limit of open files").ends_with("connections_max=32"));
    let output = limited("--check").output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("up to 32 connections"));
}

#[test]
fn a_start_without_memory_says_how_much_is_needed() {
    let program = env!("CARGO_BIN_EXE_millrace");
    for arguments in ["--listen 127.0.0.1:0", "--check"] {
        let mut command = Command::new("sh");
        let script = format!("ulimit -v 60000; exec {program} --workers 2 {arguments}");
        let output = command.args(["-c", &script]).env_clear().output().expect("it runs");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        let expected = "millrace: there is not enough memory: 94 MiB of address space are needed for \
                        2 workers; raise the limit to ";
        assert!(message.starts_with(expected) && message.lines().count() == 1, "{message}");
    }
    // Beside what is said to be needed, the C library takes some for each thread.
    let mut command = Command::new("sh");
    let script = format!("ulimit -v 1000000; exec {program} --workers 2 --listen 127.0.0.1:0");
    command.args(["-c", &script]).env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
    assert_eq!(Server::run(&mut command).stop().events, 0);
}

#[test]
fn a_server_on_all_addresses_leaves_none_to_a_second_one() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        support::skip("IPv6 is off");
        return;
    }
    let server = Server::start(&["--listen", "[::]:0", "--workers", "2"]);
    let port = server.address.port();
    for host in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"] {
        for workers in ["1", "2"] {
            let address = format!("{host}:{port}");
            let output = support::command(&["--listen", &address, "--workers", workers])
                .output()
                .expect("it runs");
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{address}: {message}");
            assert!(message.contains(&address), "{message}");
        }
    }
}

#[test]
fn help_and_version_are_for_standard_output_and_no_failure() {
    for (option, expected) in [
        ("-h", "--listen"),
        ("--help", "--listen"),
        ("-V", "millrace "),
        ("--version", "millrace "),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let output = command.env_clear().arg(option).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{option}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected), "{option}");
        assert!(output.stderr.is_empty(), "{option}");
    }
}

#[test]
fn ipv6_and_both_at_once() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        support::skip("IPv6 is off");
        return;
    }
    let server = Server::start(&["--listen", "[::1]:0"]);
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
    let both = Server::start(&["--listen", "[::]:0", "--workers", "2"]);
    for host in ["127.0.0.1", "::1"] {
        let address =
            (host.parse::<std::net::IpAddr>().expect("an address"), both.address.port()).into();
        let mut client = Client::connect(address).expect("it listens on both");
        client.send(event("a", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(both.stop().events, 2);
}

/// Runs the program to its end: exit status, standard output, standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let output = command.env_clear().args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_configuration_is_checked_without_listening() {
    let server = Server::start(&[]);
    let address = server.address.to_string();
    let (code, said, errors) =
        run(&["--check", "--listen", &address, "-w3", "--max-connections", "5"]);
    let expected = format!(
        "the configuration is valid: 3 workers on {address}\nit takes up to 5 connections at a time\n"
    );
    assert_eq!((code, said, errors.as_str()), (Some(0), expected, ""));
    for (arguments, expected_code, words) in [
        (["--check", "--workers", "0"], 2, "--workers: '0'"),
        (["--check", "--max-connections", "9999999"], 1, "limit of open files"),
        (["--check", "--listen", "no.such.host.invalid:1"], 1, "cannot resolve no.such.host"),
    ] {
        let (code, said, errors) = run(&arguments);
        assert_eq!((code, said.as_str()), (Some(expected_code), ""), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn health_is_asked_for_without_any_other_program() {
    let server = Server::start(&["--workers", "1"]);
    let url = format!("http://{}", server.address);
    let (code, said, _) = run(&["--health", &url]);
    assert_eq!((code, said.as_str()), (Some(0), "{\"status\":\"healthy\"}\n"));
    let (code, said, _) = run(&["--health", &format!("{url}/stats")]);
    assert!(code == Some(0) && said.contains("totalRequests"), "{said}");
    let (code, _, errors) = run(&["--health", &format!("{url}/nothing")]);
    assert!(code == Some(1) && errors.contains("404"), "{errors}");
    // A draining server accepts no connection.
    let mut busy = server.connect();
    busy.send(&event("a", 1.0).as_bytes()[..50]);
    server.wait_until("half a request is there", |server| {
        server.metric(r#"millrace_connections{state="reading"}"#) >= 1.0
    });
    server.signal(libc::SIGTERM);
    server.signal(libc::SIGINT);
    server.wait();
    let (code, _, errors) = run(&["--health", &url]);
    assert!(code == Some(1) && errors.contains("no answer from"), "{errors}");
}

#[test]
fn a_server_that_hangs_or_trickles_is_not_healthy_after_five_seconds() {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let (hanging, trickling) = (listener(), listener());
    let url = |listener: &std::net::TcpListener| {
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let urls = [url(&hanging), url(&trickling)];
    thread::spawn(move || {
        let (mut stream, _) = trickling.accept().expect("a client");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    thread::scope(|scope| {
        for url in &urls {
            scope.spawn(move || {
                let start = Instant::now();
                let (code, _, errors) = run(&["--health", url]);
                let address = url.trim_start_matches("http://");
                let expected = format!("millrace: no answer from {address} within 5 seconds\n");
                assert_eq!((code, errors), (Some(1), expected));
                assert!(start.elapsed() >= Duration::from_millis(4_900), "{:?}", start.elapsed());
            });
        }
    });
}

#[test]
fn what_is_generated_is_what_its_readers_take() {
    for (what, checker) in [
        ("man", &["mandoc", "-T", "lint", "-W", "error"][..]),
        ("bash", &["bash", "-n"]),
        ("zsh", &["zsh", "-n"]),
        ("fish", &["fish", "--no-execute"]),
    ] {
        let (code, text, errors) = run(&["--generate", what]);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{what}");
        let file = std::env::temp_dir().join(format!("millrace-{}-{what}", std::process::id()));
        std::fs::write(&file, text).expect("written");
        match Command::new(checker[0]).args(&checker[1..]).arg(&file).output() {
            Ok(output) => {
                let said =
                    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                assert!(output.status.success() && said.is_empty(), "{what}: {said}");
            }
            Err(_) => support::skip(&format!("{what}: {} is not installed", checker[0])),
        }
        std::fs::remove_file(file).expect("removed");
    }
}

#[test]
fn bash_completes_options_and_choices() {
    let (_, completion, _) = run(&["--generate", "bash"]);
    for (words, expected) in [
        ("millrace --max-u", "--max-users"),
        ("millrace --log-level d", "debug"),
        ("millrace --generate z", "zsh"),
        ("millrace --workers ", ""),
    ] {
        let script = format!(
            "{completion}\nread -ra COMP_WORDS <<<'{words}'; [[ '{words}' != *' ' ]] || COMP_WORDS+=('')\n\
             COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _millrace; echo \"${{COMPREPLY[*]}}\""
        );
        let Ok(output) = Command::new("bash").args(["-c", &script]).output() else {
            support::skip("bash is not installed");
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{words}");
    }
}

#[test]
fn a_drain_delay_tells_load_balancers_first() {
    // Long enough for the requests below on a busy machine.
    let server = Server::start(&["--workers", "2", "--drain-delay", "4"]);
    let mut client = server.connect();
    let start = Instant::now();
    server.signal(libc::SIGTERM);
    server.wait_until("it announces the stop", |server| server.once(&get("/health")).status == 503);
    assert_eq!(server.once(&get("/health")).text(), r#"{"status":"draining"}"#);
    // Everything else goes on, on old connections and on new ones.
    client.send(event("a", 1.0).as_bytes());
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, None));
    assert_eq!(server.once(&event("b", 1.0)).status, 200);
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() >= Duration::from_secs(4));
    assert!(lines.last().is_some_and(|line| line.contains("\"totalRequests\":2,")), "{lines:?}");
}

#[test]
fn a_second_signal_ends_the_drain_delay_and_a_third_one_the_stop() {
    let server = Server::start(&["--drain-delay", "600", "--drain-timeout", "600"]);
    let mut stuck = server.connect();
    stuck.send(&event("a", 1.0).as_bytes()[..60]);
    server.wait_until("half a request is there", |server| {
        server.metric(r#"millrace_connections{state="reading"}"#) >= 1.0
    });
    server.signal(libc::SIGTERM);
    server.line_with("the drain delay begins");
    server.signal(libc::SIGTERM);
    server.line_with("the drain delay ends");
    support::eventually("it listens no more", || Client::connect(server.address).is_err());
    server.signal(libc::SIGTERM);
    let (status, lines) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(lines.iter().any(|line| line.contains("open connections are cut")), "{lines:?}");
    assert!(stuck.is_closed());
}

#[test]
fn a_signal_that_ends_the_process_lets_it_print_the_final_statistics() {
    for signal in [libc::SIGABRT, libc::SIGQUIT, libc::SIGALRM, libc::SIGXCPU] {
        let server = Server::start(&["--workers", "2"]);
        assert_eq!(server.once(&event("a", 2.5)).status, 200);
        server.signal(signal);
        let (status, lines) = server.wait();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal));
        assert!(
            lines.last().is_some_and(|line| line.contains("\"totalRequests\":1,")),
            "{lines:?}"
        );
    }
    // What other daemons do something with is no reason to end.
    let server = Server::start(&["--workers", "2"]);
    server.signal(libc::SIGUSR1);
    assert!(server.line_with("SIGUSR1").contains("no file to be opened again"));
    assert_eq!(server.stop().events, 0);
}

#[test]
fn a_server_that_was_started_to_outlive_its_terminal_does() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT; exec \"$0\" --listen 127.0.0.1:0"]);
    command.arg(env!("CARGO_BIN_EXE_millrace")).env_clear();
    command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let server = Server::run(&mut command);
    server.signal(libc::SIGHUP);
    server.signal(libc::SIGINT);
    // Signals are fetched in the order of their numbers, so that this is the last.
    server.signal(libc::SIGUSR1);
    server.line_with("SIGUSR1");
    assert_eq!(server.once(&event("a", 1.0)).status, 200);
    assert_eq!(server.stop().events, 1);
}
