//! Feeds any bytes to `reconciled::fuzzing::openapi`, which says what must hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reconciled::fuzzing::openapi(data));
