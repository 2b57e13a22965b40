//! Source trees: from a directory, a commit or a command to a Git tree id, and from there to a Directory in the CAS.
//!
//! A root is named by its Git tree id everywhere; this floor is where that id
//! is computed, and where the tree's content is fetched, taken over or handed on.

mod archive;
mod command;
mod commit;
mod derivation;
mod distdir;
mod error;
mod export;
mod fetch;
mod file_ids;
mod import;
mod objects;
mod process;
mod registry;
mod sandbox;
mod scan;
mod sources;
mod special;
mod structure;

pub use archive::properties as archive_properties;
pub use archive::{ArchiveError, ArchiveKind, CaseCollisions, Limits, Place, unpack, unpack_from};
pub(crate) use archive::{Compression, Decoder};
pub use command::git_tree;
pub use commit::{fetch_commit, known_commit};
pub use derivation::Derivation;
pub use distdir::{DistdirError, distdir_tree, foreign_file, tree_id_of_files};
pub use error::SourceError;
pub use export::{export_tree, tree_size};
pub use fetch::{
    CheckedFunction, FailedAddress, FetchError, FetchOptions, FetchProgress, FetchedFile, Fetcher,
    Mismatch as FetchMismatch, Reason as FetchReason, Silent, Wanted, check_file,
};
pub use import::import_directory;
pub use objects::{file_id, import_file};
pub use registry::{AuthFileError, AuthFiles, PulledImage, Registries, RegistryError};
pub use scan::{import_path, tree_id_of_path, tree_id_of_path_noting, trees_of_path};
pub use sources::{
    Content, Derived, Distfile, FetchPrefix, FetchPrefixError, Origin, SourceOptions, Sources, Turn, Turns,
};
pub(crate) use sources::{file_in_git, lookup};
pub use special::{SpecialError, resolve};
pub use structure::tree_structure;
