//! A blob store in memory, for tests.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{BlobStore, StoreError, blocking};
use crate::digest::Digest;

/// Blobs in a map. Nothing is ever evicted.
#[derive(Debug, Default)]
pub struct MemoryBlobStore {
    blobs: Mutex<HashMap<Digest, Bytes>>,
}

impl MemoryBlobStore {
    fn blobs(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BlobStore for MemoryBlobStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let blobs = self.blobs();
        let mut seen = HashSet::new();
        Ok(digests.iter().filter(|digest| seen.insert(**digest) && !blobs.contains_key(digest)).copied().collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(self.blobs().get(digest).cloned())
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        let blobs = self.blobs();
        Ok(digests.iter().filter_map(|digest| Some((*digest, blobs.get(digest)?.clone()))).collect())
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        for (digest, bytes) in blobs {
            let actual = digest.function().digest(&bytes);
            if actual != digest {
                return Err(StoreError::Mismatch { expected: digest, actual });
            }
            self.blobs().insert(digest, bytes);
        }
        Ok(())
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        let file = path.to_owned();
        let bytes = blocking(move || std::fs::read(&file).map_err(StoreError::io("read", &file))).await?;
        self.put_batch(vec![(*digest, bytes.into())]).await
    }

    async fn get_file(&self, digest: &Digest, path: &Path) -> Result<bool, StoreError> {
        let Some(bytes) = self.get(digest).await? else { return Ok(false) };
        let path = path.to_owned();
        blocking(move || std::fs::write(&path, bytes).map_err(StoreError::io("write", &path))).await?;
        Ok(true)
    }
}
