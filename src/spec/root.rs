//! Roots: where the content of a repository comes from.
//!
//! The types and their fields are those of just-mr. All but a bare `file` state
//! the content itself, so a root is fixed before anything is fetched.

use std::collections::BTreeMap;

use super::config::Config;
use super::git_id::GitId;
use super::path::RelativePath;

mod pragma;
mod read;
#[cfg(test)]
mod tests;
mod types;

pub use pragma::{Pragma, Special};
pub(crate) use read::entry_name;

/// Where the content of a repository comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A directory of this host.
    File {
        /// The directory, relative to that of the spec.
        path: String,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// A directory in a commit.
    Git {
        /// Where the repository is fetched from.
        repository: String,
        /// The branch that contains the commit.
        branch: String,
        /// The commit.
        commit: GitId,
        /// Where it may be fetched from as well.
        mirrors: Vec<String>,
        /// The directory in the commit.
        subdir: RelativePath,
        /// The environment variables that fetching sees.
        inherit_env: Vec<String>,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// A directory in a tar archive.
    Archive {
        /// The archive.
        download: Download,
        /// The directory in the archive.
        subdir: RelativePath,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// A directory in a zip archive.
    Zip {
        /// The archive.
        download: Download,
        /// The directory in the archive.
        subdir: RelativePath,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// A directory with one fetched file.
    ForeignFile {
        /// The file.
        download: Download,
        /// Its name in the directory.
        name: String,
        /// Whether it is executable.
        executable: bool,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// A tree that a command makes.
    GitTree {
        /// The tree.
        id: GitId,
        /// The command that makes it in an empty directory.
        cmd: Vec<String>,
        /// The environment variables that the command is given.
        env: BTreeMap<String, String>,
        /// The environment variables that the command inherits.
        inherit_env: Vec<String>,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// A directory with the archives of other repositories.
    Distdir {
        /// The repositories.
        repositories: Vec<String>,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// The tree to which an environment evaluates.
    Computed {
        /// The repository that defines the environment.
        repo: String,
        /// The directory of its environments file.
        module: RelativePath,
        /// Its name.
        name: String,
        /// The configuration it is evaluated in.
        config: Config,
        /// How the root is treated.
        pragma: Pragma,
    },
    /// A tree that is known by its id alone: the form in which a resolved spec hands roots on.
    Tree {
        /// The tree.
        id: GitId,
        /// How the root is treated: it is absent, and nothing is left to be treated.
        pragma: Pragma,
    },
    /// The shape of another root: its directories, with every file empty.
    TreeStructure {
        /// The repository with that root.
        repo: String,
        /// How the root is treated.
        pragma: Pragma,
    },
}

/// A file that is fetched, and by which it is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The Git blob id of the file.
    pub content: GitId,
    /// Where it is fetched from.
    pub fetch: String,
    /// Where it may be fetched from as well.
    pub mirrors: Vec<String>,
    /// Its name among other such files, if not that of the address.
    pub distfile: Option<String>,
    /// Its SHA-256, to be checked after a fetch.
    pub sha256: Option<String>,
    /// Its SHA-512, to be checked after a fetch.
    pub sha512: Option<String>,
}

impl Download {
    /// Returns the name under which the file lies among other such files.
    pub fn file_name(&self) -> &str {
        let address = self.fetch.split(['?', '#']).next().unwrap_or_default();
        self.distfile.as_deref().unwrap_or_else(|| address.rsplit('/').next().unwrap_or_default())
    }
}

impl Root {
    /// Returns the root that is a tree known by its id.
    pub(crate) fn tree(id: GitId) -> Self {
        Self::Tree { id, pragma: Pragma { absent: true, ..Pragma::default() } }
    }

    /// Returns the name of the type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Git { .. } => "git",
            Self::Archive { .. } => "archive",
            Self::Zip { .. } => "zip",
            Self::ForeignFile { .. } => "foreign file",
            Self::GitTree { .. } => "git tree",
            Self::Distdir { .. } => "distdir",
            Self::Computed { .. } => "computed",
            Self::Tree { .. } => "tree",
            Self::TreeStructure { .. } => "tree structure",
        }
    }

    /// Returns how the root is treated.
    pub fn pragma(&self) -> &Pragma {
        match self {
            Self::File { pragma, .. }
            | Self::Git { pragma, .. }
            | Self::Archive { pragma, .. }
            | Self::Zip { pragma, .. }
            | Self::ForeignFile { pragma, .. }
            | Self::GitTree { pragma, .. }
            | Self::Distdir { pragma, .. }
            | Self::Computed { pragma, .. }
            | Self::Tree { pragma, .. }
            | Self::TreeStructure { pragma, .. } => pragma,
        }
    }
}
