//! The server's tables, in RocksDB: one column family a table, opaque records.
//!
//! One process opens a database at a time. Writes are in the log, which the
//! system has, before they are acknowledged: they outlive the process. The
//! log is not forced to the disk at each write, so the last moments may be
//! missing after a power failure; what is left is a consistent earlier state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{ColumnFamily, DB, DBPinnableSlice, Direction, ErrorKind, IteratorMode, Options, WriteBatch};

use super::space::disk;
use super::{StoreError, blocking};

/// Bytes of records that are held in memory before they are sorted into a file: at least, at most.
const WRITE_BUFFER_BYTES: (u64, u64) = (1 << 20, 16 << 20);
/// Bytes of a file of blobs: at least, at most.
const BLOB_FILE_BYTES: (u64, u64) = (1 << 20, 256 << 20);
/// Records of this size and above are written once and not sorted again and again.
const MIN_BLOB_BYTES: u64 = 128;
/// Bits of a Bloom filter for each key: one lookup in a hundred of an absent key reads in vain.
const BLOOM_BITS: f64 = 10.0;
/// The part of the files of blobs, the oldest first, that a collection rewrites without what is dead in them.
const REWRITTEN_PART: f64 = 0.5;

/// A disk with less than this free is full: a file of the database does not fit.
const FULL_BYTES: u64 = 4 << 20;

/// A table of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Shard and key → descriptor.
    Entries,
    /// Digest of an action → its result.
    Actions,
    /// Git tree id and function → root Directory.
    Trees,
    /// Shard and key → end of the lease.
    Leases,
    /// Name of a pin, shard and key → end of the pin.
    Pins,
    /// Digest of a small blob → when it was last used.
    Blobs,
    /// Digest of a small blob → its content.
    Contents,
    /// Git blob id and function → digest.
    Files,
    /// What a tree was derived from → Git tree id.
    Derived,
    /// Function and hash part of a Nix store path → what is known of the object.
    NixPaths,
    /// A layer → its archive; an archive → the layer that was read from it.
    OciLayers,
    /// Manifest and function → image of an environment.
    OciImages,
    /// Blob as registries name it, and one of those who have it → what it is.
    OciBlobs,
    /// Repository and tag → manifest.
    OciTags,
    /// Archive of a layer and compression → what it becomes.
    OciForms,
    /// Digest of the descriptor of a checkpoint → the descriptor.
    Checkpoints,
    /// Module and name of an environment, shard and key → what these are made from.
    Components,
}

impl Table {
    const ALL: [Self; 17] = [
        Self::Entries,
        Self::Actions,
        Self::Trees,
        Self::Leases,
        Self::Pins,
        Self::Blobs,
        Self::Contents,
        Self::Files,
        Self::Derived,
        Self::NixPaths,
        Self::OciLayers,
        Self::OciImages,
        Self::OciBlobs,
        Self::OciTags,
        Self::OciForms,
        Self::Checkpoints,
        Self::Components,
    ];

    /// Returns the name of the column family. The number is the version of the record's form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries-1",
            Self::Actions => "actions-1",
            Self::Trees => "trees-1",
            Self::Leases => "leases-1",
            Self::Pins => "pins-1",
            Self::Blobs => "blobs-1",
            Self::Contents => "contents-1",
            Self::Files => "files-1",
            Self::Derived => "derived-1",
            Self::NixPaths => "nix-paths-1",
            Self::OciLayers => "oci-layers-1",
            Self::OciImages => "oci-images-1",
            Self::OciBlobs => "oci-blobs-1",
            Self::OciTags => "oci-tags-1",
            Self::OciForms => "oci-forms-1",
            Self::Checkpoints => "checkpoints-1",
            Self::Components => "components-1",
        }
    }

    fn options(self, limit: u64) -> Options {
        let mut options = Options::default();
        let write_buffer = scaled(limit, 64, WRITE_BUFFER_BYTES);
        options.set_write_buffer_size(usize::try_from(write_buffer).expect("a few MiB"));
        options.set_target_file_size_base(write_buffer);
        options.set_max_bytes_for_level_base(4 * write_buffer);
        let mut tables = rocksdb::BlockBasedOptions::default();
        tables.set_bloom_filter(BLOOM_BITS, false);
        options.set_block_based_table_factory(&tables);
        if self == Self::Contents {
            options.set_enable_blob_files(true);
            options.set_min_blob_size(MIN_BLOB_BYTES);
            options.set_blob_file_size(scaled(limit, 32, BLOB_FILE_BYTES));
            options.set_enable_blob_gc(true);
            options.set_blob_gc_age_cutoff(REWRITTEN_PART);
        }
        options
    }
}

/// Returns a part of the limit, within bounds.
fn scaled(limit: u64, part: u64, (least, most): (u64, u64)) -> u64 {
    (limit / part).clamp(least, most)
}

/// An open database.
#[derive(Clone)]
pub struct Database {
    db: Arc<DB>,
    path: Arc<PathBuf>,
}

impl Database {
    /// Opens the database in a directory, and makes it when there is none. Its files are small enough for a
    /// store of at most `limit` bytes, and for the disk.
    ///
    /// # Errors
    /// When it cannot be opened: another process has it open, say.
    pub fn open(path: &Path, limit: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(StoreError::io("make the directory", path))?;
        let limit = limit.min(disk(path)?.size);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_keep_log_file_num(4);
        options.set_max_total_wal_size(4 * scaled(limit, 64, WRITE_BUFFER_BYTES));
        let families = Table::ALL.map(|table| (table.name(), table.options(limit)));
        let db = DB::open_cf_with_opts(&options, path, families).map_err(|source| StoreError::Database {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { db: Arc::new(db), path: Arc::new(path.to_owned()) })
    }

    /// Returns where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.db.cf_handle(table.name()).expect("open_cf made every family of Table::ALL")
    }

