//! gRPC services: thin adapters that decode, call and encode.

pub(crate) mod just;
pub mod native;
pub(crate) mod proxy;
pub mod reapi;
