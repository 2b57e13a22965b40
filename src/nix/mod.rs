//! The formats of Nix: store paths, derivations, what a builder is given, archives, references, binary caches.
//!
//! Pure functions over bytes and over trees in a CAS, and the table of the objects that lie there. Nothing here
//! evaluates, builds or asks a network.

mod aterm;
pub mod base32;
mod derivation;
mod environment;
mod hash;
mod nar;
mod narinfo;
mod path_info;
mod references;
mod registration;
mod signing;
mod store_path;
#[cfg(test)]
mod tests;
mod unsupported;
mod valid_paths;

pub use derivation::{Derivation, DerivationError, HashMethod, MAX_DERIVATION_BYTES, Output, OutputKind};
pub use environment::{BuilderEnvironment, BuilderSettings, EnvironmentError};
pub use hash::{HashAlgorithm, HashError, NixHash};
pub use nar::{NarError, Unpacked, nar_facts, send_nar, unpack_nar, write_nar};
pub use narinfo::{Compression, MAX_NARINFO_BYTES, NarInfo, NarInfoError};
pub use path_info::PathInfo;
pub use references::ReferenceScanner;
pub use registration::{Registration, RegistrationError, registration};
pub use signing::{PublicKey, SecretKey, Signature, SigningError};
pub use store_path::{HASH_PART_LEN, MAX_NAME_LEN, STORE_DIRECTORY, StorePath, StorePathError};
pub use unsupported::Unsupported;
pub use valid_paths::{ValidPath, ValidPaths};
