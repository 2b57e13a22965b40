//! What can go wrong with a source tree.

use std::path::PathBuf;

use crate::spec::{GitId, RelativePath};
use crate::store::StoreError;

use super::{ArchiveError, DistdirError, FetchError, RegistryError, SpecialError};

/// Why a source tree could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A directory cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file changed while it was read.
    #[error("`{path}` changed while it was read")]
    Modified {
        /// The file.
        path: PathBuf,
    },
    /// Content that was made to have the id of other content.
    #[error("`{path}` was made to collide with other content under the Git id `{id}`")]
    Collision {
        /// The file, or the blob that is its content.
        path: PathBuf,
        /// The id of both.
        id: GitId,
    },
    /// A file of a kind that Git does not hold, or with a name it cannot have here.
    #[error("`{path}` cannot be part of a source tree: {what}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A program could not be started.
    #[error("cannot run `{program}` for {purpose}")]
    Start {
        /// The program.
        program: String,
        /// What it was to do.
        purpose: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed ({status}) for {purpose}:\n{output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it was to do.
        purpose: String,
        /// The end of what it wrote to stderr.
        output: String,
    },
    /// A program went on for too long.
    #[error("`{command}` did not end within {seconds} s for {purpose}")]
    Timeout {
        /// The command line.
        command: String,
        /// The limit.
        seconds: u64,
        /// What it was to do.
        purpose: String,
    },
    /// A command gave another tree than the spec fixes.
    #[error("the command of repository `{repository}` gave the tree `{actual}`, not `{expected}`")]
    OtherTree {
        /// The repository.
        repository: String,
        /// The id in the spec.
        expected: GitId,
        /// The id of what the command left.
        actual: GitId,
    },
    /// The commit is not there, even after fetching.
    #[error("commit `{commit}` is not in `{repository}`, neither by itself nor on branch `{branch}`")]
    NoCommit {
        /// The commit.
        commit: GitId,
        /// The address it was looked for at.
        repository: String,
        /// The branch that was fetched.
        branch: String,
    },
    /// The commit is there, but the directory is not.
    #[error("commit `{commit}` has no directory `{subdir}`")]
    NoSubdir {
        /// The commit.
        commit: GitId,
        /// The directory.
        subdir: RelativePath,
    },
    /// A commit that is needed is not there.
    #[error("commit `{commit}` is not known here")]
    UnknownCommit {
        /// The commit.
        commit: GitId,
    },
    /// A file that is needed is not there.
    #[error("file `{content}` is not known here")]
    UnknownContent {
        /// Its Git blob id.
        content: GitId,
    },
    /// A file is not the one that it was taken for.
    #[error("a file has the Git blob id `{actual}`, not `{expected}`")]
    OtherContent {
        /// The id of the file that is needed.
        expected: GitId,
        /// The id of the one that was found.
        actual: GitId,
    },
    /// An archive cannot be unpacked.
    #[error("cannot unpack the archive `{content}`")]
    Archive {
        /// Its Git blob id.
        content: GitId,
        /// Why.
        #[source]
        source: Box<ArchiveError>,
    },
    /// A file cannot be fetched.
    #[error(transparent)]
    Fetch(FetchError),
    /// An image cannot be pulled.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// The symlinks of a tree cannot be treated as asked.
    #[error(transparent)]
    Special(Box<SpecialError>),
    /// A directory of files cannot be made.
    #[error(transparent)]
    Distdir(#[from] DistdirError),
    /// A tree that is needed is not there.
    #[error("source tree `{tree}` is not known here")]
    Unknown {
        /// The tree.
        tree: GitId,
    },
    /// An object that a known tree names is not there.
    #[error("Git object `{id}`, which is part of tree `{tree}`, is not in the repository")]
    Incomplete {
        /// The tree.
        tree: GitId,
        /// The object.
        id: GitId,
    },
    /// A root is not what it was a moment ago.
    #[error("the root of repository `{repository}` is the tree `{actual}` now, and was `{expected}` before")]
    OtherRoot {
        /// The repository.
        repository: String,
        /// The tree that it was.
        expected: GitId,
        /// The tree that it is.
        actual: GitId,
    },
}

impl From<SpecialError> for SourceError {
    fn from(error: SpecialError) -> Self {
        match error {
            SpecialError::Source(error) => error,
            error => Self::Special(Box::new(error)),
        }
    }
}

impl From<FetchError> for SourceError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store(error) => Self::Store(error),
            error => Self::Fetch(error),
        }
    }
}

impl From<RegistryError> for SourceError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Store(error) => Self::Store(error),
            RegistryError::Fetch(error) => error.into(),
            error => Self::Registry(Box::new(error)),
        }
    }
}

impl SourceError {
    /// Returns what the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OtherTree { actual, .. } => {
                Some(format!("if what the command gave is what you want, write `\"id\": \"{actual}\"`"))
            }
            Self::NoCommit { .. } => Some("check `commit` and `branch`; was the branch rewritten?".to_owned()),
            Self::OtherRoot { .. } => Some("run the command again".to_owned()),
            Self::Start { program, .. } => Some(format!("install `{program}`, or correct the command")),
            Self::Unknown { .. } => Some(
                "it is absent: ask for it where its sources are, or fill the cache with a spec that has them".into(),
            ),
            Self::Store(error) => error.hint(),
            Self::Read { .. }
            | Self::Modified { .. }
            | Self::Collision { .. }
            | Self::Unsupported { .. }
            | Self::Failed { .. }
            | Self::Timeout { .. }
            | Self::NoSubdir { .. }
            | Self::Incomplete { .. }
            | Self::UnknownCommit { .. }
            | Self::UnknownContent { .. }
            | Self::OtherContent { .. }
            | Self::Archive { .. }
            | Self::Fetch(_)
            | Self::Registry(_)
            | Self::Special(_)
            | Self::Distdir(_) => None,
        }
    }
}
