//! The blob store of a server: small blobs in the database, large ones as files, within a limit.
//!
//! Room is reserved before anything is written; when there is none, what was not used for longest goes
//! (`collect.rs`). A store that clients share consists of files alone, for only one process can have the database.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use super::file::hash_reader;
use super::pins::{Pin, Pins};
use super::small::{SMALL_BYTES, SmallBlobs};
use super::space::{Reservation, Space, Stored};
use super::sweep::Swept;
use super::used::Refresh;
use super::verified::copy_verified;
use super::{BlobStore, Database, FileBlobStore, StoreError, blocking};
use crate::digest::{Digest, DigestFunction};

/// What the record of a small blob takes beside its bytes.
pub(super) const RECORD_BYTES: u64 = 128;

/// How a store keeps its blobs.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The most bytes that it may take on the disk.
    pub max_size: Option<u64>,
    /// What was used within so long is never evicted.
    pub grace: Duration,
    /// Whether other processes use its files too. It then consists of files alone.
    pub shared: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { max_size: None, grace: Duration::from_secs(60), shared: false }
    }
}

/// Blobs of a server. Of all methods that are not async, each blocks.
#[derive(Clone)]
pub struct LocalBlobStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) files: FileBlobStore,
    pub(super) small: SmallBlobs,
    pub(super) database: Database,
    pub(super) space: Arc<Space>,
    pub(super) options: StoreOptions,
    pub(super) pins: Pins,
    /// Held shared while a use is noted, and alone while something is evicted: nothing goes that was just found.
    pub(super) evicting: RwLock<()>,
    /// Held by the one who collects, with the time before which it makes no sense to try again.
    pub(super) collecting: Mutex<Option<Instant>>,
}

impl LocalBlobStore {
    /// Opens the store below `root`, and makes it when there is none.
    ///
    /// # Errors
    /// When its directories cannot be made or read.
    pub fn open(root: &Path, database: Database, options: StoreOptions) -> Result<Self, StoreError> {
        let files = FileBlobStore::open(root)?;
        let space = Space::new(root, database.path(), options.max_size, files.allocated()?);
        let small = SmallBlobs::new(database.clone());
        let (pins, evicting, collecting) = Default::default();
        let inner = Inner { files, small, database, space, options, pins, evicting, collecting };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Says whether a blob belongs into the database. The empty blob is a file, which is always there.
    pub(super) fn is_small(&self, digest: &Digest) -> bool {
        !self.inner.options.shared && (1..=SMALL_BYTES).contains(&digest.size())
    }

    /// Keeps room for a blob, and makes it if need be.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, StoreError> {
        let space = &self.inner.space;
        if let Some(reservation) = space.reserve(bytes)? {
            return Ok(reservation);
        }
        self.make_room(bytes)?;
        let full = || Ok(StoreError::Full { needed: bytes, used: space.used()? });
        match space.reserve(bytes)? {
            Some(reservation) => Ok(reservation),
            None => Err(full().unwrap_or_else(|error: StoreError| error)),
        }
    }

    fn refresh(&self) -> Refresh {
        Refresh::within(self.inner.options.grace)
    }

