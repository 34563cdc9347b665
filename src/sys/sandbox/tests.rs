//! Every forbidden call is made, with one wrong argument at a time, in either half.

#![allow(unsafe_code)] // The calls have no wrapper in std, or std's wrapper does not allow what is tried.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::path::Path;
use std::process::{self, Command};
use std::{env, ptr, thread};

use super::super::descriptors::Reserve;
use super::super::process::Source;
use super::super::tests::alone;
use super::*;

/// A bit of the upper half of an argument.
const UPPER: u64 = 1 << 32;

fn confined<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    confined_with(Rights::default(), work)
}

fn confined_with<R: Send + 'static>(
    rights: Rights,
    work: impl FnOnce() -> R + Send + 'static,
) -> R {
    let thread = thread::spawn(move || {
        confine_thread(&rights).unwrap();
        work()
    });
    thread.join().unwrap()
}

/// Makes a system call with these arguments; the error if it fails.
fn call(number: libc::c_long, arguments: &[u64]) -> Result<i64, i32> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: the tests pass numbers, null pointers, and pointers to what lives for the call.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap()),
        result => Ok(result),
    }
}

#[test]
fn a_confined_thread_does_all_that_a_worker_does() {
    alone("sys::sandbox::tests::a_confined_thread_does_all_that_a_worker_does", || {
        let source = Source::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"abc").unwrap();
        confined(move || {
            assert!(source.read().unwrap().threads >= 2);
            // By mio, which accepts without blocking, as the server does.
            let (mut stream, _) = mio::net::TcpListener::from_std(listener).accept().unwrap();
            socket2::SockRef::from(&stream).set_send_buffer_size(8_192).unwrap();
            stream.peer_addr().unwrap();
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 3);
            stream.write_all(b"hello").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut reserve = Reserve::new().unwrap();
            assert!(reserve.release() && reserve.restore());
            // Memory that comes, grows in place and elsewhere, and goes, in threads of its own too.
            let mut bytes = vec![1_u8; 64 << 20];
            bytes.resize(256 << 20, 2);
            thread::spawn(move || drop(black_box(bytes))).join().unwrap();
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    thread::spawn(|| (0..1_000).map(|i| vec![0_u8; i * 37].len()).sum::<usize>())
                })
                .collect();
            threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 37 * 499_500));
            assert!(thread::spawn(|| panic!("expected")).join().is_err());
        });
        let mut received = String::new();
        client.read_to_string(&mut received).unwrap();
        assert_eq!(received, "hello");
        // The others are not confined.
        TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(Command::new("true").status().unwrap().success());
    });
}

#[test]
fn no_right_is_left() {
    alone("sys::sandbox::tests::no_right_is_left", || {
        give_up_privileges().unwrap();
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t{:016x}\n", 0)), "{status}");
        }
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    });
}

