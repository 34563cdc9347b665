#![no_main]
//! Many events in one body: for each event the verdict that it has alone.
libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::event::fuzz_events(input));
