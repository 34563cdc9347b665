//! The phases of a connection: it is open, then it ends in steps. `ending` explains the steps.

use crate::server::meters::Closed;

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Requests are read and answered.
    Open,
    /// The last answer is on its way out.
    Ending(Closed),
    /// The last answer and our FIN have left.
    Lingering(Lingering),
}

/// A connection that waits for its peer to close.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lingering {
    pub reason: Closed,
    /// Bytes that the peer may still send.
    pub left_bytes: usize,
}
