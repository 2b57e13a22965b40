//! All directories below a root, as the CAS has them.

use std::collections::HashSet;

use bytes::Bytes;

use crate::digest::Digest;
use crate::store::{BlobStore, Directory, DirectoryError, Node, StoreError};

/// Largest `Directory` blob that is read.
const MAX_DIRECTORY_BYTES: usize = 64 << 20;

/// One directory of a closure.
#[derive(Debug, Clone)]
pub struct ClosureDirectory {
    /// Its digest.
    pub digest: Digest,
    /// The blob.
    pub bytes: Bytes,
    /// What the blob says.
    pub directory: Directory,
}

/// The directories that a root reaches, each once, a level at a time from the root down.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// Those that are in the CAS.
    pub directories: Vec<ClosureDirectory>,
    /// Those that are not. What they would have reached is unknown.
    pub absent: Vec<Digest>,
}

impl Closure {
    /// Reads all directories below `root`.
    ///
    /// # Errors
    /// When the store fails, or a blob is no valid `Directory`. Absence is no error.
    pub async fn read(store: &dyn BlobStore, root: Digest) -> Result<Self, StoreError> {
        let mut closure = Self::default();
        let mut seen = HashSet::from([root]);
        let mut level = vec![root];
        while !level.is_empty() {
            level.iter().try_for_each(check_size)?;
            let mut blobs = store.get_batch(&level).await?;
            let mut next = Vec::new();
            for digest in level {
                let Some(bytes) = blobs.remove(&digest) else {
                    closure.absent.push(digest);
                    continue;
                };
                let directory = Directory::parse(root.function(), &bytes)
                    .map_err(|source| StoreError::Directory { digest, source })?;
                next.extend(directory.subdirectories().filter(|digest| seen.insert(*digest)));
                closure.directories.push(ClosureDirectory { digest, bytes, directory });
            }
            level = next;
        }
        Ok(closure)
    }

    /// Returns the contents of all files, each once.
    pub fn files(&self) -> Vec<Digest> {
        let mut seen = HashSet::new();
        let nodes = self.directories.iter().flat_map(|directory| directory.directory.iter());
        let files = nodes.filter_map(|(_, node)| match node {
            Node::File { digest, .. } => Some(*digest),
            Node::Directory { .. } | Node::Symlink { .. } => None,
        });
        files.filter(|digest| seen.insert(*digest)).collect()
    }

    /// Returns the directories and the contents of all files, each once.
    pub fn blobs(&self) -> Vec<Digest> {
        let directories = self.directories.iter().map(|directory| directory.digest);
        directories.chain(self.files()).collect()
    }

    /// Returns everything that the closure is known to need and the CAS does not have.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub async fn missing(&self, store: &dyn BlobStore) -> Result<Vec<Digest>, StoreError> {
        let mut missing = self.absent.clone();
        missing.extend(store.find_missing(&self.files()).await?);
        Ok(missing)
    }
}

fn check_size(digest: &Digest) -> Result<(), StoreError> {
    if digest.size() <= MAX_DIRECTORY_BYTES as u64 {
        return Ok(());
    }
    let source = DirectoryError::TooLarge { limit: MAX_DIRECTORY_BYTES, what: "bytes" };
    Err(StoreError::Directory { digest: *digest, source })
}
