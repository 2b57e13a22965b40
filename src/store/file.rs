//! The local blob store: one file a blob.
//!
//! Many processes may use one store at once. A blob is written beside and
//! renamed in, so a name that is there is whole; its size is part of the name,
//! so a file torn by a crash of the machine is noticed and counts as absent.
//! Files are read-only and shared by hard links: the mode belongs to the file,
//! so an executable is a second file, named `…x`. All have the same time of
//! change, which belongs to the file as well.
//!
//! ```text
//! ROOT/blobs/FUNCTION/ab/abcdef…-SIZE[x]
//! ROOT/tmp/
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::{NamedTempFile, TempDir};

use super::times::{settle, settle_older};
use super::verified::{VerifiedRead, copy_verified, discard};
use super::{BlobStore, StoreError, blocking, check_digest};
use crate::digest::{Digest, DigestFunction};

/// Bytes hashed or copied at a time.
const CHUNK: usize = 256 << 10;

/// Blobs as files below one directory.
#[derive(Debug, Clone)]
pub struct FileBlobStore {
    inner: Arc<Paths>,
}

#[derive(Debug)]
struct Paths {
    blobs: PathBuf,
    temporary: PathBuf,
}

impl FileBlobStore {
    /// Opens the store below `root`, and makes it when there is none.
    ///
    /// # Errors
    /// When its directories cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let paths = Paths { blobs: root.join("blobs"), temporary: root.join("tmp") };
        for directory in [&paths.blobs, &paths.temporary] {
            fs::create_dir_all(directory).map_err(StoreError::io("make the directory", directory))?;
        }
        for function in DigestFunction::ALL {
            let base = paths.blobs.join(function.as_str());
            if base.join("ff").is_dir() {
                continue;
            }
            for prefix in 0..=255_u8 {
                let directory = base.join(format!("{prefix:02x}"));
                fs::create_dir_all(&directory).map_err(StoreError::io("make the directory", &directory))?;
            }
        }
        let store = Self { inner: Arc::new(paths) };
        // Clients of the REAPI take the empty blob for granted and never send it.
        DigestFunction::ALL.iter().try_for_each(|function| store.write_checked(&function.empty(), b""))?;
        Ok(store)
    }

    /// Returns the directory of the blobs.
    pub fn root(&self) -> &Path {
        &self.inner.blobs
    }

    /// Returns where the blob lies when it is there.
    pub fn path(&self, digest: &Digest, executable: bool) -> PathBuf {
        let mut path = self.inner.blobs.join(digest.function().as_str());
        path.push(format!("{:02x}", digest.prefix()));
        path.push(file_name(digest, executable));
        path
    }

    /// Says whether the blob is there. Its size is checked, its content is not.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.find(digest)?.is_some())
    }

    /// Returns the directory of what is on its way.
    pub(super) fn temporary(&self) -> &Path {
        &self.inner.temporary
    }

    /// Returns the file that holds the blob, in either mode.
    pub(super) fn find(&self, digest: &Digest) -> Result<Option<(PathBuf, fs::Metadata)>, StoreError> {
        for executable in [false, true] {
            let path = self.path(digest, executable);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.len() == digest.size() => return Ok(Some((path, found))),
                Ok(_) => discard(digest, &path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("look for the blob", &path)(error)),
            }
        }
        Ok(None)
    }

    /// Returns the blob, verified. A file with other bytes is reported and removed, and counts as absent.
    ///
    /// # Errors
    /// When the file system cannot read it.
    pub fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        for executable in [false, true] {
            let path = self.path(digest, executable);
            match read_at_most(&path, digest.size()) {
                Ok(bytes) if digest.matches(&bytes) => return Ok(Some(bytes)),
                Ok(_) => discard(digest, &path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("read the blob", &path)(error)),
            }
        }
        Ok(None)
    }

    /// Opens the blob for one reading from start to end, in which it is verified.
    ///
    /// # Errors
    /// When the file system cannot open it.
    pub fn open_read(&self, digest: &Digest) -> Result<Option<VerifiedRead>, StoreError> {
        while let Some((path, _)) = self.find(digest)? {
            match File::open(&path) {
                Ok(file) => return Ok(Some(VerifiedRead::new(*digest, path, file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("open the blob", &path)(error)),
            }
        }
        Ok(None)
    }

    /// Opens the blob for reading after verifying all of it.
    ///
    /// # Errors
    /// When the file system cannot read it.
    pub fn open_verified(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        while let Some((path, _)) = self.find(digest)? {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("open the blob", &path)(error)),
            };
            let actual = hash_reader(digest.function(), &mut file).map_err(StoreError::io("read the blob", &path))?;
            if actual == *digest {
                io::Seek::rewind(&mut file).map_err(StoreError::io("rewind the blob", &path))?;
                return Ok(Some(file));
            }
            discard(digest, &path)?;
        }
        Ok(None)
    }

    /// Stores bytes that have been checked against the digest.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write_checked(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        if self.contains(digest)? {
            return Ok(());
        }
        let mut file = self.temporary_file()?;
        file.write_all(bytes).map_err(StoreError::io("write the blob", file.path()))?;
        self.install(digest, file)
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// `Mismatch` when they are not those that the digest names.
    pub fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let actual = digest.function().digest(bytes);
        if actual != *digest {
            return Err(StoreError::Mismatch { expected: *digest, actual });
        }
        self.write_checked(digest, bytes)
    }

    /// Stores what a reader gives.
    ///
    /// # Errors
    /// `Mismatch` when it gives other bytes than the digest names; no more than its size is read.
    pub fn write_from(&self, digest: &Digest, reader: impl Read) -> Result<(), StoreError> {
        let mut file = self.temporary_file()?;
        let mut hasher = digest.function().hasher();
        let mut reader = reader.take(digest.size().saturating_add(1));
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = reader.read(&mut buffer).map_err(StoreError::io("read for the blob", file.path()))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            file.write_all(&buffer[..count]).map_err(StoreError::io("write the blob", file.path()))?;
        }
        check_digest(digest, hasher)?;
        self.install(digest, file)
    }

    /// Puts a verified temporary file in its place.
    fn install(&self, digest: &Digest, file: NamedTempFile) -> Result<(), StoreError> {
        self.install_at(file, false, &self.path(digest, false))
    }

    /// Puts a finished temporary file at a path on the file system of the store, read-only.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn install_at(&self, file: NamedTempFile, executable: bool, path: &Path) -> Result<(), StoreError> {
        fs::set_permissions(file.path(), mode(executable)).map_err(StoreError::io("protect", file.path()))?;
        settle(file.as_file()).map_err(StoreError::io("set the time of", file.path()))?;
        file.persist(path).map_err(|error| StoreError::io("put in place", path)(error.error))?;
        Ok(())
    }

    /// Makes the blob appear at `destination`, which must not exist, as a hard link with the wanted mode.
    /// Returns whether the blob was there. Only its size is checked.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn link_to(&self, digest: &Digest, executable: bool, destination: &Path) -> Result<bool, StoreError> {
        let path = self.path(digest, executable);
        match fs::hard_link(&path, destination) {
            Ok(()) => {
                let found = fs::symlink_metadata(destination).map_err(StoreError::io("look at", destination))?;
                if found.len() == digest.size() {
                    settle_older(destination, &found).map_err(StoreError::io("set the time of", destination))?;
                    return Ok(true);
                }
                fs::remove_file(destination).map_err(StoreError::io("remove", destination))?;
                discard(digest, &path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("link the blob to", destination)(error)),
        }
        self.link_other_mode(digest, executable, destination)
    }

    /// Makes the file of the wanted mode from that of the other, if there is one, and links it.
    pub(super) fn link_other_mode(
        &self,
        digest: &Digest,
        executable: bool,
        destination: &Path,
    ) -> Result<bool, StoreError> {
        let other = self.path(digest, !executable);
        if !other.exists() {
            return Ok(false);
        }
        let Some(mut source) = self.open_verified(digest)? else { return Ok(false) };
        let mut copy = self.temporary_file()?;
        io::copy(&mut source, &mut copy).map_err(StoreError::io("copy the blob to", copy.path()))?;
        let path = self.path(digest, executable);
        self.install_at(copy, executable, &path)?;
        fs::hard_link(&path, destination).map_err(StoreError::io("link the blob to", destination))?;
        Ok(true)
    }

    /// Links a complete, verified, read-only file into the store.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn share(&self, digest: &Digest, executable: bool, source: &Path) -> Result<(), StoreError> {
        let path = self.path(digest, executable);
        match fs::hard_link(source, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::io("link into the store", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Returns a new temporary file on the file system of the store.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary_file(&self) -> Result<NamedTempFile, StoreError> {
        let directory = &self.inner.temporary;
        NamedTempFile::new_in(directory).map_err(StoreError::io("make a temporary file in", directory))
    }

    /// Returns a new temporary directory on the file system of the store.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary_directory(&self) -> Result<TempDir, StoreError> {
        let directory = &self.inner.temporary;
        TempDir::new_in(directory).map_err(StoreError::io("make a temporary directory in", directory))
    }
}

