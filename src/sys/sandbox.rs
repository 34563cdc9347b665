//! Rights that are given up for good, so that an intruder does not find them.
//!
//! [`give_up_privileges`] is for the whole process, before it starts threads: no capabilities, and no
//! way to get any by starting a program. [`confine_thread`] is for a worker, the only kind of thread
//! that handles what clients send: a seccomp filter (seccomp(2)) that sorts system calls into
//!
//! - those a worker needs, some with certain arguments only: allowed;
//! - those that only somebody else's code would make (starting programs, opening sockets or files
//!   for writing, executable memory, other users' rights): the process dies on the spot;
//! - all others: they fail as if the kernel were too old to know them, for which C libraries are
//!   prepared. So a library that learns a new call one day does not kill the server.
//!
//! Threads of one process share its memory, so a worker that is taken over could still misuse the
//! main thread; the filter raises the price of that, it does not make it impossible.

#![allow(unsafe_code)] // prctl(2), capset(2) and seccomp(2) are not in std.

use std::io;
use std::mem::offset_of;

/// Gives up all capabilities, and for this process and its children any way to new ones. To be
/// called before the first thread is started, after the last port below 1024 was bound.
///
/// # Errors
/// What the kernel reports.
pub fn give_up_privileges() -> io::Result<()> {
    // SAFETY: prctl(2) takes numbers for this option.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // An ambient capability is a permitted one, so that these go together.
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, process: 0 };
    let none = [CapabilityData { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: the kernel reads a header and, for this version, two sets, which live for the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } as i32)
}

/// Makes the kernel refuse all system calls to the calling thread, and to those it starts, but
/// those a worker needs. Needs [`give_up_privileges`] before.
///
/// # Errors
/// What the kernel reports, if it has no such filters; `Unsupported` on a processor whose calls are
/// not listed here.
pub fn confine_thread() -> io::Result<()> {
    let program = program().ok_or(io::ErrorKind::Unsupported)?;
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_ptr().cast_mut(),
    };
    // Without the flag, kernels before 5.16 switch off speculation past stores for the thread.
    [libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0]
        .into_iter()
        .map(|flags| {
            let mode = libc::SECCOMP_SET_MODE_FILTER;
            // SAFETY: the kernel copies the program, which lives for the call.
            let status =
                unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const filter) };
            check(status as i32)
        })
        .reduce(Result::or)
        .unwrap_or(Ok(()))
}

fn check(status: i32) -> io::Result<()> {
    if status == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `struct __user_cap_header_struct` of capget(2), which the libc crate does not have.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    process: libc::c_int,
}

/// `struct __user_cap_data_struct`.
#[derive(Clone, Copy)]
#[repr(C)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// What becomes of a call.
#[derive(Clone, Copy)]
enum Verdict {
    Allow,
    Die,
    Unknown,
}

impl Verdict {
    const fn value(self) -> u32 {
        match self {
            Verdict::Allow => libc::SECCOMP_RET_ALLOW,
            Verdict::Die => libc::SECCOMP_RET_KILL_PROCESS,
            Verdict::Unknown => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        }
    }
}

/// A condition on the lower 32 bits of one argument, counted from 0.
#[derive(Clone, Copy)]
enum Argument {
    Is(usize, u32),
    /// At least one of these bits is set.
    Has(usize, u32),
}

/// Calls in the order of their frequency; a filter is a list of comparisons.
const ALLOWED: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_accept4,
    libc::SYS_epoll_ctl,
    libc::SYS_close,
    libc::SYS_shutdown,
    libc::SYS_futex,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    // Memory, and the clocks where the kernel does not share its page.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    // What a scrape reads of /proc.
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    // Sockets that are there.
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_fcntl,
    // The descriptor that is kept in reserve.
    libc::SYS_eventfd2,
    // The beginning and the end of a thread.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls by which an intruder would show.
const DEADLY: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kill,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_openat2,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_capset,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_userfaultfd,
    libc::SYS_memfd_create,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_add_key,
    libc::SYS_keyctl,
];

/// The same in the numbers that younger processors do not have.
#[cfg(target_arch = "x86_64")]
const DEADLY_OF_OLD: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_creat,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_chmod,
    libc::SYS_chown,
];
#[cfg(not(target_arch = "x86_64"))]
const DEADLY_OF_OLD: &[libc::c_long] = &[];

/// The processor's name in `seccomp_data` (`AUDIT_ARCH_…` of linux/audit.h).
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else {
    None
};

