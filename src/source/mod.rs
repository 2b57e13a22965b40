//! Source trees: from a directory, a commit or a command to a Git tree id, and from there to a Directory in the CAS.
//!
//! A root is named by its Git tree id everywhere; this floor is where that id
//! is computed, and where the tree's content is fetched, taken over or handed on.

mod command;
mod commit;
mod error;
mod export;
mod import;
mod scan;
mod sources;

pub use command::git_tree;
pub use commit::fetch_commit;
pub use error::SourceError;
pub use export::export_tree;
pub use import::import_directory;
pub use scan::{import_path, tree_id_of_path};
pub use sources::Sources;
pub(crate) use sources::{file_in_git, lookup};
