//! A blob on its way into a server's store, piece by piece.

use std::io::Write;

use tempfile::NamedTempFile;

use super::small::SMALL_BYTES;
use super::space::{Reservation, Stored};
use super::{LocalBlobStore, StoreError, check_digest};
use crate::digest::{Digest, Hasher};

/// Bytes of a blob on its way that are held in memory.
const BUFFER_BYTES: u64 = SMALL_BYTES;

impl LocalBlobStore {
    /// Begins to store a blob that comes piece by piece; room for all of it is reserved.
    ///
    /// # Errors
    /// `Full` when there is none.
    pub fn writer(&self, digest: &Digest) -> Result<BlobWriter, StoreError> {
        let sink = if digest.size() <= BUFFER_BYTES {
            Sink::Memory(Vec::new())
        } else {
            let room = self.reserve(digest.size())?;
            Sink::File { file: self.inner.files.temporary_file()?, room }
        };
        Ok(BlobWriter { store: self.clone(), digest: *digest, hasher: digest.function().hasher(), sink })
    }
}

/// A blob on its way into the store. Dropped before its end, it leaves nothing.
pub struct BlobWriter {
    store: LocalBlobStore,
    digest: Digest,
    hasher: Hasher,
    sink: Sink,
}

/// Where the bytes of a blob wait until all are there.
enum Sink {
    Memory(Vec<u8>),
    File { file: NamedTempFile, room: Reservation },
}

impl BlobWriter {
    /// Returns the bytes taken so far.
    pub fn size(&self) -> u64 {
        self.hasher.size()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `TooLong` when there are more than the blob has; nothing of them is taken then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() as u64 > self.digest.size() - self.hasher.size() {
            return Err(StoreError::TooLong { expected: self.digest });
        }
        match &mut self.sink {
            Sink::Memory(buffer) => buffer.extend_from_slice(bytes),
            Sink::File { file, .. } => {
                let path = file.path().to_owned();
                file.write_all(bytes).map_err(StoreError::io("write the blob", &path))?;
            }
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Stores the whole.
    ///
    /// # Errors
    /// `Mismatch` when it is not the blob that the digest names.
    pub fn finish(self) -> Result<(), StoreError> {
        check_digest(&self.digest, self.hasher)?;
        match self.sink {
            Sink::Memory(bytes) => self.store.write_checked(&[(self.digest, &bytes)]),
            Sink::File { file, room } => {
                let there = self.store.contains(&self.digest)?;
                let files = &self.store.inner.files;
                files.install_at(file, false, &files.path(&self.digest, false))?;
                if !there {
                    room.take(Stored::File);
                }
                Ok(())
            }
        }
    }
}
