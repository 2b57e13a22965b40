//! Linking many blobs at once.
//!
//! The directories of the store are held open, and so is the one that is linked into, so the kernel walks no
//! long path for each of thousands of files.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, linkat, openat, statat};
use rustix::io::Errno;

use super::file::file_name;
use super::times::{settle, settle_older_at};
use super::verified::discard;
use super::{FileBlobStore, StoreError};
use crate::digest::{Digest, DigestFunction};

/// The directories of a store, open.
pub struct Linker {
    store: FileBlobStore,
    /// By first byte of the hash.
    prefixes: Vec<Prefix>,
}

/// The directory of all blobs whose hashes begin with the same byte.
struct Prefix {
    directory: File,
    /// Whether there were any when it was opened.
    occupied: bool,
}

impl Linker {
    /// Opens the directories of a store for blobs of a function.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(store: FileBlobStore, function: DigestFunction) -> Result<Self, StoreError> {
        let base = store.root().join(function.as_str());
        let open = |prefix: u8| {
            let path = base.join(format!("{prefix:02x}"));
            let directory = File::open(&path).map_err(StoreError::io("open the directory", &path))?;
            let unreadable = |error: Errno| StoreError::io("read the directory", &path)(error.into());
            let mut entries = Dir::read_from(&directory).map_err(unreadable)?.skip_while(is_dot);
            let occupied = entries.next().is_some();
            Ok::<_, StoreError>(Prefix { directory, occupied })
        };
        let prefixes = (0..=u8::MAX).map(open).collect::<Result<_, _>>()?;
        Ok(Self { store, prefixes })
    }

    /// Makes the blob appear as `name` in an open directory, which lies at `path`; nothing may be there yet.
    /// Returns whether the blob was in the store. Only its size is checked.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn link(
        &self,
        digest: &Digest,
        executable: bool,
        directory: &File,
        path: &Path,
        name: &str,
    ) -> Result<bool, StoreError> {
        let prefix = &self.prefixes[usize::from(digest.prefix())];
        if !prefix.occupied {
            return Ok(false);
        }
        let failed = |error: Errno| StoreError::io("link a blob to", &path.join(name))(error.into());
        match linkat(&prefix.directory, file_name(digest, executable), directory, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return self.store.link_other_mode(digest, executable, &path.join(name)),
            Err(error) => return Err(failed(error)),
        }
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        if u64::try_from(found.st_size) == Ok(digest.size()) {
            settle_older_at(directory, name, &found).map_err(StoreError::io("set the time of", &path.join(name)))?;
            return Ok(true);
        }
        std::fs::remove_file(path.join(name)).map_err(StoreError::io("remove", &path.join(name)))?;
        discard(digest, &self.store.path(digest, executable))?;
        self.store.link_other_mode(digest, executable, &path.join(name))
    }
}

impl Linker {
    /// Writes verified bytes as a new file `name` in an open directory, which lies at `path`, and shares the file
    /// with the store.
    ///
    /// # Errors
    /// When it cannot be written; nothing may be there yet.
    pub fn write(
        &self,
        digest: &Digest,
        bytes: &[u8],
        executable: bool,
        directory: &File,
        path: &Path,
        name: &str,
    ) -> Result<(), StoreError> {
        let failed = |error: Errno| StoreError::io("write", &path.join(name))(error.into());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o555 } else { 0o444 });
        let mut file = File::from(openat(directory, name, flags, mode).map_err(failed)?);
        let written = file.write_all(bytes).and_then(|()| settle(&file));
        written.map_err(StoreError::io("write", &path.join(name)))?;
        drop(file);
        let prefix = &self.prefixes[usize::from(digest.prefix())].directory;
        match linkat(directory, name, prefix, file_name(digest, executable), AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(StoreError::io("link into the store", &path.join(name))(error.into())),
        }
    }
}

fn is_dot(entry: &rustix::io::Result<rustix::fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."))
}