    /// Keeps evictions away while what is returned lives.
    fn no_eviction(&self) -> std::sync::RwLockReadGuard<'_, ()> {
        self.inner.evicting.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the blob is there. Its content is not checked. It counts as used.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.contain(std::slice::from_ref(digest))?[0])
    }

    /// Says for each of the blobs whether it is there. Those that are count as used.
    fn contain(&self, digests: &[Digest]) -> Result<Vec<bool>, StoreError> {
        let refresh = self.refresh();
        let _guard = self.no_eviction();
        let (small, at): (Vec<Digest>, Vec<usize>) = digests
            .iter()
            .enumerate()
            .filter(|(_, digest)| self.is_small(digest))
            .map(|(at, digest)| (*digest, at))
            .unzip();
        let mut found = vec![false; digests.len()];
        for (at, there) in at.into_iter().zip(self.inner.small.contain(&small, refresh)?) {
            found[at] = there;
        }
        for (at, digest) in digests.iter().enumerate().filter(|(_, digest)| !self.is_small(digest)) {
            found[at] = self.inner.files.note_use(digest, refresh)?;
        }
        Ok(found)
    }

    /// Returns the blob, verified. Other bytes than it should have are reported and removed, and count as absent.
    ///
    /// # Errors
    /// When the store cannot read it.
    pub fn read(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(self.read_many(std::slice::from_ref(digest))?.pop().flatten())
    }

    /// Returns the blobs, verified, in the order asked; absent ones are `None`.
    fn read_many(&self, digests: &[Digest]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let refresh = self.refresh();
        let _guard = self.no_eviction();
        let small: Vec<Digest> = digests.iter().filter(|digest| self.is_small(digest)).copied().collect();
        let mut blobs = self.inner.small.read(&small)?.into_iter();
        self.inner.small.contain(&small, refresh)?;
        let read = |digest| {
            if self.is_small(digest) {
                return Ok(blobs.next().flatten());
            }
            self.inner.files.note_use(digest, refresh)?;
            Ok(self.inner.files.read(digest)?.map(Bytes::from))
        };
        digests.iter().map(read).collect()
    }

    /// Opens the blob for one reading from start to end, in which it is verified: the read that would give its
    /// last bytes fails with `InvalidData` when they are not the blob.
    ///
    /// # Errors
    /// When the store cannot open it.
    pub fn open_read(&self, digest: &Digest) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        if self.is_small(digest) {
            return Ok(self.read(digest)?.map(reader));
        }
        self.contains(digest)?;
        Ok(self.inner.files.open_read(digest)?.map(|file| Box::new(file) as Box<dyn Read + Send>))
    }

    /// Opens the blob at an offset, after verifying all of it.
    ///
    /// # Errors
    /// When the store cannot read it.
    pub fn open_at(&self, digest: &Digest, offset: u64) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        if self.is_small(digest) {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            return Ok(self.read(digest)?.map(|bytes| reader(bytes.slice(from.min(bytes.len())..))));
        }
        self.contains(digest)?;
        let files = &self.inner.files;
        let Some(mut file) = files.open_verified(digest)? else { return Ok(None) };
        file.seek(SeekFrom::Start(offset)).map_err(StoreError::io("seek in", &files.path(digest, false)))?;
        Ok(Some(Box::new(file)))
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// `Mismatch` when they are not those that the digest names, `Full` when there is no room.
    pub fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        check(digest, bytes)?;
        self.write_checked(&[(*digest, bytes)])
    }

    /// Stores bytes that have been checked against their digests.
    pub(super) fn write_checked(&self, blobs: &[(Digest, &[u8])]) -> Result<(), StoreError> {
        let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
        let there = self.contain(&digests)?;
        let new = || blobs.iter().zip(&there).filter(|(_, there)| !**there).map(|(blob, _)| blob);
        let small: Vec<_> = new().filter(|(digest, _)| self.is_small(digest)).collect();
        if !small.is_empty() {
            let room = self.reserve(small.iter().map(|(digest, _)| digest.size() + RECORD_BYTES).sum())?;
            let blobs = small.iter().map(|(digest, bytes)| (digest, *bytes));
            self.inner.small.write(blobs, self.refresh().now)?;
            room.take(Stored::Database);
        }
        for (digest, bytes) in new().filter(|(digest, _)| !self.is_small(digest)) {
            let room = self.reserve(digest.size())?;
            self.inner.files.write_checked(digest, bytes)?;
            room.take(Stored::File);
        }
        Ok(())
    }

    /// Moves a file into the store and returns its digest. The caller must be the only one who has it open.
    ///
    /// # Errors
    /// When it cannot be read or moved; it must lie on the file system of the store.
    pub fn adopt(&self, function: DigestFunction, path: &Path, executable: bool) -> Result<Digest, StoreError> {
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        let digest = hash_reader(function, &mut file).map_err(StoreError::io("read", path))?;
        if self.is_small(&digest) {
            let bytes = std::fs::read(path).map_err(StoreError::io("read", path))?;
            self.write(&digest, &bytes)?;
            std::fs::remove_file(path).map_err(StoreError::io("remove", path))?;
            return Ok(digest);
        }
        drop(file);
        let room = self.reserve(digest.size())?;
        if self.inner.files.take_in(&digest, path, executable)? {
            room.take(Stored::File);
        }
        Ok(digest)
    }

    /// Makes the blob appear, verified, as a new read-only file, which may be shared with the store: nobody may
    /// write to it. Returns whether the blob was there.
    ///
    /// # Errors
    /// When the file system refuses; the path must lie on that of the store.
    pub fn place(&self, digest: &Digest, executable: bool, path: &Path) -> Result<bool, StoreError> {
        if !self.is_small(digest) {
            return self.place_file(digest, executable, path);
        }
        let Some(bytes) = self.read(digest)? else { return Ok(false) };
        self.inner.files.write_new(&bytes, executable, path)?;
        Ok(true)
    }

    fn place_file(&self, digest: &Digest, executable: bool, path: &Path) -> Result<bool, StoreError> {
        let files = &self.inner.files;
        if !self.contains(digest)? || files.open_verified(digest)?.is_none() {
            return Ok(false);
        }
        // The mode belongs to the file, so the blob may have to be there twice.
        let room = if files.path(digest, executable).exists() { None } else { Some(self.reserve(digest.size())?) };
        let placed = files.link_to(digest, executable, path)?;
        if let Some(room) = room.filter(|_| placed) {
            room.take(Stored::File);
        }
        Ok(placed)
    }

    /// Removes a blob.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        if self.is_small(digest) {
            return self.inner.small.remove(std::slice::from_ref(digest));
        }
        for _ in 0..self.inner.files.remove(digest)? {
            self.inner.space.file_went(digest.size());
        }
        Ok(())
    }

    /// Keeps blobs from being evicted while what is returned lives. They need not be there.
    pub fn pin(&self, digests: Vec<Digest>) -> Pin {
        let _guard = self.no_eviction();
        self.inner.pins.pin(digests)
    }

    /// Calls `each` with every blob, in no order; one that is there in both modes twice.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, mut each: impl FnMut(Digest)) -> Result<(), StoreError> {
        self.inner.files.sweep(|swept| {
            if let Swept::Blob(file) = swept {
                each(file.digest);
            }
            Ok(())
        })?;
        self.inner.small.scan(|digest, _| {
            each(digest);
            Ok(())
        })
    }

    /// Returns the bytes that the store takes on the disk.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn used(&self) -> Result<u64, StoreError> {
        self.inner.space.used()
    }

    /// Returns a new temporary directory on the file system of the store.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary_directory(&self) -> Result<TempDir, StoreError> {
        self.inner.files.temporary_directory()
    }

    /// Removes what a process left behind that was killed. For the one who has the store.
    ///
    /// # Errors
    /// When it cannot be listed; what cannot be removed is reported.
    pub fn clear(&self) -> Result<(), StoreError> {
        if self.inner.options.shared { self.inner.files.clear_directories() } else { self.inner.files.clear() }
    }

    pub(super) fn collecting(&self) -> MutexGuard<'_, Option<Instant>> {
        self.inner.collecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a blob look as if it had been used so long ago the last time.
    #[cfg(test)]
    pub(super) fn age(&self, digest: &Digest, age: Duration) {
        let then = super::used::Moment::now().before(age);
        if self.is_small(digest) {
            self.inner.small.note(digest, then);
        } else {
            self.inner.files.note(digest, then);
        }
    }

    /// Returns when a blob was last used.
    #[cfg(test)]
    pub(super) fn used_at(&self, digest: &Digest) -> Option<super::used::Moment> {
        let small = self.inner.small.used(&[*digest]).expect("readable")[0];
        if self.is_small(digest) { small } else { self.inner.files.used(digest).expect("readable") }
    }

    /// Flips a bit of the stored blob.
    #[cfg(test)]
    pub(crate) fn corrupt(&self, digest: &Digest) {
        if !self.is_small(digest) {
            return self.inner.files.corrupt(digest);
        }
        let mut bytes = self.read(digest).expect("readable").expect("it is there").to_vec();
        *bytes.last_mut().expect("not empty") ^= 1;
        self.inner.small.write([(digest, &*bytes)].into_iter(), self.refresh().now).expect("writable");
    }
}