    fn error(&self, action: &'static str) -> impl FnOnce(rocksdb::Error) -> StoreError + use<> {
        let path = self.path.to_path_buf();
        move |source| StoreError::Database { action, path, source }
    }

    /// Returns the record of a key.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn get(&self, table: Table, key: Vec<u8>) -> Result<Option<Vec<u8>>, StoreError> {
        let this = self.clone();
        blocking(move || this.read(table, &key)).await
    }

    /// Returns the record of a key. Blocks.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub(super) fn read(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(table), key).map_err(self.error("read"))
    }

    /// Writes a record; a process that is killed afterwards has written it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn put(&self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        let this = self.clone();
        blocking(move || this.db.put_cf(this.family(table), key, value).map_err(this.unwritable())).await
    }

    /// Writes several records, or none of them.
    ///
    /// # Errors
    /// As `put`.
    pub async fn put_all(&self, records: Vec<(Table, Vec<u8>, Vec<u8>)>) -> Result<(), StoreError> {
        let this = self.clone();
        blocking(move || {
            let mut changes = this.changes();
            records.iter().for_each(|(table, key, value)| changes.put(*table, key, value));
            this.apply(changes)
        })
        .await
    }

    /// Removes records; keys that have none are passed over.
    ///
    /// # Errors
    /// As `put`.
    pub async fn delete_all(&self, table: Table, keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let this = self.clone();
        blocking(move || {
            let mut changes = this.changes();
            keys.iter().for_each(|key| changes.delete(table, key));
            this.apply(changes)
        })
        .await
    }

    /// Returns the first records whose keys begin so and, where `after` is given, come after that key; in the order of
    /// keys, at most so many.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn starting(
        &self,
        table: Table,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let this = self.clone();
        blocking(move || {
            let from = after.as_ref().map_or(&prefix, |after| after.max(&prefix));
            let records = this.db.iterator_cf(this.family(table), IteratorMode::From(from, Direction::Forward));
            let mut found = Vec::new();
            for record in records {
                let (key, value) = record.map_err(this.error("read"))?;
                if found.len() >= limit || !key.starts_with(&prefix) {
                    break;
                }
                if after.as_deref() != Some(&*key) {
                    found.push((key.into_vec(), value.into_vec()));
                }
            }
            Ok(found)
        })
        .await
    }

    /// Returns the records of keys, in their order. `None` in an answer's place is absence; a record that
    /// RocksDB finds damaged is an error of kind `Corruption`. Blocks.
    pub(super) fn get_many<const N: usize>(
        &self,
        table: Table,
        keys: &[[u8; N]],
    ) -> Vec<Result<Option<DBPinnableSlice<'_>>, rocksdb::Error>> {
        self.db.batched_multi_get_cf(self.family(table), keys, false)
    }

    /// Makes all changes of a batch, or none. Blocks.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn apply(&self, changes: Changes<'_>) -> Result<(), StoreError> {
        self.db.write(changes.batch).map_err(self.unwritable())
    }

    /// Calls `each` with every record of a table, in the order of keys. Blocks.
    ///
    /// # Errors
    /// When the table cannot be read, and those of `each`.
    pub(super) fn scan(
        &self,
        table: Table,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = rocksdb::ReadOptions::default();
        options.fill_cache(false);
        for record in self.db.iterator_cf_opt(self.family(table), options, IteratorMode::Start) {
            let (key, value) = record.map_err(self.error("read"))?;
            each(&key, &value)?;
        }
        Ok(())
    }

    /// Gives back the disk space of what was deleted from a table. Blocks, and may take long.
    ///
    /// # Errors
    /// When the database cannot write.
    pub(super) fn compact(&self, table: Table) -> Result<(), StoreError> {
        self.db.flush_cf(self.family(table)).map_err(self.error("flush"))?;
        self.db.compact_range_cf(self.family(table), None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    /// Returns an empty batch of changes.
    pub(super) fn changes(&self) -> Changes<'_> {
        Changes { database: self, batch: WriteBatch::default() }
    }

    /// Returns a closure that turns an error of RocksDB while writing into one of the store. RocksDB does not say
    /// that the disk is full in a way that could be relied on, the disk does.
    fn unwritable(&self) -> impl FnOnce(rocksdb::Error) -> StoreError + use<> {
        let path = self.path.to_path_buf();
        move |source| {
            let full = source.kind() == ErrorKind::IOError && disk(&path).is_ok_and(|disk| disk.free < FULL_BYTES);
            if full {
                return StoreError::io("write to the database", &path)(std::io::ErrorKind::StorageFull.into());
            }
            StoreError::Database { action: "write to", path, source }
        }
    }

    /// Returns a closure that turns an error of RocksDB while reading into one of the store.
    pub(super) fn unreadable(&self) -> impl FnOnce(rocksdb::Error) -> StoreError + use<> {
        self.error("read")
    }
}

/// Changes that are made together.
pub(super) struct Changes<'a> {
    database: &'a Database,
    batch: WriteBatch,
}

impl Changes<'_> {
    /// Sets a record.
    pub(super) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.batch.put_cf(self.database.family(table), key, value);
    }

    /// Removes a record, if there is one.
    pub(super) fn delete(&mut self, table: Table, key: &[u8]) {
        self.batch.delete_cf(self.database.family(table), key);
    }

    /// Says whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }
}
