//! Every bound and time-out of the server, in one leaf that depends on nothing.
//!
//! Names end in their unit. Where an operator may change a bound, its option is in `options`, and the
//! default is here.

// The event body.

/// Bytes a user id may have after unescaping; its smallest length is 1.
pub const USER_ID_BYTES_MAX: usize = 256;
/// Levels of arrays and objects that the value of a skipped member may have.
pub const JSON_DEPTH_MAX: usize = 128;

/// Events of `/event` that a worker commits together. With fewer, each event bears more of the cost of a
/// section. With more, a reader that waits for a section waits longer than some microseconds.
pub const BATCH_EVENTS_MAX: usize = 64;
/// The same if each commit is written to the state directory: nearly always all events of a round.
pub const KEPT_BATCH_EVENTS_MAX: usize = 1024;
/// The same if each commit waits for a sync. One sync should serve as many clients as possible. A worker
/// publishes 4,096 new users in about a millisecond.
pub const SYNCED_BATCH_EVENTS_MAX: usize = 4096;
/// Events for which a batch keeps room from one commit to the next.
pub const BATCH_EVENTS_KEPT_MAX: usize = 16 * 1024;
/// Events whose ids a worker looks up in one section.
pub const SECTION_EVENTS_MAX: usize = 64;

/// Bytes of a set of users that a reset frees itself, which takes about a millisecond. A thread of its
/// own frees a larger set.
pub const RESET_DROP_BYTES_MAX: usize = 8 << 20;

// The request, RFC 9112.

/// Empty lines before a request line that are ignored (RFC 9112, 2.2); one more is answered `400`.
pub const EMPTY_LINES_MAX: usize = 8;
/// Bytes of a request line without its CRLF; a longer one is answered `414`.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a header section with its line ends; a longer one is answered `431`.
pub const HEADER_SECTION_BYTES_MAX: usize = 16 * 1024;
/// Field lines of a header section; more are answered `431`.
pub const FIELD_COUNT_MAX: usize = 100;
/// Bytes of a head, without the digits of its length, that a worker remembers. It recognizes the next
/// head that is equal, and need not parse it. Longer heads are always parsed.
pub const REMEMBERED_HEAD_BYTES_MAX: usize = 512;
/// Digits that the length in a remembered head may have; a head with more is always parsed.
pub const REMEMBERED_DIGITS_MAX: usize = 9;
/// Copies of the usual answer that stand ready one behind another, to be copied in one step.
pub const PREPARED_ANSWERS: usize = 16;
/// Bytes of a chunk's first line, with its extensions and line end (RFC 9112, 7.1.1 asks for a bound).
pub const CHUNK_LINE_BYTES_MAX: usize = 1024;
/// Bytes of a request's content, unless `--max-body` says otherwise; more is answered `413`.
pub const BODY_BYTES_MAX_DEFAULT: usize = 64 * 1024;

// Many events in one request.

/// Events of one request of `/events`, unless `--max-batch-events` says otherwise; more are answered
/// `413`. A worker parses and counts 2,000 in less than a millisecond.
pub const MANY_EVENTS_MAX_DEFAULT: usize = 2_000;
/// Bytes of content at `/events` that a worker reads in one turn; it then finishes the event that it is
/// reading. The costliest bytes take 2.3 ns each, so other clients wait less than half a millisecond.
pub const MANY_SLICE_BYTES: usize = 128 * 1024;
/// Bytes of the costliest content at `/events` that take as long as one event of `/event`.
pub const COST_CONTENT_BYTES: usize = 32;
/// Bytes of one request's content at `/events`, unless `--max-batch-body` says otherwise; more is
/// answered `413`.
pub const MANY_BYTES_MAX_DEFAULT: usize = 1024 * 1024;

// Time-outs, each an option's default.

/// How long a client may take to send a header section, from its first byte.
pub const HEADER_TIMEOUT_S_DEFAULT: u64 = 10;
/// How long a client may take to send a body, from its first byte.
pub const BODY_TIMEOUT_S_DEFAULT: u64 = 30;
/// How long a connection may stay open without a request.
pub const IDLE_TIMEOUT_S_DEFAULT: u64 = 75;
/// How long a peer may read fewer than [`WRITE_PROGRESS_BYTES_MIN`] bytes of its answers.
pub const WRITE_TIMEOUT_S_DEFAULT: u64 = 30;
/// How long a stop waits for requests in flight before it closes their connections.
pub const DRAIN_TIMEOUT_S_DEFAULT: u64 = 10;

