//! The directories of a `Tree` message, from which the listing of any of them is made.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;

use super::directory::{Directory, DirectoryError};
use super::listing::{EncodedTree, Listing};
use crate::digest::{Digest, DigestFunction};

/// The directories of a `Tree`, each under the digest of the bytes that it is.
#[derive(Debug, Clone)]
pub struct Directories {
    root: Digest,
    blobs: HashMap<Digest, Bytes>,
}

impl Directories {
    /// Takes a `Tree` blob apart. Its directories are read when they are listed.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(function: DigestFunction, tree: &[u8]) -> Result<Self, DirectoryError> {
        let tree = EncodedTree::decode(Bytes::copy_from_slice(tree)).map_err(DirectoryError::Decode)?;
        let root = function.digest(&tree.root);
        let blobs = std::iter::once(tree.root).chain(tree.children);
        Ok(Self { root, blobs: blobs.map(|bytes| (function.digest(&bytes), bytes)).collect() })
    }

    /// Returns the digest of the root directory.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// Returns the blob of a directory.
    pub fn get(&self, digest: &Digest) -> Option<&Bytes> {
        self.blobs.get(digest)
    }

    /// Lists everything below one of the directories.
    ///
    /// # Errors
    /// When one is malformed or missing, or they are more or deeper than the limits.
    pub fn listing(&self, root: Digest) -> Result<Listing, DirectoryError> {
        let mut parsed = HashMap::new();
        let mut pending = vec![root];
        while let Some(digest) = pending.pop() {
            if parsed.contains_key(&digest) {
                continue;
            }
            // A directory that is missing is told of where its path is known.
            let Some(bytes) = self.blobs.get(&digest) else { continue };
            let directory = Directory::parse(root.function(), bytes)?;
            pending.extend(directory.subdirectories());
            parsed.insert(digest, directory);
        }
        Listing::of(&parsed, root)
    }
}