fn reader(bytes: Bytes) -> Box<dyn Read + Send> {
    Box::new(Cursor::new(bytes))
}

fn check(digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
    let actual = digest.function().digest(bytes);
    if actual == *digest { Ok(()) } else { Err(StoreError::Mismatch { expected: *digest, actual }) }
}

#[async_trait]
impl BlobStore for LocalBlobStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let mut seen = HashSet::with_capacity(digests.len());
        let asked: Vec<Digest> = digests.iter().filter(|digest| seen.insert(**digest)).copied().collect();
        let store = self.clone();
        blocking(move || {
            let there = store.contain(&asked)?;
            Ok(asked.into_iter().zip(there).filter(|(_, there)| !there).map(|(digest, _)| digest).collect())
        })
        .await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let (store, digest) = (self.clone(), *digest);
        blocking(move || store.read(&digest)).await
    }

    async fn get_batch(&self, digests: &[Digest]) -> Result<HashMap<Digest, Bytes>, StoreError> {
        let (store, digests) = (self.clone(), digests.to_vec());
        blocking(move || {
            let blobs = store.read_many(&digests)?;
            Ok(digests.into_iter().zip(blobs).filter_map(|(digest, bytes)| Some((digest, bytes?))).collect())
        })
        .await
    }

    async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || {
            blobs.iter().try_for_each(|(digest, bytes)| check(digest, bytes))?;
            let blobs: Vec<(Digest, &[u8])> = blobs.iter().map(|(digest, bytes)| (*digest, &**bytes)).collect();
            store.write_checked(&blobs)
        })
        .await
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        let (store, digest, path) = (self.clone(), *digest, path.to_owned());
        blocking(move || {
            if store.contains(&digest)? {
                return Ok(());
            }
            let failed = |error| StoreError::io("read", &path)(error);
            let mut file = File::open(&path).map_err(StoreError::io("open", &path))?;
            let mut writer = store.writer(&digest)?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match file.read(&mut buffer).map_err(failed)? {
                    0 => return writer.finish(),
                    count => writer.write(&buffer[..count])?,
                }
            }
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
