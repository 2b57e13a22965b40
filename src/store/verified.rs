//! Reading a blob from a file that may be corrupt.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::digest::{Digest, Hasher};

/// A blob being read. The read that would give its last bytes fails with `InvalidData` when what was read is
/// not the blob; the file is then removed.
pub struct VerifiedRead {
    digest: Digest,
    path: PathBuf,
    file: File,
    /// Gone when all has been read and found right.
    hasher: Option<Hasher>,
}

impl VerifiedRead {
    /// Returns the blob that a file at this path should hold.
    pub(crate) fn new(digest: Digest, path: PathBuf, file: File) -> Self {
        Self { digest, path, file, hasher: Some(digest.function().hasher()) }
    }
}

impl Read for VerifiedRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let Some(hasher) = &mut self.hasher else { return Ok(count) };
        hasher.update(&buffer[..count]);
        if count > 0 && hasher.size() < self.digest.size() {
            return Ok(count);
        }
        let actual = self.hasher.take().map(Hasher::finish);
        if actual == Some(self.digest) {
            return Ok(count);
        }
        // The bytes are not to be used, whether or not the file can be removed.
        drop(discard(&self.digest, &self.path));
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Copies a blob, which is verified as it is read, into a file. Returns `false` when it turns out to be corrupt.
///
/// # Errors
/// When the blob cannot be read, or the file not be written.
pub(super) fn copy_verified(mut blob: impl Read, path: &Path) -> Result<bool, StoreError> {
    let mut file = File::create(path).map_err(StoreError::io("make", path))?;
    match io::copy(&mut blob, &mut file) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
        Err(error) => Err(StoreError::io("copy a blob to", path)(error)),
    }
}

/// Removes a file that does not hold the blob that it should.
///
/// # Errors
/// When it is there and cannot be removed.
pub(super) fn discard(digest: &Digest, path: &Path) -> Result<(), StoreError> {
    tracing::error!(blob = ?digest, path = %path.display(), "stored blob is corrupt: removed, counts as absent");
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove the corrupt blob", path)(error))
        }
        _ => Ok(()),
    }
}
