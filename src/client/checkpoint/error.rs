//! What can be wrong with a checkpoint.

use crate::checkpoint::MemoryError;
use crate::client::ClientError;
use crate::digest::Digest;
use crate::oci::StoredImageError;
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
    /// Its memory cannot be used.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl CheckpointError {
    /// Returns a closure that makes an error of what is wrong with the checkpoint of a tree.
    pub(super) fn of(root: Digest) -> impl Fn(Self) -> ClientError {
        move |source| ClientError::Checkpoint { root, source: Box::new(source) }
    }
}
