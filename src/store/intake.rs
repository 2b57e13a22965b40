//! Blobs that a thread finds while it reads something, stored by the task that waits for them.

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::sync::mpsc::Receiver;

use super::{BATCH_BYTES, BlobStore, StoreError};
use crate::digest::Digest;

/// Most blobs that are stored together.
const MOST_TOGETHER: usize = 1000;

/// A blob on its way to a store.
pub(crate) enum Found {
    /// A small one.
    Bytes(Digest, Bytes),
    /// One that is too large for memory.
    File(Digest, NamedTempFile),
}

/// Stores what comes, small blobs together.
///
/// # Errors
/// Those of the store. Who finds blobs sees that nobody takes them any more.
pub(crate) async fn put_all(store: &dyn BlobStore, mut found: Receiver<Found>) -> Result<(), StoreError> {
    let (mut batch, mut size) = (Vec::new(), 0);
    while let Some(blob) = found.recv().await {
        match blob {
            Found::Bytes(digest, bytes) => {
                size += digest.size();
                batch.push((digest, bytes));
            }
            Found::File(digest, file) => store.put_file(&digest, file.path()).await?,
        }
        if size >= BATCH_BYTES || batch.len() >= MOST_TOGETHER {
            store.put_missing(std::mem::take(&mut batch)).await?;
            size = 0;
        }
    }
    store.put_missing(batch).await
}
