//! Which system calls a confined thread may make, and with which arguments.
//!
//! The comment above each row of [`RULES`] says what needs the call ("for") and what a worker that an
//! intruder controls can do with it ("leaves"). docs/security.md has the same table with the reasons
//! at length; a test compares the names. To give workers a further call, add a row to both.
//!
//! Descriptors are not checked, except those of the journal, because clients' connections can have any
//! number. "Any descriptor" below means any that the process has opened. There are few kinds of them:
//! sockets, standard streams, and what a scrape reads of `/proc`.

use super::filter::Check::{Between, Is, OneOf, Only};
use super::filter::{Rule, any, no_file, some, some_or_die};

const READ_WRITE: u32 = (libc::PROT_READ | libc::PROT_WRITE) as u32;
const ANONYMOUS: u32 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u32;
const STACK: u32 = libc::MAP_STACK as u32;
const NO_RESERVE: u32 = libc::MAP_NORESERVE as u32;
const PRIVATE: u32 = libc::FUTEX_PRIVATE_FLAG as u32;
const REALTIME: u32 = libc::FUTEX_CLOCK_REALTIME as u32;
const ACCEPT_FLAGS: u32 = (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u32;
/// What pthread_create(3) asks for: a thread of this process that shares everything.
const THREAD: u32 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID) as u32;
/// A flag that musl adds and the kernel ignores.
const DETACHED: u32 = libc::CLONE_DETACHED as u32;
/// `MADV_GUARD_INSTALL` and `MADV_GUARD_REMOVE` of Linux 6.13, for the guard pages of stacks.
const MADV_GUARDS: [u32; 2] = [102, 103];
/// Clocks of the system and of the process. Larger numbers are clocks of other processes or devices.
const CLOCK_LAST: u32 = libc::CLOCK_BOOTTIME as u32;

