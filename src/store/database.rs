//! The server's tables, in RocksDB: one column family a table, opaque records.
//!
//! One process opens a database at a time. Every call runs on a blocking
//! thread. Writes go through the log before they are acknowledged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{ColumnFamily, DB, Options, WriteOptions};

use super::{StoreError, blocking};

/// Bytes of records that are held in memory before they are sorted into a file.
const WRITE_BUFFER_BYTES: usize = 8 << 20;

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
}

impl Table {
    const ALL: [Self; 4] = [Self::Entries, Self::Actions, Self::Trees, Self::Leases];

    /// Returns the name of the column family. The number is the version of the record's form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries-1",
            Self::Actions => "actions-1",
            Self::Trees => "trees-1",
            Self::Leases => "leases-1",
        }
    }
}

/// An open database.
#[derive(Clone)]
pub struct Database {
    db: Arc<DB>,
    path: Arc<PathBuf>,
}

impl Database {
    /// Opens the database in a directory, and makes it when there is none.
    ///
    /// # Errors
    /// When it cannot be opened: another process has it open, say.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_keep_log_file_num(4);
        // The log is allocated ahead in proportion; records here are small and few.
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        let families = Table::ALL.map(|table| (table.name(), options.clone()));
        let db = DB::open_cf_with_opts(&options, path, families).map_err(|source| StoreError::Database {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { db: Arc::new(db), path: Arc::new(path.to_owned()) })
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
        blocking(move || this.db.get_cf(this.family(table), key).map_err(this.error("read"))).await
    }

    /// Writes a record; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn put(&self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        let this = self.clone();
        blocking(move || {
            let mut options = WriteOptions::default();
            options.set_sync(true);
            this.db.put_cf_opt(this.family(table), key, value, &options).map_err(this.error("write to"))
        })
        .await
    }

    /// Removes a record, if there is one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn delete(&self, table: Table, key: Vec<u8>) -> Result<(), StoreError> {
        let this = self.clone();
        blocking(move || this.db.delete_cf(this.family(table), key).map_err(this.error("delete from"))).await
    }
}
