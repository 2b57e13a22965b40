//! Where downloaded blobs go.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::ClientError;
use super::missing::{Missing, Place};
use crate::digest::Digest;
use crate::store::{FileBlobStore, Linker, StoreError};

/// Takes the blobs of a download, on many threads at once.
pub(super) trait Destination: Send + Sync {
    /// Returns what is to be downloaded, each once. Small blobs come about in this order.
    fn wanted(&self) -> Vec<Digest>;

    /// Takes small blobs, which have been verified.
    fn put(&self, blobs: &[(Digest, Bytes)]) -> Result<(), ClientError>;

    /// Returns an empty file for a large blob.
    fn file(&self) -> Result<NamedTempFile, ClientError>;

    /// Takes such a file with all of a blob that has been verified.
    fn put_file(&self, digest: &Digest, file: NamedTempFile) -> Result<(), ClientError>;
}

/// Puts each blob at its places in a directory being made, as links to the store.
pub(super) struct Linked {
    pub(super) missing: Missing,
    pub(super) store: FileBlobStore,
    pub(super) linker: Linker,
}

impl Linked {
    fn link(&self, digest: &Digest, places: &[Place]) -> Result<(), StoreError> {
        for place in places {
            if !self.store.link_to(digest, place.executable, &place.path)? {
                return Err(StoreError::Missing { digest: *digest, role: "just written" });
            }
        }
        Ok(())
    }
}

impl Destination for Linked {
    fn wanted(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.missing.keys().copied().collect();
        digests.sort_by_cached_key(|digest| self.missing[digest][0].path.as_os_str());
        digests
    }

    fn put(&self, blobs: &[(Digest, Bytes)]) -> Result<(), ClientError> {
        let mut at: Option<(&Path, File)> = None;
        for (digest, blob) in blobs {
            let places = &self.missing[digest];
            let (first, others) = (&places[0], &places[1..]);
            let (path, name) = split(&first.path);
            if at.as_ref().is_none_or(|(open, _)| *open != path) {
                at = Some((path, File::open(path).map_err(StoreError::io("open the directory", path))?));
            }
            let Some((_, directory)) = &at else { continue };
            self.linker.write(digest, blob, first.executable, directory, path, name)?;
            self.link(digest, others)?;
        }
        Ok(())
    }

    fn file(&self) -> Result<NamedTempFile, ClientError> {
        Ok(self.store.temporary_file()?)
    }

    fn put_file(&self, digest: &Digest, file: NamedTempFile) -> Result<(), ClientError> {
        let places = &self.missing[digest];
        let (first, others) = (&places[0], &places[1..]);
        self.store.install_at(file, first.executable, &first.path)?;
        self.store.share(digest, first.executable, &first.path)?;
        Ok(self.link(digest, others)?)
    }
}

/// Puts each blob into the store, and nowhere else.
pub(super) struct Stored {
    pub(super) wanted: Vec<Digest>,
    pub(super) store: FileBlobStore,
}

impl Destination for Stored {
    fn wanted(&self) -> Vec<Digest> {
        self.wanted.clone()
    }

    fn put(&self, blobs: &[(Digest, Bytes)]) -> Result<(), ClientError> {
        for (digest, blob) in blobs {
            let mut file = self.file()?;
            let written = std::io::Write::write_all(&mut file, blob);
            written.map_err(StoreError::io("write the blob", file.path()))?;
            self.put_file(digest, file)?;
        }
        Ok(())
    }

    fn file(&self) -> Result<NamedTempFile, ClientError> {
        Ok(self.store.temporary_file()?)
    }

    fn put_file(&self, digest: &Digest, file: NamedTempFile) -> Result<(), ClientError> {
        Ok(self.store.install_at(file, false, &self.store.path(digest, false))?)
    }
}

/// Returns the directory of a file, and its name there.
pub(super) fn split(path: &Path) -> (&Path, &str) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    (path.parent().unwrap_or(path), name)
}