/// Calls that fail, with arguments that differ from those of an allowed call in one place each.
const REFUSED: &[(&str, libc::c_long, &[u64])] = &[
    ("receive with a flag", libc::SYS_recvfrom, &[99, 0, 0, libc::MSG_OOB as u64, 0, 0]),
    ("receive with a flag above", libc::SYS_recvfrom, &[99, 0, 0, UPPER, 0, 0]),
    ("receive an address", libc::SYS_recvfrom, &[99, 0, 0, 0, 8, 0]),
    ("receive an address above", libc::SYS_recvfrom, &[99, 0, 0, 0, UPPER, 0]),
    ("receive a length", libc::SYS_recvfrom, &[99, 0, 0, 0, 0, 8]),
    ("receive a length above", libc::SYS_recvfrom, &[99, 0, 0, 0, 0, UPPER]),
    ("wait with a mask", libc::SYS_epoll_pwait, &[99, 0, 1, 0, UPPER, 8]),
    ("lock with inheritance", libc::SYS_futex, &[0, libc::FUTEX_LOCK_PI as u64]),
    ("requeue", libc::SYS_futex, &[0, libc::FUTEX_CMP_REQUEUE_PI as u64]),
    ("futex above", libc::SYS_futex, &[0, UPPER]),
    ("accept blocking", libc::SYS_accept4, &[99, 0, 0, libc::SOCK_CLOEXEC as u64]),
    ("shut down reading", libc::SYS_shutdown, &[99, libc::SHUT_RD as u64]),
    ("shut down both ways", libc::SYS_shutdown, &[99, libc::SHUT_RDWR as u64]),
    ("shut down above", libc::SYS_shutdown, &[99, libc::SHUT_WR as u64 | UPPER]),
    ("move memory onto other", libc::SYS_mremap, &[0, 0, 0, 3, 0]),
    ("move memory above", libc::SYS_mremap, &[0, 0, 0, 1 | UPPER]),
    ("advice to remove", libc::SYS_madvise, &[0, 0, libc::MADV_REMOVE as u64]),
    ("advice above", libc::SYS_madvise, &[0, 0, libc::MADV_DONTNEED as u64 | UPPER]),
    ("clock of a process", libc::SYS_clock_gettime, &[-6_i64 as u64, 0]),
    ("clock above", libc::SYS_clock_gettime, &[UPPER, 0]),
    ("limit of another process", libc::SYS_prlimit64, &[1, 7, 0, 0]),
    ("another limit", libc::SYS_prlimit64, &[0, 4, 0, 0]),
    ("set a limit", libc::SYS_prlimit64, &[0, 7, 8, 0]),
    ("set a limit above", libc::SYS_prlimit64, &[0, 7, UPPER, 0]),
    ("another option", libc::SYS_setsockopt, &[99, 1, libc::SO_RCVBUF as u64, 0, 0]),
    ("another level", libc::SYS_setsockopt, &[99, 6, libc::SO_SNDBUF as u64, 0, 0]),
    ("another option of TCP", libc::SYS_setsockopt, &[99, 6, libc::TCP_NODELAY as u64, 0, 0]),
    (
        "option of TCP above",
        libc::SYS_setsockopt,
        &[99, 6, libc::TCP_QUICKACK as u64 | UPPER, 0, 0],
    ),
    ("level above", libc::SYS_setsockopt, &[99, 1 | UPPER, libc::SO_SNDBUF as u64, 0, 0]),
    ("option above", libc::SYS_setsockopt, &[99, 1, libc::SO_SNDBUF as u64 | UPPER, 0, 0]),
    ("read an option", libc::SYS_getsockopt, &[99, 1, libc::SO_ERROR as u64, 0, 0]),
    ("signals of a socket", libc::SYS_ioctl, &[99, 0x5452, 0]),
    ("owner of a socket", libc::SYS_ioctl, &[99, 0x8901, 0]),
    ("process group of a socket", libc::SYS_ioctl, &[99, 0x8902, 0]),
    ("type into a terminal", libc::SYS_ioctl, &[0, 0x5412, 0]),
    ("request above", libc::SYS_ioctl, &[99, 0x5411 | UPPER, 0]),
    ("owner", libc::SYS_fcntl, &[1, libc::F_SETOWN as u64, 1]),
    ("owner by address", libc::SYS_fcntl, &[1, 15, 0]),
    ("signal", libc::SYS_fcntl, &[1, 10, 9]),
    ("asynchronous", libc::SYS_fcntl, &[1, libc::F_SETFL as u64, libc::O_ASYNC as u64]),
    ("copy", libc::SYS_fcntl, &[1, libc::F_DUPFD as u64, 0]),
    ("copy that ends", libc::SYS_fcntl, &[1, libc::F_DUPFD_CLOEXEC as u64, 0]),
    ("lease", libc::SYS_fcntl, &[1, libc::F_SETLEASE as u64, 0]),
    ("notice of a folder", libc::SYS_fcntl, &[1, 1026, 0]),
    ("command above", libc::SYS_fcntl, &[1, libc::F_GETFD as u64 | UPPER, 0]),
    ("eventfd with a flag", libc::SYS_eventfd2, &[0, libc::EFD_SEMAPHORE as u64]),
    ("name of memory", libc::SYS_prctl, &[0x5356_4d41, 0, 0, 0, 0]),
    ("request of a process above", libc::SYS_prctl, &[libc::PR_SET_NAME as u64 | UPPER]),
    ("handler of an operator's signal", libc::SYS_rt_sigaction, &[15, 0, 0, 8]),
    ("handler above", libc::SYS_rt_sigaction, &[6 | UPPER, 0, 0, 8]),
    ("open", libc::SYS_openat, &[99, 0, 0]),
    ("copy onto", libc::SYS_dup3, &[1, 2, 0]),
    ("status of a path", libc::SYS_newfstatat, &[99, 0, 0, 0]),
    ("status of a path, extended", libc::SYS_statx, &[99, 0, 0, 0, 0]),
    ("session", libc::SYS_getsid, &[0]),
    ("write a journal", libc::SYS_pwrite64, &[1, 0, 0, 0]),
    ("sync", libc::SYS_fdatasync, &[1]),
    ("clone3", libc::SYS_clone3, &[0, 0]),
];

