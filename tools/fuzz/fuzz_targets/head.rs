#![no_main]
//! The head parser: the same verdict however its input is cut.
libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::http::fuzz::head(input));
