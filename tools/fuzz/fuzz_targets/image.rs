#![no_main]
//! The reader of images of the statistics: any damage is refused.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    millrace::stats::image::fuzz(input);
});
