//! Names of blobs in ByteStream.

#![no_main]

libfuzzer_sys::fuzz_target!(|name: &str| envserve::serve::grpc::reapi::properties::resource_name(name));
