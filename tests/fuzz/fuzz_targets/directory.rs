//! Directory blobs.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| envserve::serve::grpc::reapi::properties::directory(bytes));
