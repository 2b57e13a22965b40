//! envserve: prepared environments as a service.
//!
//! Floors, each of which uses only those below it:
//!
//! ```text
//! cli
//! serve, client
//! environment
//! execute, source
//! instance
//! checkpoint
//! container
//! nix, oci
//! host
//! store
//! transport
//! spec
//! digest
//! ```
//!
//! docs/architecture.md in the repository has the picture.

pub mod checkpoint;
pub mod cli;
pub mod client;
pub mod container;
pub mod digest;
pub mod environment;
pub mod execute;
pub mod host;
pub mod instance;
pub mod nix;
pub mod oci;
pub mod proto;
pub mod serve;
pub mod source;
pub mod spec;
pub mod store;
pub mod transport;