#[test]
fn an_unneeded_call_fails() {
    alone("sys::sandbox::tests::an_unneeded_call_fails", || {
        confined(|| {
            for &(name, number, arguments) in REFUSED {
                let result = call(number, arguments);
                assert!(matches!(result, Err(libc::EPERM | libc::ENOSYS)), "{name}: {result:?}");
            }
        });
    });
}

#[test]
fn no_file_is_opened_and_none_is_looked_at() {
    alone("sys::sandbox::tests::no_file_is_opened_and_none_is_looked_at", || {
        confined(|| {
            assert_eq!(File::open("/etc/passwd").unwrap_err().raw_os_error(), Some(libc::EPERM));
            #[cfg(target_arch = "x86_64")]
            assert_eq!(call(libc::SYS_open, &[c"/etc/passwd".as_ptr() as u64]), Err(libc::EPERM));
            assert!(fs::metadata("/etc/passwd").is_err());
            assert!(fs::read_dir("/").is_err() && fs::read_link("/proc/self/exe").is_err());
        });
    });
}

#[test]
fn a_listening_socket_cannot_be_made_another() {
    alone("sys::sandbox::tests::a_listening_socket_cannot_be_made_another", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let fd = listener.as_raw_fd() as u64;
        confined(move || {
            for how in [libc::SHUT_RD, libc::SHUT_RDWR] {
                assert_eq!(call(libc::SYS_shutdown, &[fd, how as u64]), Err(libc::EPERM));
            }
            let _ = call(libc::SYS_shutdown, &[fd, libc::SHUT_WR as u64]);
        });
        TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
    });
}

#[test]
fn a_restricted_thread_reaches_nothing_outside_by_calls_that_are_allowed() {
    let name = "sys::sandbox::tests::\
                a_restricted_thread_reaches_nothing_outside_by_calls_that_are_allowed";
    alone(name, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        give_up_privileges().unwrap();
        thread::spawn(move || {
            let version = landlock::restrict_thread(None).unwrap();
            let error = |result: io::Result<()>| result.err().and_then(|it| it.raw_os_error());
            // What is refused, by which error, and since which version of Landlock.
            let refused = [
                (1, libc::EACCES, error(File::open("/etc/passwd").map(drop))),
                (1, libc::EACCES, error(File::create("/tmp/millrace-sandbox").map(drop))),
                (4, libc::EACCES, error(TcpListener::bind("127.0.0.1:0").map(drop))),
                (
                    4,
                    libc::EACCES,
                    error(TcpStream::connect(listener.local_addr().unwrap()).map(drop)),
                ),
                (6, libc::EPERM, call(libc::SYS_kill, &[u64::from(parent_id()), 0]).err()),
            ];
            for (since, code, error) in refused {
                if version >= since {
                    assert_eq!(error, Some(code), "{since} of {version}");
                }
            }
            // Its own process is not outside.
            // SAFETY: gettid(2) takes nothing.
            let thread = unsafe { libc::gettid() } as u64;
            call(libc::SYS_tgkill, &[u64::from(process::id()), thread, 0]).unwrap();
        })
        .join()
        .unwrap();
    });
}

#[test]
fn the_journal_is_written_by_its_numbers_only() {
    alone("sys::sandbox::tests::the_journal_is_written_by_its_numbers_only", || {
        let path = env::temp_dir().join(format!("millrace-sandbox-{}", process::id()));
        let files = [File::create(&path).unwrap(), File::create(&path).unwrap()];
        let fds = files.each_ref().map(|file| file.as_raw_fd());
        fs::remove_file(path).unwrap();
        let journal = Some(fds[0].min(fds[1])..=fds[0].max(fds[1]));
        confined_with(Rights { journal, ..Rights::default() }, move || {
            for fd in fds {
                let bytes = b"event".as_ptr() as u64;
                assert_eq!(call(libc::SYS_pwrite64, &[fd as u64, bytes, 5, 7]), Ok(5));
                assert_eq!(call(libc::SYS_fdatasync, &[fd as u64]), Ok(0));
            }
        });
        assert_eq!(files.map(|file| file.metadata().unwrap().len()), [12, 12]);
    });
}

