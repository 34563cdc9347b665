//! Every bound and time-out of the server, in one leaf that depends on nothing.
//!
//! Names end in their unit. What an operator may change is an option whose default stands here.

// The event body.

/// Bytes a user id may have after unescaping; its smallest length is 1.
pub const USER_ID_BYTES_MAX: usize = 256;
/// Levels of arrays and objects a skipped member's value may be nested.
pub const JSON_DEPTH_MAX: usize = 128;

// The request, RFC 9112.

/// Bytes of a request line without its CRLF; a longer one is answered `414`.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a header section with its line ends; a longer one is answered `431`.
pub const HEADER_SECTION_BYTES_MAX: usize = 16 * 1024;
/// Field lines of a header section; more are answered `431`.
pub const FIELD_COUNT_MAX: usize = 100;
/// Bytes of a request's content, unless `--max-body` says otherwise; more is answered `413`.
pub const BODY_BYTES_MAX_DEFAULT: usize = 64 * 1024;

// Time-outs, each an option's default.

/// A whole header section, from its first byte.
pub const HEADER_TIMEOUT_S_DEFAULT: u64 = 10;
/// A whole body, from its first byte.
pub const BODY_TIMEOUT_S_DEFAULT: u64 = 30;
/// A connection between two requests.
pub const IDLE_TIMEOUT_S_DEFAULT: u64 = 75;
/// A peer that does not read its answers.
pub const WRITE_TIMEOUT_S_DEFAULT: u64 = 30;
/// A stop, until what is still in flight is cut off.
pub const DRAIN_TIMEOUT_S_DEFAULT: u64 = 10;

// Sockets.

/// Length of each listen queue unless `--backlog` says otherwise.
pub const BACKLOG_DEFAULT: u32 = 4096;
/// The port unless `--listen` says otherwise.
pub const PORT_DEFAULT: u16 = 8080;

// What options may ask for at most: beyond it, a number is a slip of the hand.

/// Worker threads.
pub const WORKERS_MAX: usize = 1_024;
/// Length of a listen queue; the kernel cuts it further, to `net.core.somaxconn`.
pub const BACKLOG_MAX: u32 = 65_535;
/// Connections at a time; above any descriptor limit in use.
pub const CONNECTIONS_MAX: usize = 10_000_000;
/// Bytes of a request's content.
pub const BODY_BYTES_MAX: usize = 1 << 30;
/// Any time-out: a day.
pub const TIMEOUT_S_MAX: u64 = 86_400;

// The log.

/// Lines one place in the code may write in a window of time; the rest is counted only.
pub const LOG_LINES_PER_SITE_MAX: u32 = 10;
/// The length of that window.
pub const LOG_WINDOW_S: u64 = 10;
/// Bytes of a field's value before it is cut.
pub const LOG_VALUE_BYTES_MAX: usize = 256;
