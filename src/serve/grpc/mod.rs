//! gRPC services: thin adapters that decode, call and encode.

pub mod native;
pub(crate) mod proxy;
pub mod reapi;
