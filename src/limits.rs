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
/// Bytes of a chunk's first line, with its extensions and line end (RFC 9112, 7.1.1 asks for a bound).
pub const CHUNK_LINE_BYTES_MAX: usize = 1024;
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
