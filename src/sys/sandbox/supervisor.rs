//! What the main thread and its helpers may do besides what workers may: hand over to a successor, go
//! on if that fails, and talk to the service manager.
//!
//! None of these threads reads what a client has sent, but workers can write to the memory of all of
//! them. So an intruder has these calls too, in the end; the comments say what they are worth. What
//! these threads cannot do, he cannot do either: start a program, open a file, make a socket of the
//! network, connect one, or signal another process.

use super::filter::Check::{Is, OneOf, Only};
use super::filter::{Rule, any, some};

const SOCKET: u32 = libc::SOL_SOCKET as u32;
const TCP: u32 = libc::IPPROTO_TCP as u32;
const STREAM: u32 = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u32;
const EVENTFD: u32 = libc::EFD_CLOEXEC as u32;

/// The calls. They come before those of workers, so that a row here replaces one there.
pub const RULES: &[Rule<'static>] = &[
    // For: the channel to a successor, and the token. Leaves: pairs of sockets within the process.
    some(libc::SYS_socketpair, &[&[Is(0, libc::AF_UNIX as u32), Is(1, STREAM), Is(2, 0)]]),
    some(libc::SYS_eventfd2, &[&[OneOf(0, &[0, 1]), Only(1, EVENTFD | libc::EFD_NONBLOCK as u32)]]),
    // For: descriptors that travel to the successor and to the starter. Leaves: giving any descriptor
    // to the starter's program, and messages to the service manager. A connection of TCP cannot be
    // opened without `MSG_FASTOPEN`, and the one socket without connections is the manager's, by which
    // any other datagram socket can be reached that the user may write to.
    some(libc::SYS_sendmsg, &[&[Is(2, libc::MSG_NOSIGNAL as u32)]]),
    some(libc::SYS_recvmsg, &[&[Is(2, libc::MSG_CMSG_CLOEXEC as u32)]]),
    some(libc::SYS_recvfrom, &[&[Only(3, libc::MSG_PEEK as u32), Is(4, 0), Is(5, 0)]]),
    // For: hanging the channel up, so that both ends see it. Leaves: ending listening sockets.
    some(libc::SYS_shutdown, &[&[OneOf(1, &[libc::SHUT_WR as u32, libc::SHUT_RDWR as u32])]]),
    // For: time-outs of the channel; sockets that this process takes back after a failed restart.
    // Leaves: other time-outs, and options that cost the kernel nothing.
    some(
        libc::SYS_setsockopt,
        &[
            &[
                Is(1, SOCKET),
                OneOf(
                    2,
                    &[libc::SO_RCVTIMEO as u32, libc::SO_SNDTIMEO as u32, libc::SO_SNDBUF as u32],
                ),
            ],
            &[Is(1, TCP), OneOf(2, &[libc::TCP_NODELAY as u32, libc::TCP_NOTSENT_LOWAT as u32])],
        ],
    ),
    some(
        libc::SYS_getsockopt,
        &[&[
            Is(1, SOCKET),
            OneOf(2, &[libc::SO_ACCEPTCONN as u32, libc::SO_TYPE as u32, libc::SO_ERROR as u32]),
        ]],
    ),
    any(libc::SYS_getsockname),
    // For: copies of the channel and of listening sockets, which must not block. Leaves: copies of
    // any descriptor. No `O_ASYNC`, which makes the kernel send signals.
    some(
        libc::SYS_fcntl,
        &[
            &[OneOf(
                1,
                &[libc::F_GETFD as u32, libc::F_GETFL as u32, libc::F_DUPFD_CLOEXEC as u32],
            )],
            &[Is(1, libc::F_SETFL as u32), Only(2, (libc::O_RDWR | libc::O_NONBLOCK) as u32)],
        ],
    ),
    // For: workers that start again after a failed restart, which confine themselves. Leaves:
    // stricter filters, no rights.
    some(libc::SYS_epoll_create1, &[&[Is(0, libc::EPOLL_CLOEXEC as u32)]]),
    some(libc::SYS_sched_setaffinity, &[&[Is(0, 0)]]),
    some(
        libc::SYS_prctl,
        &[&[OneOf(0, &[libc::PR_SET_NAME as u32, libc::PR_SET_NO_NEW_PRIVS as u32])]],
    ),
    any(libc::SYS_capset),
    some(libc::SYS_seccomp, &[&[Is(0, libc::SECCOMP_SET_MODE_FILTER), Only(1, SPECULATION)]]),
    any(libc::SYS_landlock_create_ruleset),
    any(libc::SYS_landlock_restrict_self),
    // For: fetching signals, and ending by the signal that an operator has sent. Leaves: other
    // handlers for signals of this process.
    any(libc::SYS_rt_sigtimedwait),
    any(libc::SYS_rt_sigaction),
    // For: sigqueue(3), which signs its signal. Leaves: the number of the user.
    any(libc::SYS_getuid),
];

/// Further calls of a process with a state directory, whose journal the main thread closes at the end,
/// packs for a successor and opens again after a failed restart.
pub const STATE: &[Rule<'static>] = &[
    // For: opening files, and making those that are missing. Leaves: the files of the state directory;
    // without Landlock, every file of the user.
    any(libc::SYS_openat),
    any(libc::SYS_statx),
    any(libc::SYS_newfstatat),
    any(libc::SYS_flock),
    any(libc::SYS_geteuid),
    // For: the journal. Leaves: spoiling it.
    any(libc::SYS_pwrite64),
    any(libc::SYS_fdatasync),
    any(libc::SYS_fsync),
];

/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`. Other flags would let one thread judge the calls of another, or
/// confine all of them.
const SPECULATION: u32 = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32;
