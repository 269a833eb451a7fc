#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oidc::fuzzing::token_answer(bytes));