/// The limit of open files; its type differs between C libraries.
#[allow(clippy::unnecessary_cast)]
const OPEN_FILES: u32 = libc::RLIMIT_NOFILE as u32;
/// Flags by which open(2) would change something.
const OPEN_TO_CHANGE: u32 =
    (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u32;

/// The calls. Those that are frequent and have arguments to check come first, because the program is
/// a list of comparisons; the kernel does not run it at all for a call that is allowed in any case.
pub const RULES: &[Rule<'static>] = &[
    // For: every request. Leaves: reading any connection. No `MSG_OOB` or `MSG_ERRQUEUE`, which are
    // rarely used parts of the kernel, and no address to write to.
    some(libc::SYS_recvfrom, &[&[Is(3, 0), Is(4, 0), Is(5, 0)]]),
    // For: every answer. Leaves: writing to any connection. An address, or `MSG_FASTOPEN`, would open
    // a connection to a place that the worker chooses.
    some_or_die(libc::SYS_sendto, &[&[Is(3, libc::MSG_NOSIGNAL as u32), Is(4, 0), Is(5, 0)]]),
    // For: waiting. Leaves: waiting. glibc on x86-64 uses the first, all others the second, without
    // a signal mask.
    #[cfg(target_arch = "x86_64")]
    any(libc::SYS_epoll_wait),
    some(libc::SYS_epoll_pwait, &[&[Is(4, 0)]]),
    // For: locks, and waiting for other threads. Leaves: waking threads too often or never. The
    // operations with priority inheritance have no use here and a history of kernel bugs.
    some(
        libc::SYS_futex,
        &[&[OneOf(
            1,
            &[
                libc::FUTEX_WAIT as u32,
                libc::FUTEX_WAKE as u32,
                libc::FUTEX_WAIT as u32 | PRIVATE,
                libc::FUTEX_WAKE as u32 | PRIVATE,
                libc::FUTEX_WAIT_BITSET as u32 | PRIVATE,
                libc::FUTEX_WAKE_BITSET as u32 | PRIVATE,
                libc::FUTEX_WAIT_BITSET as u32 | REALTIME,
                libc::FUTEX_WAIT_BITSET as u32 | PRIVATE | REALTIME,
            ],
        )]],
    ),
    // For: new connections. Leaves: taking clients from any listening socket of the process.
    some(libc::SYS_accept4, &[&[Is(3, ACCEPT_FLAGS)]]),
    // For: the end of a connection. Leaves: ending any connection. `SHUT_RD` would end a listening
    // socket, which could then be used for another purpose.
    some(libc::SYS_shutdown, &[&[Is(1, libc::SHUT_WR as u32)]]),
    // For: watching sockets. Leaves: that no worker notices its sockets any more.
    any(libc::SYS_epoll_ctl),
    // For: every connection's end. Leaves: closing any descriptor, also to give its number to a
    // client's connection. The main thread writes log lines to 1 and 2 and notices nothing.
    any(libc::SYS_close),
    // For: wake-ups (eventfd), the log threads. Leaves: reading and writing any open descriptor, such as
    // forged log lines. glibc writes its last words with `writev`.
    any(libc::SYS_read),
    any(libc::SYS_write),
    any(libc::SYS_writev),
    // For: the allocator and stacks. Leaves: using up memory, unmapping what others use. Nothing
    // executable, no file, and nothing in place of an existing mapping.
    some_or_die(
        libc::SYS_mmap,
        &[&[
            Only(2, READ_WRITE),
            OneOf(
                3,
                &[
                    ANONYMOUS,
                    ANONYMOUS | STACK,
                    ANONYMOUS | NO_RESERVE,
                    ANONYMOUS | STACK | NO_RESERVE,
                ],
            ),
        ]],
    ),
    some_or_die(libc::SYS_mprotect, &[&[Only(2, READ_WRITE)]]),
    some(libc::SYS_mremap, &[&[Is(3, libc::MREMAP_MAYMOVE as u32)]]),
    some(
        libc::SYS_madvise,
        &[&[OneOf(
            2,
            &[
                libc::MADV_DONTNEED as u32,
                libc::MADV_FREE as u32,
                libc::MADV_HUGEPAGE as u32,
                libc::MADV_NOHUGEPAGE as u32,
                MADV_GUARDS[0],
                MADV_GUARDS[1],
            ],
        )]],
    ),
    any(libc::SYS_munmap),
    any(libc::SYS_brk),
    // For: clocks, where the kernel does not share its page. Leaves: reading the clocks.
    some(libc::SYS_clock_gettime, &[&[Between(0, 0, CLOCK_LAST)]]),
    // For: the log threads, which try again after a pause. Leaves: sleeping.
    some(libc::SYS_clock_nanosleep, &[&[Between(0, 0, CLOCK_LAST)]]),
    any(libc::SYS_nanosleep),
    // For: std's and the C library's hash keys. Leaves: random numbers.
    any(libc::SYS_getrandom),
    // For: a reader of the statistics that waits for a writer. Leaves: nothing.
    any(libc::SYS_sched_yield),
    // For: a scrape, of descriptors that were opened before. Leaves: reading those again, and other
    // descriptors from their beginning, of which none is a file.
    any(libc::SYS_pread64),
    any(libc::SYS_fstat),
    any(libc::SYS_lseek),
    any(libc::SYS_getdents64),
    // For: the limit of descriptors in a scrape. Leaves: reading that limit, which a null pointer in
    // the third argument cannot change.
    some(libc::SYS_prlimit64, &[&[Is(0, 0), Is(1, OPEN_FILES), Is(2, 0)]]),
    // For: connections that come from another process. Leaves: addresses of clients.
    any(libc::SYS_getpeername),
    // For: the small send queue of a dashboard's connection; acknowledging the first piece of a request
    // at once. Leaves: send queues of another size, and more packets.
    some(
        libc::SYS_setsockopt,
        &[
            &[Is(1, libc::SOL_SOCKET as u32), Is(2, libc::SO_SNDBUF as u32)],
            &[Is(1, libc::IPPROTO_TCP as u32), Is(2, libc::TCP_QUICKACK as u32)],
        ],
    ),
    // For: how much a client has taken. Leaves: the same for any socket. Other requests could make
    // the kernel send signals (`FIOASYNC`, `FIOSETOWN`) or type into a terminal (`TIOCSTI`).
    some(libc::SYS_ioctl, &[&[Is(1, libc::TIOCOUTQ as u32)]]),
    // For: std's check of a descriptor that is closed, in debug builds. Leaves: nothing. Other
    // commands could make the kernel send signals (`F_SETOWN`, `F_SETSIG`, `O_ASYNC`).
    some(libc::SYS_fcntl, &[&[Is(1, libc::F_GETFD as u32)]]),
    // For: the descriptor that is kept in reserve. Leaves: using up descriptors.
    some(libc::SYS_eventfd2, &[&[Is(0, 0), Is(1, libc::EFD_CLOEXEC as u32)]]),
    // For: a thread that frees the users of a reset; allocation in it. Leaves: using up threads,
    // which are confined like the worker. `clone3` has its flags in memory, where they cannot be
    // checked; C libraries go back to `clone`.
    some_or_die(libc::SYS_clone, &[&[OneOf(0, &[THREAD, THREAD | DETACHED])]]),
    some(libc::SYS_prctl, &[&[Is(0, libc::PR_SET_NAME as u32)]]),
    any(libc::SYS_sched_getaffinity),
    any(libc::SYS_set_robust_list),
    any(libc::SYS_rseq),
    any(libc::SYS_sigaltstack),
    any(libc::SYS_rt_sigprocmask),
    any(libc::SYS_gettid),
    any(libc::SYS_exit),
    // For: the end of the process by abort(3) or by std's handler for a bad address, which restores
    // the default and returns to the faulty instruction. Leaves: handlers for these signals, which
    // run code that is there already; ending the process.
    any(libc::SYS_getpid),
    some(
        libc::SYS_rt_sigaction,
        &[&[OneOf(0, &[libc::SIGABRT as u32, libc::SIGBUS as u32, libc::SIGSEGV as u32])]],
    ),
    any(libc::SYS_rt_sigreturn),
    any(libc::SYS_restart_syscall),
    any(libc::SYS_exit_group),
    // Not allowed, but not deadly either: glibc now and then looks for a setting of the kernel, and
    // does without it.
    no_file(libc::SYS_openat, &[&[Only(2, !OPEN_TO_CHANGE)]]),
    #[cfg(target_arch = "x86_64")]
    no_file(libc::SYS_open, &[&[Only(1, !OPEN_TO_CHANGE)]]),
];

/// Calls by which an intruder shows. No library makes them by itself.
pub const DEADLY: &[libc::c_long] = &[
    // Programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    // Signals.
    libc::SYS_kill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    // Sockets.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    // Files.
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_memfd_create,
    // The view of the system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Other rights.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    // Rich parts of the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

/// The same in the numbers that younger processors do not have.
#[cfg(target_arch = "x86_64")]
pub const DEADLY_OF_OLD: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_creat,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
];
#[cfg(not(target_arch = "x86_64"))]
pub const DEADLY_OF_OLD: &[libc::c_long] = &[];
