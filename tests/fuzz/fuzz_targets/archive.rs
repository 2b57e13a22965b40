//! Archives.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| envserve::source::archive_properties::archive(bytes));
