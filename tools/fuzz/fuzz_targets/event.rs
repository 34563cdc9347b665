#![no_main]
//! The event parser against a plain second one.
libfuzzer_sys::fuzz_target!(|body: &[u8]| millrace::event::fuzz(body));
