//! The blob store of a server.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::{NamedTempFile, TempDir};

use super::{BlobStore, FileBlobStore, StoreError, check_digest};
use crate::digest::{Digest, DigestFunction, Hasher};

/// Blobs of a server.
#[derive(Debug, Clone)]
pub struct LocalBlobStore {
    files: FileBlobStore,
}

/// Blobs that are not evicted while this lives.
#[derive(Debug)]
pub struct Pin;

impl LocalBlobStore {
    /// Opens the store below `root`, and makes it when there is none.
    ///
    /// # Errors
    /// When its directories cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Ok(Self { files: FileBlobStore::open(root)? })
    }

    /// Says whether the blob is there. Its size is checked, its content is not.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.files.contains(digest)
    }

    /// Returns the blob, verified. Other bytes than it should have are reported and removed, and count as absent.
    ///
    /// # Errors
    /// When the store cannot read it.
    pub fn read(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(self.files.read(digest)?.map(Bytes::from))
    }

    /// Opens the blob for one reading from start to end, in which it is verified: the read that would give its
    /// last bytes fails with `InvalidData` when they are not the blob.
    ///
    /// # Errors
    /// When the store cannot open it.
    pub fn open_read(&self, digest: &Digest) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        Ok(self.files.open_read(digest)?.map(|file| Box::new(file) as Box<dyn Read + Send>))
    }

    /// Opens the blob at an offset, after verifying all of it.
    ///
    /// # Errors
    /// When the store cannot read it.
    pub fn open_at(&self, digest: &Digest, offset: u64) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        let Some(mut file) = self.files.open_verified(digest)? else { return Ok(None) };
        file.seek(SeekFrom::Start(offset)).map_err(StoreError::io("seek in", &self.files.path(digest, false)))?;
        Ok(Some(Box::new(file)))
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// `Mismatch` when they are not those that the digest names.
    pub fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.files.write(digest, bytes)
    }

    /// Begins to store a blob that comes piece by piece; room for all of it is reserved.
    ///
    /// # Errors
    /// When there is no room.
    pub fn writer(&self, digest: &Digest) -> Result<BlobWriter, StoreError> {
        let file = self.files.temporary_file()?;
        Ok(BlobWriter { files: self.files.clone(), digest: *digest, hasher: digest.function().hasher(), file })
    }

    /// Moves a file into the store and returns its digest. The caller must be the only one who has it open.
    ///
    /// # Errors
    /// When it cannot be read or moved; it must lie on the file system of the store.
    pub fn adopt(&self, function: DigestFunction, path: &Path, executable: bool) -> Result<Digest, StoreError> {
        self.files.adopt(function, path, executable)
    }

    /// Makes the blob appear, verified, as a new read-only file, which may be shared with the store: nobody may
    /// write to it. Returns whether the blob was there.
    ///
    /// # Errors
    /// When the file system refuses; the path must lie on that of the store.
    pub fn place(&self, digest: &Digest, executable: bool, path: &Path) -> Result<bool, StoreError> {
        Ok(self.files.open_verified(digest)?.is_some() && self.files.link_to(digest, executable, path)?)
    }

    /// Removes a blob.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        for path in [false, true].map(|executable| self.files.path(digest, executable)) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove the blob", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Flips a bit of the stored blob.
    #[cfg(test)]
    pub(crate) fn corrupt(&self, digest: &Digest) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.files.path(digest, false);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is there");
        let mut bytes = std::fs::read(&path).expect("readable");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(&path, bytes).expect("writable");
    }

    /// Keeps blobs from being evicted while what is returned lives.
    pub fn pin(&self, _digests: Vec<Digest>) -> Pin {
        Pin
    }

    /// Returns a new temporary directory on the file system of the store.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary_directory(&self) -> Result<TempDir, StoreError> {
        self.files.temporary_directory()
    }

    /// Removes what a process left behind that was killed. For the one who has the store.
    ///
    /// # Errors
    /// When it cannot be listed; what cannot be removed is reported.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.files.clear_directories()
    }
}

/// A blob on its way into the store. Dropped before its end, it leaves nothing.
pub struct BlobWriter {
    files: FileBlobStore,
    digest: Digest,
    hasher: Hasher,
    file: NamedTempFile,
}

impl BlobWriter {
    /// Returns the bytes taken so far.
    pub fn size(&self) -> u64 {
        self.hasher.size()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `Mismatch` when there are more than the blob has.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(StoreError::io("write the blob", self.file.path()))
    }

    /// Stores the whole.
    ///
    /// # Errors
    /// `Mismatch` when it is not the blob that the digest names.
    pub fn finish(self) -> Result<(), StoreError> {
        check_digest(&self.digest, self.hasher)?;
        self.files.install_at(self.file, false, &self.files.path(&self.digest, false))
    }
}

#[async_trait]
impl BlobStore for LocalBlobStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.files.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        self.files.get(digest).await
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        self.files.get_batch(digests).await
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.files.put_batch(blobs).await
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        self.files.put_file(digest, path).await
    }
}
