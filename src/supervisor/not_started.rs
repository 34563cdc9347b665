//! Why a process ends before it serves.

/// Names what ended a start.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// A signal has told the process to stop. It ends with success, as a server that stops does.
    Stopped,
    /// It cannot serve; a message for the operator.
    Failed(String),
}

impl From<String> for NotStarted {
    fn from(message: String) -> NotStarted {
        NotStarted::Failed(message)
    }
}
