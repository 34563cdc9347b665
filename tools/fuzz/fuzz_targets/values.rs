#![no_main]
//! Lists, weights, authorities and targets: the properties of each reading.
libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::http::fuzz::values(input));
