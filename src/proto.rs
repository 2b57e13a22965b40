//! Generated messages and services: the native protocol, just's and the REAPI.
//!
//! Wire types only; each floor converts them to its own at its border.

/// The native protocol, generated from `proto/envserve/v1`.
pub mod v1 {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated; documented in the .proto file"
    )]
    tonic::include_proto!("envserve.v1");
}

/// The serve protocol of just, generated from `proto/justbuild`.
pub mod just {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated; documented in the .proto file"
    )]
    tonic::include_proto!("justbuild.just_serve");
}

pub use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
pub use bazel_remote_apis::build::bazel::semver;
pub use bazel_remote_apis::google::{bytestream, longrunning, protobuf, rpc};
