//! Content-addressed storage: blobs, directories, the keyed tables and Git objects.
//!
//! `BlobStore` is what the floors above see of a CAS, wherever it lies:
//! `FileBlobStore` here, `RemoteBlobStore` at a REAPI endpoint. Absence is
//! `None` or a digest in the answer, never an error; an error never means
//! absence. What is read has been verified against its digest.

mod blocking;
mod chunks;
mod collect;
mod commit_proof;
mod database;
mod directories;
mod directory;
mod entries;
mod error;
mod file;
mod fsck;
mod git;
mod intake;
mod leases;
mod linker;
mod listing;
mod local;
mod maps;
#[cfg(test)]
mod memory;
mod merkle;
mod pack;
pub(crate) mod pieces;
mod pinned;
mod pins;
mod remote;
mod remove;
mod shared_entries;
mod small;
mod space;
mod sweep;
mod times;
mod used;
mod verified;
pub mod wire;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

use crate::digest::{Digest, Hasher};

pub use blocking::blocking;
pub use chunks::{AVERAGE_CHUNK, Chunks};
pub use collect::{Collected, Goal};
pub use commit_proof::check_commit_proof;
pub use database::{Database, Table};
pub use directories::Directories;
pub use directory::{Directory, DirectoryError, Node};
pub use entries::{ActionCache, Entries, LocalActionCache};
pub use error::StoreError;
pub use file::FileBlobStore;
pub(crate) use file::{hash_file, hash_reader};
pub use fsck::{Checked, FsckOptions, Problem};
pub use git::{GitEntry, GitEntryKind, GitStore};
pub(crate) use git::{blob_id, tree_id};
pub(crate) use intake::{Found, put_all};
pub use linker::Linker;
pub use listing::{ListedFile, Listing, collect_tree};
pub use local::{LocalBlobStore, StoreOptions};
pub use maps::SourceMaps;
#[cfg(test)]
pub use memory::MemoryBlobStore;
pub use merkle::{MerkleError, MerkleTree};
pub(crate) use pack::blob_id_from;
pub use pack::{PackError, PackWriter};
pub use pinned::{Pinned, PinnedEntries};
pub use pins::Pin;
pub use remote::{BlobSink, Capabilities, RemoteActionCache, RemoteBlobStore};
pub(crate) use remove::remove_tree;
pub use shared_entries::{EntrySecret, SharedEntries};
pub(crate) use times::{is_settled, settle, settle_path};
pub(crate) use verified::VerifiedRead;
pub use writer::BlobWriter;

/// Blobs up to this size travel in batches, larger ones in a stream of their own.
pub const BATCH_BYTES: u64 = 1 << 20;

/// Blobs of so many bytes together are stored without asking whether they are there.
const UNASKED_BYTES: u64 = 64 << 10;

/// A content-addressed store.
///
/// Every method is idempotent and may be cancelled by dropping its future:
/// what was acknowledged stays, what was not may or may not be there.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Returns those of the digests that are not in the store, in the order asked, each once.
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError>;

    /// Returns the blob, verified, or `None` when it is absent.
    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError>;

    /// Returns those of the blobs that are there, verified; absent ones are not in the map.
    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError>;

    /// Stores blobs that are named by the digest given with each; refuses those that do not match.
    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError>;

    /// Stores the contents of a file; refuses it when it does not match the digest.
    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError>;

    /// Writes the blob, verified, into a file, whatever that held, and returns whether the blob is there. After an
    /// error the file may hold anything.
    async fn get_file(&self, digest: &Digest, path: &Path) -> Result<bool, StoreError>;
}

impl dyn BlobStore + '_ {
    /// Stores one blob under its own digest, which is returned.
    ///
    /// # Errors
    /// As `put_batch`.
    pub async fn put(&self, function: crate::digest::DigestFunction, bytes: Bytes) -> Result<Digest, StoreError> {
        let digest = function.digest(&bytes);
        self.put_batch(vec![(digest, bytes)]).await?;
        Ok(digest)
    }

    /// Returns a temporary file in `directory` with the content of a blob.
    ///
    /// # Errors
    /// `Missing`, in that role, when the blob is not there; as `get_file` otherwise.
    pub async fn get_temporary(
        &self,
        digest: &Digest,
        directory: &Path,
        role: &'static str,
    ) -> Result<tempfile::NamedTempFile, StoreError> {
        let directory = directory.to_owned();
        let make =
            move || tempfile::NamedTempFile::new_in(&directory).map_err(StoreError::io("make a file in", &directory));
        let file = blocking(make).await?;
        if self.get_file(digest, file.path()).await? {
            Ok(file)
        } else {
            Err(StoreError::Missing { digest: *digest, role })
        }
    }

    /// Stores those of the blobs that are not there yet, few ones in any case.
    ///
    /// # Errors
    /// As `find_missing` and `put_batch`.
    pub async fn put_missing(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        // To ask takes as long as to send so little.
        if blobs.iter().map(|(digest, _)| digest.size()).sum::<u64>() <= UNASKED_BYTES {
            return self.put_batch(blobs).await;
        }
        let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
        let missing: std::collections::HashSet<Digest> = self.find_missing(&digests).await?.into_iter().collect();
        self.put_batch(blobs.into_iter().filter(|(digest, _)| missing.contains(digest)).collect()).await
    }
}

/// Checks that a finished hasher saw the blob that the digest names.
///
/// # Errors
/// `Mismatch` when it did not.
pub(crate) fn check_digest(expected: &Digest, hasher: Hasher) -> Result<(), StoreError> {
    let actual = hasher.finish();
    if actual == *expected { Ok(()) } else { Err(StoreError::Mismatch { expected: *expected, actual }) }
}
