#![no_main]
//! The chunked decoder: the same content however its input is cut.
libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::http::fuzz::chunked(input));