/// Bits by which open(2) and openat(2) would change something.
const OPEN_TO_CHANGE: u32 =
    (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u32;

fn program() -> Option<Vec<libc::sock_filter>> {
    use Argument::{Has, Is};
    use Verdict::{Allow, Die, Unknown};
    let mut program = vec![
        load(offset_of!(libc::seccomp_data, arch)),
        // A call in another processor's numbers, as a 32-bit program makes, is none of ours.
        jump(libc::BPF_JEQ, ARCHITECTURE?, 1, 0),
        end(Die),
        load(offset_of!(libc::seccomp_data, nr)),
    ];
    program.extend(ALLOWED.iter().flat_map(|&call| when(call, Allow)));
    let some = [
        (libc::SYS_ioctl, Is(1, libc::TIOCOUTQ as u32), Allow, Unknown),
        (libc::SYS_mmap, Has(2, libc::PROT_EXEC as u32), Die, Allow),
        (libc::SYS_mprotect, Has(2, libc::PROT_EXEC as u32), Die, Allow),
        (libc::SYS_openat, Has(2, OPEN_TO_CHANGE), Die, Allow),
        // musl's way to open a file.
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, Has(1, OPEN_TO_CHANGE), Die, Allow),
        // Reading limits; setting one has an address in its third argument.
        (libc::SYS_prlimit64, Has(2, u32::MAX), Unknown, Allow),
        (libc::SYS_clone, Has(0, libc::CLONE_THREAD as u32), Allow, Die),
        (libc::SYS_prctl, Is(0, libc::PR_SET_NAME as u32), Allow, Unknown),
        // How a process ends itself, abort(3).
        (libc::SYS_tgkill, Is(0, std::process::id()), Allow, Die),
    ];
    for (call, argument, then, otherwise) in some {
        program.extend(when_argument(call, argument, then, otherwise));
    }
    program.extend([DEADLY, DEADLY_OF_OLD].concat().into_iter().flat_map(|call| when(call, Die)));
    program.push(end(Unknown));
    Some(program)
}

/// The verdict over `call`; the number of the call is loaded, and stays so.
fn when(call: libc::c_long, verdict: Verdict) -> [libc::sock_filter; 2] {
    [jump(libc::BPF_JEQ, call as u32, 0, 1), end(verdict)]
}

fn when_argument(
    call: libc::c_long,
    argument: Argument,
    then: Verdict,
    otherwise: Verdict,
) -> [libc::sock_filter; 5] {
    let (index, test, value) = match argument {
        Argument::Is(index, value) => (index, libc::BPF_JEQ, value),
        Argument::Has(index, bits) => (index, libc::BPF_JSET, bits),
    };
    let lower_half = if cfg!(target_endian = "big") { 4 } else { 0 };
    let offset = offset_of!(libc::seccomp_data, args) + index * size_of::<u64>() + lower_half;
    [
        jump(libc::BPF_JEQ, call as u32, 0, 4),
        load(offset),
        jump(test, value, 0, 1),
        end(then),
        end(otherwise),
    ]
}

fn load(offset: usize) -> libc::sock_filter {
    let code = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    libc::sock_filter { code, jt: 0, jf: 0, k: offset as u32 }
}

/// Skips so many instructions if the loaded number passes the test, or if it does not.
fn jump(test: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_K | test) as u16, jt, jf, k }
}

fn end(verdict: Verdict) -> libc::sock_filter {
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: 0, jf: 0, k: verdict.value() }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::{env, ptr, thread};

    use super::super::process::Process;
    use super::super::tests::alone;
    use super::*;

    fn confined<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
        give_up_privileges().unwrap();
        let thread = thread::spawn(|| {
            confine_thread().unwrap();
            work()
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_confined_thread_does_all_that_a_worker_does() {
        alone("sys::sandbox::tests::a_confined_thread_does_all_that_a_worker_does", || {
            confined(|| {
                assert!(Process::read().unwrap().threads >= 2);
                assert_eq!(vec![1_u8; 64 << 20].len(), thread::spawn(|| 64 << 20).join().unwrap());
                assert!(thread::spawn(|| panic!("expected")).join().is_err());
                File::open("/dev/null").unwrap();
            });
            // The others are not confined.
            TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(Command::new("true").status().unwrap().success());
        });
    }

    #[test]
    fn an_unneeded_call_fails_and_no_right_is_left() {
        alone("sys::sandbox::tests::an_unneeded_call_fails_and_no_right_is_left", || {
            let error = confined(|| {
                // SAFETY: getsid(2) takes a number.
                assert_eq!(unsafe { libc::getsid(0) }, -1);
                io::Error::last_os_error()
            });
            assert_eq!(error.raw_os_error(), Some(libc::ENOSYS));
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert!(status.contains(&format!("{set}:\t{:016x}\n", 0)), "{status}");
            }
            assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        });
    }

    /// What a worker must not do, by name.
    const FORBIDDEN: [(&str, fn()); 7] = [
        ("program", || drop(Command::new("true").status())),
        ("listen", || drop(TcpListener::bind("127.0.0.1:0"))),
        ("connect", || drop(TcpStream::connect("127.0.0.1:9"))),
        ("create", || drop(File::create("/dev/null"))),
        ("remove", || drop(fs::remove_file("/nonexistent/file"))),
        ("execute", || {
            let executable = libc::PROT_READ | libc::PROT_EXEC;
            let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: fresh memory that nobody uses.
            unsafe { libc::mmap(ptr::null_mut(), 4096, executable, anonymous, -1, 0) };
        }),
        // SAFETY: kill(2) takes numbers; signal 0 is none.
        ("signal", || _ = unsafe { libc::kill(1, 0) }),
    ];

    #[test]
    fn a_forbidden_call_is_the_last() {
        const VARIABLE: &str = "MILLRACE_TEST_FORBIDDEN";
        if let Ok(name) = env::var(VARIABLE) {
            let (_, forbidden) = FORBIDDEN.iter().find(|(other, _)| *other == name).unwrap();
            confined(*forbidden);
            return;
        }
        for (name, _) in FORBIDDEN {
            let output = Command::new(env::current_exe().unwrap())
                .args(["sys::sandbox::tests::a_forbidden_call_is_the_last", "--exact"])
                .env(VARIABLE, name)
                .output()
                .unwrap();
            assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{name}: {output:?}");
        }
    }
}