// Sockets.

/// Length of each listen queue unless `--backlog` says otherwise.
pub const BACKLOG_DEFAULT: u32 = 4096;
/// The port unless `--listen` says otherwise.
pub const PORT_DEFAULT: u16 = 8080;

// A worker's loop.

/// Bytes that a worker receives from one connection in one turn. A client with many requests in flight
/// thus delays the other connections of its worker by no more than these.
pub const TURN_BYTES_MAX: usize = 16 * 1024;
/// What the requests of one connection may cost in one turn; the next connection has its turn then. One
/// event of `/event` costs 1, which is about 70 ns.
pub const TURN_COST_MAX: u32 = 256;
/// What the connections that asked for more than one turn may cost together in one round: about half a
/// millisecond. The next round first serves the connections that have become ready meanwhile.
pub const ROUND_COST_MAX: u32 = 8_192;
/// What receiving and sending cost in one turn, in the unit of [`TURN_COST_MAX`].
pub const TURN_COST: u32 = 64;
/// Bytes of an answer that cost as much as one event.
pub const COST_ANSWER_BYTES: usize = 256;
/// Bytes of answers that one turn may write, without the last answer; it follows from [`TURN_COST_MAX`].
/// The client must read them before the next turn writes more.
pub const TURN_ANSWER_BYTES_MAX: usize = TURN_COST_MAX as usize * COST_ANSWER_BYTES;
/// Bytes of answers that may wait for a commit, over all connections of a worker. The worker commits when
/// there are more.
pub const ROUND_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a connection's answers that the kernel may hold before it has sent them; about the answers
/// of two turns (`TCP_NOTSENT_LOWAT`, tcp(7)).
pub const UNSENT_BYTES_MAX: u32 = 128 * 1024;
/// Connections that a worker accepts in one round, before it serves those that it has.
pub const TURN_ACCEPTS_MAX: usize = 64;
/// Connections of a predecessor that a worker takes in in one round, before it serves those that it has.
/// Each may hold a long body, which the worker reads again.
pub const TURN_ARRIVALS_MAX: usize = 4;
/// Readiness events that a worker takes from the kernel in one call.
pub const POLL_EVENTS_MAX: usize = 1024;
/// Bytes of the smallest buffer that a worker lends to a connection for what a turn leaves over.
pub const LENT_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes of buffers that a worker keeps for later: 64 lists of 1,000 events each. More go back to the
/// system.
pub const POOLED_BYTES_MAX: usize = 4 << 20;
/// Bytes of its answers that a peer must read within each write time-out, or its connection is closed. A
/// client on a slow line reads far more. A peer that reads one byte at a time only holds a connection.
pub const WRITE_PROGRESS_BYTES_MIN: usize = 4 * 1024;
/// How often within a write time-out the worker checks whether the peer reads. With this number, a peer
/// that does not read is closed after 5/4 of the time-out at the latest; more checks find it sooner.
pub const WRITE_CHECKS: u32 = 4;
/// How long after its last answer a connection may stay, so that the peer can read that answer
/// before a reset destroys it (RFC 9112, 9.6).
pub const LINGER_TIMEOUT_MS: u64 = 2_000;
/// Bytes that a peer may still send after its last answer, which are thrown away: a client that sends a
/// body which is too large often reads nothing before it has sent all of it.
pub const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Clients of a worker that get `503` and time to read it, at the same time. Further ones get `503` and
/// are closed at once. Each of them needs a descriptor.
pub const REFUSED_LINGERING_MAX: usize = 32;
/// The `Retry-After` of an answer `503`.
pub const RETRY_AFTER_S: u32 = 1;
/// Connections that fail in a row while they are accepted, before the worker makes a pause. So long a
/// run of errors hardly comes from the network.
pub const ACCEPT_LOSSES_MAX: u32 = 16;
/// Pause before a listener that ran out of descriptors or memory tries again.
pub const ACCEPT_RETRY_MS: u64 = 100;
/// How late a time-out may fire.
pub const REARM_GRANULARITY_MS: u64 = 100;
/// Descriptors that connections may not use: for the standard streams, the logs, and some to spare.
pub const DESCRIPTORS_RESERVED: usize = 32;
/// Descriptors of a worker besides its connections: listener, poll, waker, the reserve,
/// and clients that are being refused.
pub const DESCRIPTORS_PER_WORKER: usize = 4 + REFUSED_LINGERING_MAX;
/// Connections of operators at the address of `--admin-listen`: tools, scrapes, and dashboards.
/// Clients cannot use their descriptors up.
pub const ADMIN_CONNECTIONS_MAX: usize = 128;

