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
pub(super) struct Expected {
    content: GitId,
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
        Self { content: wanted.content, sha256: owned(wanted.sha256), sha512: owned(wanted.sha512) }
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
        let checksums = Checksums::of(File::open(path).map_err(read)?, size, self).map_err(read)?;
        self.compare(checksums)?;
        Ok(size)
    }

    fn compare(&self, checksums: Checksums) -> Result<(), Mismatch> {
        let CollisionResult::Ok(sha1) = checksums.git.try_finalize() else { return Err(Mismatch::Collision) };
        let differs = |function, expected: &str, actual: String| {
            if expected == actual {
                return Ok(());
            }
            Err(Mismatch::Checksum { function, expected: expected.to_owned(), actual })
        };
        differs(CheckedFunction::GitBlob, &self.content.to_string(), const_hex::encode(sha1))?;
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
    git: Sha1,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Checksums {
    fn of(mut file: impl Read, size: u64, expected: &Expected) -> io::Result<Self> {
        let mut git = Sha1::builder().safe_hash(false).build();
        git.update(format!("blob {size}\0"));
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
            git.update(bytes);
            sha256.iter_mut().for_each(|hasher| hasher.update(bytes));
            sha512.iter_mut().for_each(|hasher| hasher.update(bytes));
        }
    }
}
