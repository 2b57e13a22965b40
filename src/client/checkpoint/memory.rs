//! What CRIU wrote, unpacked into a directory that it reads.
//!
//! ```text
//! HASH/memory/images/NAME    HASH/memory/files.json    how long each is, and since when
//! ```
//!
//! The directory is made beside and renamed. Its files are open to those who get to it, as the processes that read them
//! are no root of this host. All have the time of blobs, so what was changed later is noticed. Nobody waits for the disk:
//! what was there before this host was started may be torn, and is made anew of the pieces.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::here::boot;
use super::{CheckpointError, checkpoints};
use crate::checkpoint::{MAX_MEMORY, MemoryError, each, image_files, unpack};
use crate::client::brought::Brought;
use crate::client::connect::Reached;
use crate::client::destination::Stored;
use crate::client::download::download;
use crate::client::events::Events;
use crate::client::materialize::prepare;
use crate::client::{Client, ClientError};
use crate::digest::Digest;
use crate::store::{FileBlobStore, Listing, StoreError, VerifiedRead, blocking, is_settled, remove_tree};

const IMAGES: &str = "images";
const FILES: &str = "files.json";

/// What was made.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    /// Since when this host was up.
    boot: String,
    /// How long each file is.
    files: BTreeMap<String, u64>,
}

/// The memory of a checkpoint on this host.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    home: PathBuf,
}

impl Memory {
    /// Returns where that of a checkpoint lies when it is there.
    pub(super) fn of(checkpoint: &Path) -> Self {
        Self { home: checkpoint.join("memory") }
    }

    /// Returns the directory for CRIU.
    pub(super) fn images(&self) -> PathBuf {
        self.home.join(IMAGES)
    }

    /// Says whether all of it is here and as it was made. Blocks.
    pub(super) fn is_whole(&self) -> bool {
        let Ok(made) = fs::read(self.home.join(FILES)) else { return false };
        let Ok(made) = serde_json::from_slice::<Made>(&made) else { return false };
        let whole = |(name, size): (&String, &u64)| {
            let found = fs::symlink_metadata(self.images().join(name));
            found.is_ok_and(|found| found.is_file() && found.len() == *size && is_settled(&found))
        };
        boot().is_ok_and(|boot| boot == made.boot) && made.files.iter().all(whole)
    }

    /// Removes what is not whole.
    fn discard(&self) -> Result<(), ClientError> {
        match remove_tree(&self.home) {
            Ok(()) => {
                let path = self.home.display();
                tracing::warn!(%path, "a kept memory was changed, or this host was started since: it is made anew");
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ClientError::io("remove", &self.home)(error)),
        }
    }
}

impl Client {
    /// Makes the memory of a checkpoint.
    ///
    /// # Errors
    /// `Checkpoint` when it cannot be used; else what stood in the way.
    ///
    /// # Cancel safety
    /// What has arrived stays.
    pub(super) async fn bring_memory(
        &self,
        root: Digest,
        checkpoint: &Path,
        listing: Listing,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<()>, ClientError> {
        let files = image_files(&listing).map_err(unusable(root))?;
        let (memory, client, blobs) = (Memory::of(checkpoint), self.root().to_owned(), self.store().await?.clone());
        let prepared = blocking(move || {
            let (lock, partial) = prepare(&memory.home)?;
            if memory.is_whole() {
                return Ok(None);
            }
            memory.discard()?;
            let packed = Packed { own: FileBlobStore::open(&checkpoints(&client))?, blobs };
            let missing = missing(&packed, &listing)?;
            Ok::<_, ClientError>(Some((lock, memory, partial, packed, missing)))
        });
        let Some((lock, memory, partial, packed, missing)) = prepared.await? else {
            return Ok(Brought::Here { place: (), downloaded: 0 });
        };
        let downloaded = missing.iter().map(Digest::size).sum();
        let lost = download(cas, Stored { wanted: missing, store: packed.own.clone() }, events).await?;
        if !lost.is_empty() {
            return Ok(Brought::Lost(lost));
        }
        blocking(move || {
            let unpacked = unpack(&files, |digest| packed.open(digest), &partial.join(IMAGES), MAX_MEMORY);
            let unpacked = unpacked.map_err(unusable(root));
            let finished = unpacked.and_then(|files| finish(&partial, files, &memory.home));
            if finished.is_err() {
                // It may be large, and is removed by the next one in any case.
                drop(remove_tree(&partial));
            }
            drop(lock);
            finished.map(|()| Brought::Here { place: (), downloaded })
        })
        .await
    }
}

/// Returns a closure that makes an error of what is wrong with the memory of a checkpoint.
fn unusable(root: Digest) -> impl Fn(MemoryError) -> ClientError {
    move |error| match error {
        MemoryError::Store(error) => error.into(),
        error => CheckpointError::of(root)(CheckpointError::from(error)),
    }
}

/// Where the pieces are.
struct Packed {
    /// The blobs of checkpoints, which only root can read.
    own: FileBlobStore,
    /// All blobs of this host; those of a private daemon are there too.
    blobs: FileBlobStore,
}

impl Packed {
    /// Says whether a piece is here, and right.
    fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.own.open_verified(digest)?.is_some() || self.blobs.open_verified(digest)?.is_some())
    }

    fn open(&self, digest: &Digest) -> Result<VerifiedRead, StoreError> {
        let own = self.own.open_read(digest)?;
        let found = own.map_or_else(|| self.blobs.open_read(digest), |own| Ok(Some(own)))?;
        found.ok_or(StoreError::Missing { digest: *digest, role: "piece of a memory" })
    }
}

/// Returns the pieces that are not here. Those that are have been read whole.
fn missing(packed: &Packed, listing: &Listing) -> Result<Vec<Digest>, ClientError> {
    let mut seen = HashSet::new();
    let all: Vec<Digest> = listing.files.iter().map(|file| file.digest).filter(|digest| seen.insert(*digest)).collect();
    let missing = Mutex::new(Vec::new());
    each(&all, |digest| {
        if !packed.has(digest)? {
            missing.lock().unwrap_or_else(PoisonError::into_inner).push(*digest);
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(missing.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Writes down how long the files are, and puts the directory in its place.
fn finish(partial: &Path, files: BTreeMap<String, u64>, home: &Path) -> Result<(), ClientError> {
    let path = partial.join(FILES);
    let write = || fs::write(&path, serde_json::json!(Made { boot: boot()?, files }).to_string());
    write().map_err(ClientError::io("write", &path))?;
    fs::rename(partial, home).map_err(ClientError::io("put in place", home))
}
