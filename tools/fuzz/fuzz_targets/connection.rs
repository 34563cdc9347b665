#![no_main]
//! A whole connection with the real handler: the same answers, and the right count, however bytes
//! come and go.
libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::app::fuzz::connection(input));