/// Returns the name of the file that holds a blob.
pub(super) fn file_name(digest: &Digest, executable: bool) -> String {
    let suffix = if executable { "x" } else { "" };
    format!("{}-{}{suffix}", digest.hash(), digest.size())
}

/// Reads a file in one call, or one byte more than `size` when it is longer.
fn read_at_most(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    File::open(path)?.take(size.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn mode(executable: bool) -> fs::Permissions {
    fs::Permissions::from_mode(if executable { 0o555 } else { 0o444 })
}

/// Returns the digest of a file. Blocks.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn hash_file(function: DigestFunction, path: &Path) -> Result<Digest, StoreError> {
    let mut file = File::open(path).map_err(StoreError::io("open", path))?;
    hash_reader(function, &mut file).map_err(StoreError::io("read", path))
}

/// Returns the digest of everything a reader gives.
pub(crate) fn hash_reader(function: DigestFunction, reader: &mut impl Read) -> io::Result<Digest> {
    let mut hasher = function.hasher();
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[async_trait]
impl BlobStore for FileBlobStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let (store, digests) = (self.clone(), digests.to_vec());
        blocking(move || {
            let mut seen = HashSet::with_capacity(digests.len());
            let mut missing = Vec::new();
            for digest in digests {
                if seen.insert(digest) && !store.contains(&digest)? {
                    missing.push(digest);
                }
            }
            Ok(missing)
        })
        .await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let (store, digest) = (self.clone(), *digest);
        blocking(move || Ok(store.read(&digest)?.map(Bytes::from))).await
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        let (store, digests) = (self.clone(), digests.to_vec());
        blocking(move || {
            let mut found = HashMap::with_capacity(digests.len());
            for digest in digests {
                if let Some(bytes) = store.read(&digest)? {
                    found.insert(digest, Bytes::from(bytes));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || blobs.iter().try_for_each(|(digest, bytes)| store.write(digest, bytes))).await
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        let (store, digest, path) = (self.clone(), *digest, path.to_owned());
        blocking(move || {
            let file = File::open(&path).map_err(StoreError::io("open", &path))?;
            store.write_from(&digest, file)
        })
        .await
    }

    async fn get_file(&self, digest: &Digest, path: &Path) -> Result<bool, StoreError> {
        let (store, digest, path) = (self.clone(), *digest, path.to_owned());
        blocking(move || match store.open_read(&digest)? {
            Some(blob) => copy_verified(blob, &path),
            None => Ok(false),
        })
        .await
    }
}
