//! millrace: an event counter that speaks HTTP.
fn main() {}
