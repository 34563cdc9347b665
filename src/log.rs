//! One line an event to standard error.
