//! Where the objects of an import go: a few as loose objects, many as one pack.
//!
//! A pack is far faster to write than many loose objects; but packs pile up, and each
//! makes every look for an object slower, so a small import does not get one. Calls block.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::SourceError;
use crate::spec::GitId;
use crate::store::{GitEntry, GitStore, PackError, PackWriter, StoreError, blob_id_from};

/// An import of so many objects is a pack.
pub(super) const PACKED_OBJECTS: usize = 256;
/// So is one with a larger file than this, as a pack takes it without having it in memory.
pub(super) const HELD_BYTES: u64 = 4 << 20;

/// An import into a Git cache. Nothing of it needs to be there before `finish`.
pub(super) enum Import {
    /// Each object a file.
    Loose(GitStore),
    /// One pack.
    Packed(Box<PackWriter>),
}

impl Import {
    /// Begins an import of about `objects` objects, the largest of which has `largest` bytes.
    pub(super) fn begin(git: &GitStore, objects: usize, largest: u64) -> Result<Self, StoreError> {
        if objects < PACKED_OBJECTS && largest <= HELD_BYTES {
            return Ok(Self::Loose(git.clone()));
        }
        Ok(Self::Packed(Box::new(git.pack()?)))
    }

    /// Writes a blob and returns its id. `path` is what an error names.
    pub(super) fn blob(&mut self, path: &Path, bytes: &[u8]) -> Result<GitId, SourceError> {
        match self {
            Self::Loose(git) => Ok(git.write_blob(bytes)?),
            Self::Packed(pack) => pack.blob(bytes).map_err(|error| not_written(error, path)),
        }
    }

    /// Writes a file of `size` bytes as a blob and returns its id.
    pub(super) fn file(&mut self, path: &Path, size: u64) -> Result<GitId, SourceError> {
        let mut file = open(path)?;
        match self {
            Self::Loose(git) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
                Ok(git.write_blob(&bytes)?)
            }
            Self::Packed(pack) => pack.blob_from(file, size).map_err(|error| not_written(error, path)),
        }
    }

    /// Writes a tree and returns its id. `path` is what an error names.
    pub(super) fn tree(&mut self, path: &Path, entries: Vec<GitEntry>) -> Result<GitId, SourceError> {
        match self {
            Self::Loose(git) => Ok(git.write_tree(entries)?),
            Self::Packed(pack) => pack.tree(entries).map_err(|error| not_written(error, path)),
        }
    }

    /// Puts all of it in place.
    pub(super) fn finish(self) -> Result<(), SourceError> {
        match self {
            Self::Loose(_) => Ok(()),
            Self::Packed(pack) => Ok(pack.finish()?),
        }
    }
}

/// Opens a file to be imported.
pub(super) fn open(path: &Path) -> Result<File, SourceError> {
    File::open(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })
}

/// Returns what it means that the content of `path` could not be written, or its id not be computed.
pub(super) fn not_written(error: PackError, path: &Path) -> SourceError {
    let path = path.to_owned();
    match error {
        PackError::Store(error) => SourceError::Store(error),
        PackError::Read(source) => SourceError::Read { path, source },
        PackError::Size { .. } => SourceError::Modified { path },
        PackError::Collision { id } => SourceError::Collision { path, id },
    }
}

/// Writes the content of a file as a blob into the Git cache and returns its id.
///
/// # Errors
/// When the file cannot be read, changes meanwhile, or cannot be written.
pub fn import_file(git: &GitStore, path: &Path) -> Result<GitId, SourceError> {
    let size = size(&open(path)?, path)?;
    let mut import = Import::begin(git, 1, size)?;
    let id = import.file(path, size)?;
    import.finish()?;
    Ok(id)
}

/// Returns the id that Git gives to a file as a blob, and stores nothing.
///
/// # Errors
/// When the file cannot be read, or changes meanwhile.
pub fn file_id(path: &Path) -> Result<GitId, SourceError> {
    let file = open(path)?;
    let size = size(&file, path)?;
    blob_id_from(file, size).map_err(|error| not_written(error, path))
}

fn size(file: &File, path: &Path) -> Result<u64, SourceError> {
    Ok(file.metadata().map_err(|source| SourceError::Read { path: path.to_owned(), source })?.len())
}
