//! Files that were fetched and checked.

use std::fs;
use std::path::{Path, PathBuf};

use super::partial::Partial;
use crate::store::StoreError;

/// A fetched file. A download is removed when this is dropped, and nobody else fetches it there until then.
pub struct FetchedFile {
    place: Place,
    size: u64,
    from: String,
}

enum Place {
    Downloaded(Partial),
    Local(PathBuf),
}

impl FetchedFile {
    pub(super) fn downloaded(partial: Partial, from: String) -> Self {
        Self { size: partial.size(), place: Place::Downloaded(partial), from }
    }

    pub(super) fn local(path: &Path, size: u64, from: &str) -> Self {
        Self { place: Place::Local(path.to_owned()), size, from: from.to_owned() }
    }

    /// Returns where it lies.
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::Downloaded(partial) => partial.path(),
            Place::Local(path) => path,
        }
    }

    /// Returns its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the address that it came from, without credentials.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Says whether it is a file of this host, which lies where it always did and may be changed by its owner.
    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Local(_))
    }

    /// Puts it at `target`: a download is renamed, so that must be on the same disk; a file of this host is copied. Blocks.
    ///
    /// # Errors
    /// When the system refuses. A download is then no longer there, or not finished.
    pub fn take(mut self, target: &Path) -> Result<(), StoreError> {
        match std::mem::replace(&mut self.place, Place::Local(PathBuf::new())) {
            Place::Downloaded(partial) => partial.rename(target),
            Place::Local(path) => fs::copy(path, target).map(drop).map_err(StoreError::io("copy a file to", target)),
        }
    }
}

impl Drop for FetchedFile {
    fn drop(&mut self) {
        if let Place::Downloaded(partial) = &mut self.place {
            partial.remove();
        }
    }
}
