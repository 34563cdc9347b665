//! How important an event is, and the formats of a line.

/// How important an event is; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something is lost or does not work.
    Error,
    /// Something is refused or degraded, and the server goes on.
    Warn,
    /// News for an operator on a usual day.
    Info,
    /// Details for a developer.
    Debug,
}

impl Level {
    /// All levels with the names they have on the command line and in the log.
    pub const NAMES: [(&str, Self); 4] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];

    /// The name in the log.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// `2026-11-23T20:00:00.123Z WARN  accept failed error="too many open files"`
    Text,
    /// `{"ts":"2026-11-23T20:00:00.123Z","level":"warn","message":"accept failed",…}`
    Json,
}

impl Format {
    /// Both formats with the names they have on the command line.
    pub const NAMES: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}
