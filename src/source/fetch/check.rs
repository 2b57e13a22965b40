//! Whether a file is the one wanted.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1_checked::{CollisionResult, Digest as _, Sha1};
use sha2::{Digest as _, Sha256, Sha512};

use super::{CheckedFunction, FetchError, Mismatch, Reason, Wanted};
use crate::spec::GitId;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// By what a file is recognised.
pub(in crate::source) struct Expected {
    size: Option<u64>,
    content: Option<GitId>,
    sha256: Option<String>,
    sha512: Option<String>,
}

/// Checks that a file is the one wanted, and returns its size. Blocks.
///
/// # Errors
/// `Refused` when it is another file, or none.
pub fn check_file(path: &Path, wanted: &Wanted<'_>) -> Result<u64, FetchError> {
    let refused = |reason| FetchError::Refused { path: path.to_owned(), source: reason };
    Expected::of(wanted).check(path, u64::MAX).map_err(refused)
}

impl Expected {
    /// Returns by what a file is recognised, for another thread.
    pub(super) fn of(wanted: &Wanted<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (sha256, sha512) = (owned(wanted.sha256), owned(wanted.sha512));
        Self { size: None, content: Some(wanted.content), sha256, sha512 }
    }

    /// Returns by what a file is recognised whose SHA-256 and size are known.
    pub(in crate::source) fn blob(sha256: String, size: u64) -> Self {
        Self { size: Some(size), content: None, sha256: Some(sha256), sha512: None }
    }

    /// Returns its size, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Checks that a file has at most `limit` bytes and is this one, and returns its size. Blocks.
    pub(super) fn check(&self, path: &Path, limit: u64) -> Result<u64, Reason> {
        let read = |source| Reason::Read { source };
        // Looked at first: to open a pipe would wait for its other end.
        let found = std::fs::metadata(path).map_err(read)?;
        if !found.is_file() {
            return Err(Reason::NoFile);
        }
        let size = found.len();
        if size > limit {
            return Err(Reason::TooLarge { limit });
        }
        if let Some(expected) = self.size.filter(|expected| *expected != size) {
            return Err(Mismatch::Size { expected, actual: size }.into());
        }
        let checksums = Checksums::of(File::open(path).map_err(read)?, size, self).map_err(read)?;
        self.compare(checksums)?;
        Ok(size)
    }

    fn compare(&self, checksums: Checksums) -> Result<(), Mismatch> {
        let differs = |function, expected: &str, actual: String| {
            if expected == actual {
                return Ok(());
            }
            Err(Mismatch::Checksum { function, expected: expected.to_owned(), actual })
        };
        if let (Some(expected), Some(actual)) = (&self.content, checksums.git) {
            let CollisionResult::Ok(actual) = actual.try_finalize() else { return Err(Mismatch::Collision) };
            differs(CheckedFunction::GitBlob, &expected.to_string(), const_hex::encode(actual))?;
        }
        if let (Some(expected), Some(actual)) = (&self.sha256, checksums.sha256) {
            differs(CheckedFunction::Sha256, expected, const_hex::encode(actual.finalize()))?;
        }
        if let (Some(expected), Some(actual)) = (&self.sha512, checksums.sha512) {
            differs(CheckedFunction::Sha512, expected, const_hex::encode(actual.finalize()))?;
        }
        Ok(())
    }
}

/// What is computed of a file in one pass.
struct Checksums {
    git: Option<Sha1>,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Checksums {
    fn of(mut file: impl Read, size: u64, expected: &Expected) -> io::Result<Self> {
        let mut git = expected.content.map(|_| Sha1::builder().safe_hash(false).build());
        git.iter_mut().for_each(|hasher| hasher.update(format!("blob {size}\0")));
        let mut sha256 = expected.sha256.as_ref().map(|_| Sha256::new());
        let mut sha512 = expected.sha512.as_ref().map(|_| Sha512::new());
        let mut piece = vec![0; PIECE];
        loop {
            let bytes = match file.read(&mut piece) {
                Ok(0) => return Ok(Self { git, sha256, sha512 }),
                Ok(count) => &piece[..count],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            git.iter_mut().for_each(|hasher| hasher.update(bytes));
            sha256.iter_mut().for_each(|hasher| hasher.update(bytes));
            sha512.iter_mut().for_each(|hasher| hasher.update(bytes));
        }
    }
}
