//! The files of a store as a whole: what there is, when it was used, what goes.
//!
//! A use is noted as the file's time of access, which the file system keeps anyway; the time of change, which
//! tools look at, is the same for all files.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

use super::file::{FileBlobStore, mode};
use super::times::{settle, settle_path};
use super::used::{Moment, Refresh};
use super::{StoreError, remove_tree};
use crate::digest::{Digest, DigestFunction};

/// What lies in the directory of blobs.
pub(super) enum Swept {
    /// A file with the name of a blob.
    Blob(BlobFile),
    /// Something else.
    Stray(PathBuf),
}

/// A file that holds a blob, or should.
pub(super) struct BlobFile {
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    /// Its length, which is that of the blob unless it is torn.
    pub(super) length: u64,
    pub(super) used: Moment,
    /// The names that it has, of which one is here.
    pub(super) links: u64,
}

impl FileBlobStore {
    /// Calls `each` with everything in the directory of blobs.
    ///
    /// # Errors
    /// When it cannot be read, and those of `each`.
    pub(super) fn sweep(&self, mut each: impl FnMut(Swept) -> Result<(), StoreError>) -> Result<(), StoreError> {
        for function in DigestFunction::ALL {
            for prefix in 0..=u8::MAX {
                let directory = self.root().join(function.as_str()).join(format!("{prefix:02x}"));
                let unreadable = || StoreError::io("read the directory", &directory);
                for entry in fs::read_dir(&directory).map_err(unreadable())? {
                    let path = entry.map_err(unreadable())?.path();
                    match swept(function, path.clone()) {
                        Ok(swept) => each(swept)?,
                        // Gone since it was listed.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(StoreError::io("look at", &path)(error)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the bytes that the files take on the disk.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn allocated(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        self.sweep(|swept| {
            if let Swept::Blob(file) = swept {
                total += super::space::allocated(file.length);
            }
            Ok(())
        })?;
        Ok(total)
    }

    /// Says whether the blob is there, and notes its use.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub(super) fn note_use(&self, digest: &Digest, refresh: Refresh) -> Result<bool, StoreError> {
        let Some((path, found)) = self.find(digest)? else { return Ok(false) };
        if refresh.is_due(accessed(&found)) {
            set_accessed(&path, refresh.now)?;
        }
        Ok(true)
    }

    /// Returns when a blob was last used; `None` when it is not there.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub(super) fn used(&self, digest: &Digest) -> Result<Option<Moment>, StoreError> {
        Ok(self.find(digest)?.map(|(_, found)| accessed(&found)))
    }

    /// Moves a read-only file into the store. Returns whether there was none of its name.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub(super) fn take_in(&self, digest: &Digest, path: &Path, executable: bool) -> Result<bool, StoreError> {
        fs::set_permissions(path, mode(executable)).map_err(StoreError::io("protect", path))?;
        settle_path(path).map_err(StoreError::io("set the time of", path))?;
        let target = self.path(digest, executable);
        let new = !target.exists();
        fs::rename(path, &target).map_err(StoreError::io("move into the store", &target))?;
        Ok(new)
    }

    /// Writes a new read-only file outside the store.
    ///
    /// # Errors
    /// When it is there already, or cannot be written.
    pub(super) fn write_new(&self, bytes: &[u8], executable: bool, path: &Path) -> Result<(), StoreError> {
        use std::os::unix::fs::OpenOptionsExt;
        let mode = if executable { 0o555 } else { 0o444 };
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let written = file.and_then(|mut file| io::Write::write_all(&mut file, bytes).and_then(|()| settle(&file)));
        written.map_err(StoreError::io("write", path))
    }

    /// Removes a blob, in both modes, and returns how many files that were.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn remove(&self, digest: &Digest) -> Result<usize, StoreError> {
        let mut removed = 0;
        for executable in [false, true] {
            removed += usize::from(remove_file(&self.path(digest, executable))?);
        }
        Ok(removed)
    }

    /// Removes all temporary files and directories. For the one process that uses the store.
    ///
    /// # Errors
    /// When they cannot be listed; one that cannot be removed is reported.
    pub(super) fn clear(&self) -> Result<(), StoreError> {
        self.clear_directories()?;
        let directory = self.temporary();
        let entries = fs::read_dir(directory).map_err(StoreError::io("read the directory", directory))?;
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| !path.is_dir()) {
            if let Err(error) = remove_file(&path) {
                tracing::warn!(%error, "cannot remove what a killed process left behind");
            }
        }
        Ok(())
    }

    /// Removes the temporary directories that a process left behind which was killed. For the one who makes them.
    ///
    /// # Errors
    /// When they cannot be listed; one that cannot be removed is reported.
    pub fn clear_directories(&self) -> Result<(), StoreError> {
        let directory = self.temporary();
        let entries = fs::read_dir(directory).map_err(StoreError::io("read the directory", directory))?;
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()) {
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(%error, path = %path.display(), "cannot remove what a killed process left behind");
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn note(&self, digest: &Digest, used: Moment) {
        let (path, _) = self.find(digest).expect("readable").expect("it is there");
        set_accessed(&path, used).expect("it is ours");
    }

    /// Flips a bit of a stored blob.
    #[cfg(test)]
    pub(super) fn corrupt(&self, digest: &Digest) {
        use std::os::unix::fs::PermissionsExt;
        let (path, _) = self.find(digest).expect("readable").expect("it is there");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let mut bytes = fs::read(&path).expect("readable");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&path, bytes).expect("writable");
    }
}

/// Removes a file. Returns whether there was one.
pub(super) fn remove_file(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("remove", path)(error)),
    }
}

fn swept(function: DigestFunction, path: PathBuf) -> io::Result<Swept> {
    let found = fs::symlink_metadata(&path)?;
    let digest = path.file_name().and_then(|name| named(function, name.to_str()?));
    let Some(digest) = digest.filter(|_| found.is_file()) else { return Ok(Swept::Stray(path)) };
    let (length, used, links) = (found.len(), accessed(&found), found.nlink());
    Ok(Swept::Blob(BlobFile { path, digest, length, used, links }))
}

/// Reads the name of a blob's file.
fn named(function: DigestFunction, name: &str) -> Option<Digest> {
    let (hash, size) = name.strip_suffix('x').unwrap_or(name).split_once('-')?;
    Digest::parse(function, hash, size.parse().ok()?).ok()
}

fn set_accessed(path: &Path, used: Moment) -> Result<(), StoreError> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: used.seconds(), tv_nsec: 0 },
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    };
    let noted = utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
    noted.map_err(|error| StoreError::io("note the use of", path)(error.into()))
}

/// Returns when a file was last used.
fn accessed(found: &Metadata) -> Moment {
    let seconds = u64::try_from(found.atime()).unwrap_or(0);
    Moment::of(UNIX_EPOCH + Duration::from_secs(seconds))
}
