//! What can be wrong with a memory.

use std::io;

use crate::spec::shown;
use crate::store::StoreError;

/// Why a memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Something in it is not as it should be.
    #[error("`{path}` of its memory cannot be taken: {what}")]
    Piece {
        /// The path, cut to a readable length.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A piece cannot be unpacked.
    #[error("`{path}` of its memory cannot be unpacked")]
    Unpack {
        /// The path, cut to a readable length.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is larger than any.
    #[error("its memory is longer than {limit} bytes")]
    TooLarge {
        /// The limit passed.
        limit: u64,
    },
    /// A piece cannot be had, or a file not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MemoryError {
    /// Returns a closure that makes `Piece` of what is wrong with a path.
    pub(super) fn piece(path: &str) -> impl Fn(&'static str) -> Self {
        move |what| Self::Piece { path: shown(path), what }
    }

    pub(super) fn unpacking(path: &str, source: io::Error) -> Self {
        Self::Unpack { path: shown(path), source }
    }
}
