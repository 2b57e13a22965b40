//! Archives of Nix: what is taken is what is written for the tree in it.

#![no_main]

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use envserve::digest::{Digest, DigestFunction};
use envserve::nix::{unpack_nar, write_nar};
use envserve::store::{BlobStore, StoreError};

/// A store for one archive.
#[derive(Default)]
struct Memory(Mutex<HashMap<Digest, Bytes>>);

#[async_trait::async_trait]
impl BlobStore for Memory {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let blobs = self.0.lock().unwrap();
        Ok(digests.iter().filter(|digest| !blobs.contains_key(digest)).copied().collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        let blobs = self.0.lock().unwrap();
        Ok(digests.iter().filter_map(|digest| Some((*digest, blobs.get(digest)?.clone()))).collect())
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(blobs);
        Ok(())
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        self.put_batch(vec![(*digest, std::fs::read(path).unwrap().into())]).await
    }

    async fn get_file(&self, digest: &Digest, path: &Path) -> Result<bool, StoreError> {
        let Some(bytes) = self.get(digest).await? else { return Ok(false) };
        std::fs::write(path, bytes).unwrap();
        Ok(true)
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (store, scratch) = (Memory::default(), std::env::temp_dir());
        let source = Cursor::new(bytes.to_vec());
        if let Ok(unpacked) = unpack_nar(source, &store, DigestFunction::Blake3, &scratch, 1 << 26).await {
            let again = write_nar(&store, unpacked.root, &scratch, Vec::new()).await.unwrap();
            assert!(again == bytes);
        }
    });
});
