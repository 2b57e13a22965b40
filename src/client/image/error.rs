//! What can be wrong with an image.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::oci::{AttributesError, DocumentError, LayerError, StoredImageError};
use crate::store::DirectoryError;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its tree is not that of an image.
    #[error(transparent)]
    Stored(#[from] StoredImageError),
    /// A directory of its tree is malformed.
    #[error("its tree cannot be read")]
    Tree(#[from] DirectoryError),
    /// Manifest or configuration are malformed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The attributes of a layer are malformed.
    #[error(transparent)]
    Attributes(#[from] AttributesError),
    /// A layer cannot be used.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Its configuration cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A document is longer than anyone needs.
    #[error("its {what}, of {size} bytes, is longer than {limit}")]
    TooLarge {
        /// Which.
        what: &'static str,
        /// Its bytes.
        size: u64,
        /// The limit passed.
        limit: usize,
    },
    /// Something is other than the descriptor says.
    #[error("its {what} is `{actual}`, and the descriptor says `{expected}`")]
    Differs {
        /// What.
        what: &'static str,
        /// As the descriptor says.
        expected: Digest,
        /// As it is.
        actual: Digest,
    },
    /// The descriptor says nothing of an image, or of other layers.
    #[error("the descriptor names {named} layers, and its tree has {found}")]
    Layers {
        /// As the descriptor says.
        named: usize,
        /// As it is.
        found: usize,
    },
}
