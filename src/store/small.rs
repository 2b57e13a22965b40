//! Small blobs, in the database.
//!
//! Table `Blobs` says which there are and when each was last used, table
//! `Contents` holds the bytes. Both are written together. What RocksDB finds
//! damaged, or what does not match its digest, is reported, removed and
//! counts as absent; that RocksDB cannot read is an error.

use bytes::Bytes;
use rocksdb::{DBPinnableSlice, ErrorKind};

use super::StoreError;
use super::database::{Database, Table};
use super::used::{Moment, Refresh};
use crate::digest::{DIGEST_LEN, Digest};

/// Blobs up to this size are small.
pub(super) const SMALL_BYTES: u64 = 16 << 10;

/// The small blobs of a server.
#[derive(Clone)]
pub(super) struct SmallBlobs {
    database: Database,
}

impl SmallBlobs {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Says for each of the blobs whether it is there, and notes the use of those that are.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub(super) fn contain(&self, digests: &[Digest], refresh: Refresh) -> Result<Vec<bool>, StoreError> {
        let keys = keys(digests);
        let mut changes = self.database.changes();
        let mut found = Vec::with_capacity(keys.len());
        for (at, record) in self.database.get_many(Table::Blobs, &keys).into_iter().enumerate() {
            let Some(record) = self.sound(&digests[at], record)? else {
                found.push(false);
                continue;
            };
            if refresh.is_due(Moment::from_bytes(&record)) {
                changes.put(Table::Blobs, &keys[at], &refresh.now.to_bytes());
            }
            found.push(true);
        }
        if !changes.is_empty() {
            self.database.apply(changes)?;
        }
        Ok(found)
    }

    /// Returns the blobs, verified, in the order asked; absent ones are `None`.
    ///
    /// # Errors
    /// When the database cannot read them.
    pub(super) fn read(&self, digests: &[Digest]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let records = self.database.get_many(Table::Contents, &keys(digests));
        let read = |(digest, record)| {
            let Some(bytes) = self.sound(digest, record)? else { return Ok(None) };
            if digest.matches(&bytes) {
                return Ok(Some(Bytes::copy_from_slice(&bytes)));
            }
            self.discard(digest)?;
            Ok(None)
        };
        digests.iter().zip(records).map(read).collect()
    }

    /// Returns a record when it is there and sound.
    fn sound<'a>(
        &self,
        digest: &Digest,
        record: Result<Option<DBPinnableSlice<'a>>, rocksdb::Error>,
    ) -> Result<Option<DBPinnableSlice<'a>>, StoreError> {
        match record {
            Ok(record) => Ok(record),
            Err(error) if error.kind() == ErrorKind::Corruption => {
                self.discard(digest)?;
                Ok(None)
            }
            Err(error) => Err(self.database.unreadable()(error)),
        }
    }

    fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        tracing::error!(blob = ?digest, "stored blob is corrupt: removed, counts as absent");
        self.remove(&[*digest])
    }

    /// Stores blobs that have been checked against their digests.
    ///
    /// # Errors
    /// When the database cannot write.
    pub(super) fn write<'a>(
        &self,
        blobs: impl Iterator<Item = (&'a Digest, &'a [u8])>,
        now: Moment,
    ) -> Result<(), StoreError> {
        let mut changes = self.database.changes();
        for (digest, bytes) in blobs {
            let key = digest.to_bytes();
            changes.put(Table::Contents, &key, bytes);
            changes.put(Table::Blobs, &key, &now.to_bytes());
        }
        self.database.apply(changes)
    }

    /// Removes blobs, those of them that are there.
    ///
    /// # Errors
    /// When the database cannot write.
    pub(super) fn remove(&self, digests: &[Digest]) -> Result<(), StoreError> {
        let mut changes = self.database.changes();
        for key in keys(digests) {
            changes.delete(Table::Blobs, &key);
            changes.delete(Table::Contents, &key);
        }
        self.database.apply(changes)
    }

    /// Returns when each of the blobs was last used; `None` for those that are not there.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub(super) fn used(&self, digests: &[Digest]) -> Result<Vec<Option<Moment>>, StoreError> {
        let records = self.database.get_many(Table::Blobs, &keys(digests));
        let used = |(digest, record)| Ok(self.sound(digest, record)?.map(|record| Moment::from_bytes(&record)));
        digests.iter().zip(records).map(used).collect()
    }

    #[cfg(test)]
    pub(super) fn note(&self, digest: &Digest, used: Moment) {
        let mut changes = self.database.changes();
        changes.put(Table::Blobs, &digest.to_bytes(), &used.to_bytes());
        self.database.apply(changes).expect("writable");
    }

    /// Calls `each` with every blob and when it was last used.
    ///
    /// # Errors
    /// When the database cannot be read, and those of `each`.
    pub(super) fn scan(
        &self,
        mut each: impl FnMut(Digest, Moment) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.database.scan(Table::Blobs, |key, value| match Digest::from_bytes(key) {
            Some(digest) => each(digest, Moment::from_bytes(value)),
            None => Err(StoreError::Record { table: Table::Blobs.name() }),
        })
    }

    /// Gives back the disk space of the blobs that were removed. May take long.
    ///
    /// # Errors
    /// When the database cannot write.
    pub(super) fn reclaim(&self) -> Result<(), StoreError> {
        self.database.compact(Table::Contents)?;
        self.database.compact(Table::Blobs)
    }
}

fn keys(digests: &[Digest]) -> Vec<[u8; DIGEST_LEN]> {
    digests.iter().map(Digest::to_bytes).collect()
}