/// A line of the log warns at the start if the limit of open files leaves room for fewer connections than
/// this.
pub const CONNECTIONS_COMMON: usize = 10_000;

// The address space that a start needs. Little of it becomes memory at once.

/// Without the workers: an empty set of users, the logs, and some threads.
pub const START_BYTES: usize = 88 * 1024 * 1024;
/// For each worker: its stack, its poll loop and its buffers.
pub const START_BYTES_PER_WORKER: usize = 3 * 1024 * 1024;

// The largest numbers that options accept. A larger one is a typing error.

/// Worker threads.
pub const WORKERS_MAX: usize = 1_024;
/// Length of a listen queue; the kernel cuts it further, to `net.core.somaxconn`.
pub const BACKLOG_MAX: u32 = 65_535;
/// Connections at a time; above any descriptor limit in use.
pub const CONNECTIONS_MAX: usize = 10_000_000;
/// Bytes of a request's content, also at `/events`.
pub const BODY_BYTES_MAX: usize = 1 << 30;
/// Events of one request of `/events`; each takes at least 26 bytes.
pub const MANY_EVENTS_MAX: usize = 10_000_000;
/// Any time-out: a day.
pub const TIMEOUT_S_MAX: u64 = 86_400;

// The logs.

/// Lines that one place in the code may write in a window of time; further ones are counted only.
pub const LOG_LINES_PER_SITE_MAX: u32 = 10;
/// The length of that window.
pub const LOG_WINDOW_S: u64 = 10;
/// Bytes of a field's value before it is cut.
pub const LOG_VALUE_BYTES_MAX: usize = 256;
/// Bytes that leave in one write to a pipe, or the like: Linux's `PIPE_BUF`. A longer line, which does
/// not occur in practice, leaves in a longer write.
pub const LOG_LINE_BYTES_MAX: usize = 4096;
/// Bytes that leave in one write to a file.
pub const LOG_WRITE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the main log that wait to be written; further lines are dropped.
pub const LOG_QUEUE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the access log that wait to be written: about what the busiest server makes in 200 ms.
pub const ACCESS_LOG_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the access log that a worker gathers before it passes them on, if its round is not over
/// before.
pub const ACCESS_LOG_BUFFER_BYTES: usize = 16 * 1024;
/// Bytes of the path in a line of the main log about a refused request.
pub const DEBUG_LOG_PATH_BYTES_MAX: usize = 256;
/// Bytes of the request target in a line of the access log.
pub const ACCESS_LOG_TARGET_BYTES_MAX: usize = 2_048;
/// Bytes of the referrer, and of the user agent, in a line of the access log.
pub const ACCESS_LOG_FIELD_BYTES_MAX: usize = 900;
/// How long lines of the access log are gathered to leave in one write.
pub const ACCESS_LOG_GATHER_MS: u64 = 2;
/// The pause before the next attempt to write to an output that is full and does not block.
pub const LOG_RETRY_MS: u64 = 20;
/// The time between two warnings that lines of the access log are dropped.
pub const LOG_LOSS_WARNING_S: u64 = 60;
/// How long the end of the process waits for a log that takes nothing.
pub const LOG_PROGRESS_MS: u64 = 1_000;
/// How long the end of the process waits for a log that takes something now and then.
pub const LOG_FINISH_MS: u64 = 5_000;

// A start with a state directory.

/// How long the end of a process, or a restart, waits for a thread that reads the journal's figures.
pub const KEEPER_PATIENCE_MS: u64 = 1_000;
/// The time between two lines of the log that report the progress of the recovery.
pub const RECOVERY_PROGRESS_MS: u64 = 1_000;

// The dashboard's stream.

