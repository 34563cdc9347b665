#![no_main]
//! A connection's protocol state: the same requests however its input is cut.
libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::http::fuzz::exchange(input));
