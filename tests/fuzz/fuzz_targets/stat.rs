#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| platform::peer::fuzzing::stat(bytes));
