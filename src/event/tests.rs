//! The room from outside.

mod many_properties;
mod many_rows;
mod properties;
mod rows;
