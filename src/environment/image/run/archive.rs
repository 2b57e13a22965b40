//! The archive of a root file system, which a worker unpacks: made once, as long as it stays in the CAS.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use super::super::super::{Build, BuildError};
use super::super::ImageOptions;
use crate::digest::Digest;
use crate::oci::{Attributes, Exception, LayerCompression, LayerError, Metadata, Special, StoredLayer, write_layer};
use crate::store::{StoreError, blocking, hash_file};

/// How many archives are remembered.
const MAX_KNOWN: usize = 256;
/// How many users a root file system may have on a worker.
const USERS: u32 = 65_536;

/// How commands are run, and which archive a root file system is.
pub struct Runs {
    options: ImageOptions,
    known: Mutex<VecDeque<(StoredLayer, Digest)>>,
}

impl Runs {
    /// Runs commands so.
    pub fn new(options: ImageOptions) -> Self {
        Self { options, known: Mutex::default() }
    }

    pub(super) fn options(&self) -> &ImageOptions {
        &self.options
    }

    /// Returns the archive of a root file system, which is in the CAS then.
    ///
    /// # Errors
    /// When it has owners that a worker cannot have, a blob of it is not there, or the store fails.
    pub(in super::super::super) async fn archive(
        &self,
        build: &Build<'_>,
        root: &StoredLayer,
        attributes: &Attributes,
    ) -> Result<Digest, BuildError> {
        let known = self.known().iter().find(|(known, _)| known == root).map(|(_, archive)| *archive);
        if let Some(archive) = known
            && build.store.find_missing(&[archive]).await?.is_empty()
        {
            return Ok(archive);
        }
        let archive = make(build, root, attributes).await?;
        let mut known = self.known();
        known.retain(|(known, _)| known != root);
        known.push_back((*root, archive));
        if known.len() > MAX_KNOWN {
            known.pop_front();
        }
        Ok(archive)
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(StoredLayer, Digest)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(build: &Build<'_>, root: &StoredLayer, attributes: &Attributes) -> Result<Digest, BuildError> {
    let attributes = Attributes { exceptions: usable(build, attributes)? };
    let scratch = build.images.archives.scratch().to_owned();
    let file = blocking(move || NamedTempFile::new_in(&scratch).map_err(StoreError::io("make a file in", &scratch)));
    let file = file.await?;
    let sink = file.reopen().map_err(StoreError::io("open", file.path()))?;
    let (store, scratch) = (build.store, build.images.archives.scratch());
    let written = write_layer(store, root.root, &attributes, LayerCompression::None, scratch, sink).await;
    written.map_err(|error| match error {
        LayerError::Store(error) => error.into(),
        error => BuildError::layer(build, "its root file system", error),
    })?;
    let (function, path) = (build.function, file.path().to_owned());
    let digest = blocking(move || hash_file(function, &path)).await?;
    build.store.put_file(&digest, file.path()).await?;
    Ok(digest)
}

/// Returns what of the attributes a worker can make: no devices, and the owners must be of those that it has.
fn usable(
    build: &Build<'_>,
    attributes: &Attributes,
) -> Result<BTreeMap<crate::spec::RelativePath, Exception>, BuildError> {
    let mut usable = BTreeMap::new();
    for (path, exception) in &attributes.exceptions {
        let owned: Option<&Metadata> = match exception {
            Exception::Special(Special::Char { .. } | Special::Block { .. }, _) => continue,
            Exception::Special(Special::Fifo, metadata) | Exception::Node(metadata) | Exception::Opaque(metadata) => {
                Some(metadata)
            }
            Exception::Implied { .. } | Exception::HardLink { .. } | Exception::Whiteout => None,
        };
        if let Some(id) = owned.map(|metadata| metadata.uid.max(metadata.gid)).filter(|id| *id >= USERS) {
            let reason =
                format!("`/{path}` belongs to user or group {id}: commands run in images whose ids are below {USERS}");
            return Err(BuildError::refused(build, reason));
        }
        usable.insert(path.clone(), exception.clone());
    }
    Ok(usable)
}
