//! The challenge client.
fn main() {}
