//! Frames → decoder, flows, parsers, any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| yukue::testing::fuzz::frames(data));