/// Calls that end the process with `SIGSYS`, and the ends that a process may give itself.
const ENDS: &[(&str, i32, fn())] = &[
    ("program", libc::SIGSYS, || drop(Command::new("true").status())),
    ("listen", libc::SIGSYS, || drop(TcpListener::bind("127.0.0.1:0"))),
    ("connect", libc::SIGSYS, || drop(TcpStream::connect("127.0.0.1:9"))),
    ("create", libc::SIGSYS, || drop(File::create("/dev/null"))),
    ("create above", libc::SIGSYS, || _ = call(libc::SYS_openat, &[99, 0, UPPER])),
    ("remove", libc::SIGSYS, || drop(fs::remove_file("/nonexistent/file"))),
    ("execute", libc::SIGSYS, || map(libc::PROT_EXEC as u64, ANONYMOUS)),
    ("execute above", libc::SIGSYS, || map(UPPER, ANONYMOUS)),
    ("map in place", libc::SIGSYS, || map(1, ANONYMOUS | libc::MAP_FIXED as u64)),
    ("map a file", libc::SIGSYS, || map(1, libc::MAP_PRIVATE as u64)),
    ("share memory", libc::SIGSYS, || map(1, (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64)),
    ("map above", libc::SIGSYS, || map(1, ANONYMOUS | UPPER)),
    ("protect", libc::SIGSYS, || _ = call(libc::SYS_mprotect, &[0, 0, 4])),
    ("protect above", libc::SIGSYS, || _ = call(libc::SYS_mprotect, &[0, 0, UPPER])),
    ("open fast", libc::SIGSYS, || send(libc::MSG_FASTOPEN as u64, 0, 0)),
    ("send with a flag above", libc::SIGSYS, || send(NOSIGNAL | UPPER, 0, 0)),
    ("send out of band", libc::SIGSYS, || send(NOSIGNAL | libc::MSG_OOB as u64, 0, 0)),
    ("send to an address", libc::SIGSYS, || send(NOSIGNAL, 8, 0)),
    ("send to an address above", libc::SIGSYS, || send(NOSIGNAL, UPPER, 0)),
    ("send with a length", libc::SIGSYS, || send(NOSIGNAL, 0, 8)),
    ("send with a length above", libc::SIGSYS, || send(NOSIGNAL, 0, UPPER)),
    ("send a message", libc::SIGSYS, || _ = call(libc::SYS_sendmsg, &[99, 0, 0])),
    ("send messages", libc::SIGSYS, || _ = call(libc::SYS_sendmmsg, &[99, 0, 0, 0])),
    ("fork", libc::SIGSYS, || _ = call(libc::SYS_clone, &[libc::SIGCHLD as u64])),
    ("thread in a name space", libc::SIGSYS, || _ = call(libc::SYS_clone, &[0x103d_0f00])),
    ("thread above", libc::SIGSYS, || _ = call(libc::SYS_clone, &[0x003d_0f00 | UPPER])),
    ("signal", libc::SIGSYS, || _ = call(libc::SYS_kill, &[1, 0])),
    ("signal to itself", libc::SIGSYS, || own_signal(libc::SIGUSR2 as u64, 0)),
    ("signal above", libc::SIGSYS, || own_signal(libc::SIGABRT as u64 | UPPER, 0)),
    ("abort above", libc::SIGSYS, || own_signal(libc::SIGABRT as u64, UPPER)),
    ("abort another", libc::SIGSYS, || own_signal(libc::SIGABRT as u64, 1)),
    ("abort another thread", libc::SIGSYS, || _ = call(libc::SYS_tkill, &[1, 6])),
    ("queue a signal", libc::SIGSYS, || _ = call(libc::SYS_rt_sigqueueinfo, &[1, 6, 0])),
    ("open a process", libc::SIGSYS, || _ = call(libc::SYS_pidfd_open, &[1, 0])),
    ("abort", libc::SIGABRT, || process::abort()),
    ("abort by thread", libc::SIGABRT, || {
        // SAFETY: gettid(2) takes nothing.
        _ = call(libc::SYS_tkill, &[unsafe { libc::gettid() } as u64, libc::SIGABRT as u64]);
    }),
    // SAFETY: none; the process is to end by this.
    ("bad address", libc::SIGSEGV, || unsafe { ptr::without_provenance_mut::<u8>(8).write(1) }),
];

const NOSIGNAL: u64 = libc::MSG_NOSIGNAL as u64;
const ANONYMOUS: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;

fn map(protection: u64, flags: u64) {
    _ = call(libc::SYS_mmap, &[0, 4_096, protection, flags, u64::MAX, 0]);
}

fn send(flags: u64, address: u64, length: u64) {
    _ = call(libc::SYS_sendto, &[99, 0, 0, flags, address, length]);
}

/// Sends a signal to this process or, with a number to add, to another.
fn own_signal(signal: u64, other: u64) {
    // SAFETY: gettid(2) takes nothing.
    let thread = unsafe { libc::gettid() } as u64;
    _ = call(libc::SYS_tgkill, &[u64::from(process::id()) + other, thread, signal]);
}

#[test]
fn another_file_is_not_written() {
    const VARIABLE: &str = "MILLRACE_TEST_FILE";
    const FILES: [&[u64]; 4] = [&[98], &[101], &[99 | UPPER], &[u64::MAX]];
    if let Some(number) = env::var(VARIABLE).ok().and_then(|number| number.parse::<usize>().ok()) {
        return confined_with(Rights { journal: Some(99..=100), ..Rights::default() }, move || {
            _ = call(libc::SYS_pwrite64, FILES[number]);
        });
    }
    for (number, arguments) in FILES.iter().enumerate() {
        let output = Command::new(env::current_exe().unwrap())
            .args(["sys::sandbox::tests::another_file_is_not_written", "--exact"])
            .env(VARIABLE, number.to_string())
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{arguments:?}: {output:?}");
    }
}

/// Calls that fail in the main thread too.
const REFUSED_TO_SUPERVISORS: &[(&str, libc::c_long, &[u64])] = &[
    ("send fast", libc::SYS_sendmsg, &[99, 0, libc::MSG_FASTOPEN as u64]),
    ("send with a flag above", libc::SYS_sendmsg, &[99, 0, NOSIGNAL | UPPER]),
    ("receive with a flag", libc::SYS_recvmsg, &[99, 0, libc::MSG_OOB as u64]),
    ("receive an address", libc::SYS_recvfrom, &[99, 0, 0, 0, UPPER, 0]),
    ("pair of the network", libc::SYS_socketpair, &[2, 0x8_0001, 0, 0]),
    ("pair of datagram sockets", libc::SYS_socketpair, &[1, 0x8_0002, 0, 0]),
    ("shut down reading", libc::SYS_shutdown, &[99, libc::SHUT_RD as u64]),
    ("owner", libc::SYS_fcntl, &[1, libc::F_SETOWN as u64, 1]),
    ("asynchronous", libc::SYS_fcntl, &[1, libc::F_SETFL as u64, libc::O_ASYNC as u64]),
    ("flags above", libc::SYS_fcntl, &[1, libc::F_SETFL as u64, UPPER]),
    ("bind to a device", libc::SYS_setsockopt, &[99, 1, libc::SO_BINDTODEVICE as u64, 0, 0]),
    ("protocol above TCP", libc::SYS_setsockopt, &[99, 6, libc::TCP_ULP as u64, 0, 0]),
    ("repair", libc::SYS_setsockopt, &[99, 6, libc::TCP_REPAIR as u64, 0, 0]),
    ("judge other threads", libc::SYS_seccomp, &[1, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER, 0]),
    ("confine other threads", libc::SYS_seccomp, &[1, libc::SECCOMP_FILTER_FLAG_TSYNC, 0]),
    ("be traced by any", libc::SYS_prctl, &[libc::PR_SET_PTRACER as u64, u64::MAX]),
    ("move another process", libc::SYS_sched_setaffinity, &[1, 8, 0]),
    ("open", libc::SYS_openat, &[99, 0, 0]),
    ("set a limit", libc::SYS_prlimit64, &[0, 7, UPPER, 0]),
];

/// Calls that end the process if its main thread makes them.
const DEADLY_TO_SUPERVISORS: &[(&str, fn())] = &[
    ("program", || drop(Command::new("true").status())),
    ("listen", || drop(TcpListener::bind("127.0.0.1:0"))),
    ("connect", || drop(TcpStream::connect("127.0.0.1:9"))),
    ("create", || drop(File::create("/dev/null"))),
    ("execute", || map(libc::PROT_EXEC as u64, ANONYMOUS)),
    ("fork", || _ = call(libc::SYS_clone, &[libc::SIGCHLD as u64])),
    ("signal", || _ = call(libc::SYS_kill, &[1, 0])),
    ("signal another", || own_signal(libc::SIGUSR2 as u64, 1)),
    ("queue for another", || _ = call(libc::SYS_rt_sigqueueinfo, &[1, 60, 0])),
    ("send fast", || send(libc::MSG_FASTOPEN as u64, 0, 0)),
    ("look into another process", || _ = call(libc::SYS_process_vm_readv, &[1, 0, 0, 0, 0, 0])),
];

#[test]
fn an_unneeded_call_of_the_main_thread_fails() {
    alone("sys::sandbox::tests::an_unneeded_call_of_the_main_thread_fails", || {
        confined_with(Rights::of_supervisor(None), || {
            for &(name, number, arguments) in REFUSED_TO_SUPERVISORS {
                let result = call(number, arguments);
                assert!(matches!(result, Err(libc::EPERM | libc::ENOSYS)), "{name}: {result:?}");
            }
        });
    });
}

#[test]
fn a_forbidden_call_of_the_main_thread_is_the_last() {
    const VARIABLE: &str = "MILLRACE_TEST_FORBIDDEN";
    if let Ok(name) = env::var(VARIABLE) {
        let (_, forbidden) =
            DEADLY_TO_SUPERVISORS.iter().find(|(other, _)| *other == name).unwrap();
        return confined_with(Rights::of_supervisor(None), *forbidden);
    }
    for (name, _) in DEADLY_TO_SUPERVISORS {
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "sys::sandbox::tests::a_forbidden_call_of_the_main_thread_is_the_last",
                "--exact",
            ])
            .env(VARIABLE, name)
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{name}: {output:?}");
    }
}