/// The time from one reading of the dashboard to the next.
pub const LIVE_TICK_MS: u64 = 250;
/// Clients of the stream at the same time; further ones get `503`. Each costs about 5 µs of a processor
/// four times a second.
pub const STREAMS_MAX: u64 = 4_096;
/// Bytes that the kernel may hold for a client of the stream: the readings of some seconds. The kernel
/// doubles the number for its own needs.
pub const STREAM_SEND_QUEUE_BYTES: usize = 8 * 1024;
/// How soon a browser may come back when its stream has ended.
pub const LIVE_RETRY_MS: u64 = 1_000;
/// How long a client of the stream may read nothing before its connection is closed.
pub const STREAM_STALL_MS: u64 = 30_000;

// `--health`: the check of a running server.

/// How long it may take to connect and to answer, together.
pub const HEALTH_TIMEOUT_MS: u64 = 5_000;
/// Bytes of an answer that are read.
pub const HEALTH_ANSWER_BYTES_MAX: usize = 64 * 1024;

// An image of the statistics.

/// Bytes of users' ids in one block of an image, without the last page of them.
pub const IMAGE_IDS_BYTES: usize = 64 * 1024;

// A stop.

/// How long the process waits for its workers after it has ordered them to end at once. A worker that
/// hangs must not keep the process from ending.
pub const STOP_PATIENCE_MS: u64 = 1_000;

// The service manager.

/// How long a message to the service manager may wait for room in its socket.
pub const NOTIFY_TIMEOUT_MS: u64 = 1_000;

// A restart.

/// How long a server waits until the process that starts its successor has done so.
pub const STARTER_PATIENCE_MS: u64 = 5_000;
/// How long a server and its successor wait for the next frame of the other one.
pub const HANDOVER_PATIENCE_MS: u64 = 5_000;
/// How long a hand-over may take in all while the server still serves: 50 million users take some
/// twenty seconds.
pub const HANDOVER_TIMEOUT_MS: u64 = 300_000;
/// How long a hand-over may take from the moment at which the workers stop until the successor serves.
pub const HANDOVER_PAUSE_MS: u64 = 5_000;
/// Bytes of a frame's content.
pub const HANDOVER_FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes that a connection may hold if it is to move before the successor serves.
pub const HANDOVER_EARLY_CONNECTION_BYTES_MAX: usize = 4 * 1024;
/// Bytes that all these connections together may hold: copying them takes some milliseconds.
pub const HANDOVER_EARLY_BYTES_MAX: usize = 8 << 20;
/// Rounds in which the server sends the users that have come meanwhile, before its workers stop.
pub const HANDOVER_ROUNDS_MAX: usize = 16;

// The journal.

/// Bytes of a record; an id of [`USER_ID_BYTES_MAX`] bytes with a few bytes of the caller's own fits.
pub const JOURNAL_RECORD_BYTES_MAX: usize = 320;
/// Bytes of the state that a commit carries; with the slot's own fields they fill one sector.
pub const JOURNAL_STATE_BYTES_MAX: usize = 448;
/// Lanes of a state directory, one for each worker.
pub const JOURNAL_LANES_MAX: usize = WORKERS_MAX;
/// Bytes of records that a lane gathers before it writes them ahead of the commit.
pub const JOURNAL_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Bytes of zeros that are written ahead of a lane's records at a time, at least.
pub const JOURNAL_GROWTH_BYTES_MIN: u64 = 1024 * 1024;
/// The same at most, for a lane that takes in new records quickly.
pub const JOURNAL_GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a worker waits in one round for more space on disk; then it refuses new records.
pub const JOURNAL_GROWTH_WAIT_MS: u64 = 50;
/// A lane that used its room up within this time gets twice as much the next time.
pub const JOURNAL_GROWTH_FAST_MS: u64 = 1_000;
/// A lane that took longer than this gets half as much.
pub const JOURNAL_GROWTH_SLOW_MS: u64 = 10_000;
/// How soon growth is tried again after the disk was full.
pub const JOURNAL_FULL_RETRY_MS: u64 = 1_000;

/// How long a thread waits after another thread's write has failed, so that the other one logs the error
/// and ends the process.
pub const FAILURE_CAUSE_WAIT_MS: u64 = 200;
/// From one checkpoint to the next.
pub const JOURNAL_CHECKPOINT_MS: u64 = 1_000;
/// Bytes of a cell's value; with what belongs to it, a fourth of a sector.
pub const JOURNAL_CELL_BYTES_MAX: usize = 80;
/// Cells of a lane, which then take 2 GiB.
pub const JOURNAL_CELLS_MAX: u32 = 1 << 22;
