//! envserve: prepared environments as a service.
//!
//! Programs use the module [`client`]: it does what the command `envserve` does, and its first page has an example. The
//! other modules are the program itself, for which nothing is promised. Floors, each of which uses only those below it:
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
//! docs/architecture.md in the repository has the picture, docs/library.md more of the library.

pub mod client;

#[doc(hidden)]
pub mod checkpoint;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod container;
#[doc(hidden)]
pub mod digest;
#[doc(hidden)]
pub mod environment;
#[doc(hidden)]
pub mod execute;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod instance;
#[doc(hidden)]
pub mod nix;
#[doc(hidden)]
pub mod oci;
#[doc(hidden)]
pub mod proto;
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod source;
#[doc(hidden)]
pub mod spec;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod transport;
