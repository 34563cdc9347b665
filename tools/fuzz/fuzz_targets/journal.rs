#![no_main]
//! A state directory with any contents: refused or read, never mistaken; and salvaged, it can be read.
libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::journal::fuzz::directory(input));
