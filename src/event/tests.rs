//! The event body from outside.

mod properties;
mod rows;
