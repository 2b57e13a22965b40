//! What can be wrong with a checkpoint.

use std::io;

use crate::client::ClientError;
use crate::digest::Digest;
use crate::oci::StoredImageError;
use crate::spec::shown;
use crate::store::DirectoryError;

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Its tree is not that of a checkpoint.
    #[error(transparent)]
    Stored(#[from] StoredImageError),
    /// A directory of its tree is malformed.
    #[error("its tree cannot be read")]
    Tree(#[from] DirectoryError),
    /// The descriptor names layers that are not there.
    #[error("{needed} layers lie over the image, and its tree has {found}")]
    Layers {
        /// As the descriptor says.
        needed: usize,
        /// As it is.
        found: usize,
    },
    /// The descriptor says that there is the form `memory`, and the tree lacks it.
    #[error("its tree has no memory")]
    NoMemory,
    /// Something in its memory is not as it should be.
    #[error("`{path}` of its memory cannot be taken: {what}")]
    Memory {
        /// The path, cut to a readable length.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A piece of its memory cannot be unpacked.
    #[error("`{path}` of its memory cannot be unpacked")]
    Unpack {
        /// The path, cut to a readable length.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The memory is larger than any.
    #[error("its memory is longer than {limit} bytes")]
    TooLarge {
        /// The limit passed.
        limit: u64,
    },
}

impl CheckpointError {
    /// Returns a closure that makes an error of what is wrong with the checkpoint of a tree.
    pub(super) fn of(root: Digest) -> impl Fn(Self) -> ClientError {
        move |source| ClientError::Checkpoint { root, source: Box::new(source) }
    }

    /// Returns a closure that makes `Memory` of what is wrong with a path.
    pub(super) fn memory(path: &str) -> impl Fn(&'static str) -> Self {
        move |what| Self::Memory { path: shown(path), what }
    }
}