#[test]
fn files_are_opened_in_the_state_directory_only() {
    alone("sys::sandbox::tests::files_are_opened_in_the_state_directory_only", || {
        let folder = env::temp_dir().join(format!("millrace-sandbox-state-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        let inside = folder.join("file");
        let state = folder.clone();
        confined_with(Rights::of_supervisor(Some(state.clone())), move || {
            File::create(&inside).unwrap().write_all(b"kept").unwrap();
            assert_eq!(fs::read(&inside).unwrap(), b"kept");
            File::open(&state).unwrap().sync_all().unwrap();
            // Landlock cannot be asked any more, so the test asks it what it does.
            if fs::read("/etc/passwd").is_err() {
                assert!(File::create(state.parent().unwrap().join("millrace-outside")).is_err());
            }
        });
    });
}

#[test]
fn a_forbidden_call_is_the_last() {
    const VARIABLE: &str = "MILLRACE_TEST_FORBIDDEN";
    if let Ok(name) = env::var(VARIABLE) {
        let (.., forbidden) = ENDS.iter().find(|(other, ..)| *other == name).unwrap();
        return confined(*forbidden);
    }
    for (name, signal, _) in ENDS {
        let output = Command::new(env::current_exe().unwrap())
            .args(["sys::sandbox::tests::a_forbidden_call_is_the_last", "--exact"])
            .env(VARIABLE, name)
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(*signal), "{name}: {output:?}");
    }
}

/// Names of system calls in the text.
fn calls_of(text: &str) -> Vec<&str> {
    text.split("libc::SYS_")
        .skip(1)
        .map(|rest| {
            rest.split(|it: char| !it.is_alphanumeric() && it != '_').next().unwrap_or_default()
        })
        .collect()
}

/// Names of system calls in the first column of the table below this heading.
fn rows_below(document: &str, heading: &str) -> String {
    let (_, section) = document.split_once(heading).expect("a heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect()
}

#[test]
fn the_document_lists_every_allowed_call_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (workers, _) = include_str!("calls.rs").split_once("DEADLY:").expect("the deadly calls");
    let signals = ["tgkill", "tkill"];
    for (heading, source, others) in [
        ("## The filter of workers", workers, &[&signals[..], &["pwrite64", "fdatasync"]].concat()),
        (
            "## The filter of the main thread",
            include_str!("supervisor.rs"),
            &[&signals[..], &["rt_sigqueueinfo"]].concat(),
        ),
    ] {
        let rows = rows_below(&document, heading);
        let mut listed: Vec<&str> = rows.split('`').skip(1).step_by(2).collect();
        let mut allowed = [calls_of(source), others.clone()].concat();
        listed.sort_unstable();
        allowed.sort_unstable();
        allowed.dedup();
        assert_eq!(listed, allowed, "{heading}");
    }
}
