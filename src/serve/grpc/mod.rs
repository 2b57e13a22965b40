//! gRPC services: thin adapters that decode, call and encode.

pub mod native;
pub mod reapi;
