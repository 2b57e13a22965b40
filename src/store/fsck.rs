//! Checking a store that no process uses: every file, every record.
//!
//! Nothing found here could have led to a wrong answer, for all is checked when it is read; it tells what would
//! turn out to be absent, and with `repair` takes it away at once.

use std::fmt;
use std::path::PathBuf;

use prost::Message;

use super::database::Table;
use super::sweep::{BlobFile, Swept, remove_file};
use super::{LocalBlobStore, StoreError, file::hash_reader};
use crate::digest::{DIGEST_LEN, Digest};
use crate::proto::reapi;
use crate::spec::{Descriptor, GitId};

/// Records that are checked at a time.
const BATCH: usize = 1000;

/// How thorough a check is, and whether it mends.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsckOptions {
    /// Whether to take away what is found wrong.
    pub repair: bool,
    /// Whether to compute the digest of large blobs too, not only to compare sizes.
    pub verify_content: bool,
}

/// Something that is not as it should be.
#[derive(Debug)]
pub enum Problem {
    /// A blob has other bytes than its digest says.
    Corrupt {
        /// The blob.
        digest: Digest,
    },
    /// A file has a name that no blob has.
    Stray {
        /// Where it lies.
        path: PathBuf,
    },
    /// A small blob is in one of its two tables only.
    Half {
        /// The blob.
        digest: Digest,
    },
    /// A record is not in the form that this version writes.
    Record {
        /// Its table.
        table: &'static str,
        /// Its key, as text.
        key: String,
    },
    /// The database cannot read the rest of a table.
    Table {
        /// The table.
        table: &'static str,
        /// RocksDB's reason.
        error: StoreError,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { digest } => write!(f, "blob `{digest:?}` is corrupt"),
            Self::Stray { path } => write!(f, "file `{}` is no blob", path.display()),
            Self::Half { digest } => write!(f, "blob `{digest:?}` is in one of its two tables only"),
            Self::Record { table, key } => write!(f, "record `{key}` of table `{table}` cannot be read"),
            Self::Table { table, error } => write!(f, "the rest of table `{table}` cannot be read: {error}"),
        }
    }
}

/// What a check has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs looked at.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Problems found.
    pub problems: u64,
    /// Problems taken away.
    pub repaired: u64,
}

/// A check in progress.
struct Fsck<'a> {
    store: &'a LocalBlobStore,
    options: FsckOptions,
    report: &'a mut dyn FnMut(&Problem),
    checked: Checked,
}

impl LocalBlobStore {
    /// Checks everything and reports each problem. For the one process that uses the store.
    ///
    /// # Errors
    /// When the store cannot be read at all, or not be repaired.
    pub fn fsck(&self, options: FsckOptions, report: &mut dyn FnMut(&Problem)) -> Result<Checked, StoreError> {
        let mut fsck = Fsck { store: self, options, report, checked: Checked::default() };
        fsck.files()?;
        fsck.small()?;
        fsck.contents()?;
        fsck.records(Table::Actions, |record| reapi::ActionResult::decode(record).is_ok())?;
        fsck.records(Table::Entries, |record| Descriptor::parse(record).is_ok())?;
        for table in [Table::Trees, Table::Files] {
            fsck.records(table, |record| text(record).is_some_and(|digest| digest.parse::<Digest>().is_ok()))?;
        }
        fsck.records(Table::Derived, |record| text(record).is_some_and(|tree| GitId::parse(tree).is_ok()))?;
        fsck.records(Table::Leases, |record| record.len() == size_of::<i64>())?;
        fsck.records(Table::Pins, |end| std::str::from_utf8(end).is_ok_and(|end| end.parse::<i64>().is_ok()))?;
        Ok(fsck.checked)
    }
}

fn text(record: &[u8]) -> Option<&str> {
    std::str::from_utf8(record).ok()
}

impl Fsck<'_> {
    /// Reports a problem, and takes it away if that is asked for.
    fn found(&mut self, problem: &Problem, repair: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        (self.report)(problem);
        self.checked.problems += 1;
        if self.options.repair {
            repair()?;
            self.checked.repaired += 1;
        }
        Ok(())
    }

    fn saw(&mut self, digest: &Digest) {
        self.checked.blobs += 1;
        self.checked.bytes += digest.size();
    }

    fn files(&mut self) -> Result<(), StoreError> {
        let store = self.store.clone();
        store.inner.files.sweep(|swept| match swept {
            Swept::Stray(path) => {
                let file = path.clone();
                self.found(&Problem::Stray { path }, || remove_file(&file).map(|_| ()))
            }
            Swept::Blob(file) => {
                self.saw(&file.digest);
                if self.is_sound(&file)? {
                    return Ok(());
                }
                self.found(&Problem::Corrupt { digest: file.digest }, || remove_file(&file.path).map(|_| ()))
            }
        })
    }

    fn is_sound(&self, file: &BlobFile) -> Result<bool, StoreError> {
        if file.length != file.digest.size() || !self.options.verify_content {
            return Ok(file.length == file.digest.size());
        }
        let unreadable = || StoreError::io("read the blob", &file.path);
        let mut opened = std::fs::File::open(&file.path).map_err(unreadable())?;
        Ok(hash_reader(file.digest.function(), &mut opened).map_err(unreadable())? == file.digest)
    }

    /// Checks that every small blob that is said to be there is, and right.
    fn small(&mut self) -> Result<(), StoreError> {
        let mut keys: Vec<[u8; DIGEST_LEN]> = Vec::new();
        let store = self.store.clone();
        let scanned = store.inner.database.scan(Table::Blobs, |key, used| {
            match <[u8; DIGEST_LEN]>::try_from(key)
                .ok()
                .filter(|key| Digest::from_bytes(key).is_some() && used.len() == 4)
            {
                Some(key) => keys.push(key),
                None => self.record(Table::Blobs, key)?,
            }
            if keys.len() >= BATCH { self.small_batch(&std::mem::take(&mut keys)) } else { Ok(()) }
        });
        self.small_batch(&keys)?;
        self.ended(Table::Blobs, scanned)
    }

    fn small_batch(&mut self, keys: &[[u8; DIGEST_LEN]]) -> Result<(), StoreError> {
        let store = self.store.clone();
        let contents = store.inner.database.get_many(Table::Contents, keys);
        for (digest, content) in keys.iter().filter_map(|key| Digest::from_bytes(key)).zip(contents) {
            self.saw(&digest);
            let problem = match content {
                Ok(Some(bytes)) if digest.matches(&bytes) => continue,
                Ok(None) => Problem::Half { digest },
                Ok(Some(_)) => Problem::Corrupt { digest },
                Err(error) if error.kind() == rocksdb::ErrorKind::Corruption => Problem::Corrupt { digest },
                Err(error) => return Err(store.inner.database.unreadable()(error)),
            };
            self.found(&problem, || store.inner.small.remove(&[digest]))?;
        }
        Ok(())
    }

    /// Checks that every content belongs to a small blob that is said to be there.
    fn contents(&mut self) -> Result<(), StoreError> {
        let store = self.store.clone();
        let scanned = store.inner.database.scan(Table::Contents, |key, _| {
            if store.inner.database.read(Table::Blobs, key)?.is_some() {
                return Ok(());
            }
            match Digest::from_bytes(key) {
                Some(digest) => self.found(&Problem::Half { digest }, || store.inner.small.remove(&[digest])),
                None => self.record(Table::Contents, key),
            }
        });
        self.ended(Table::Contents, scanned)
    }

    fn records(&mut self, table: Table, is_sound: impl Fn(&[u8]) -> bool) -> Result<(), StoreError> {
        let store = self.store.clone();
        let scanned = store.inner.database.scan(
            table,
            |key, record| {
                if is_sound(record) { Ok(()) } else { self.record(table, key) }
            },
        );
        self.ended(table, scanned)
    }

    /// Reports a record that cannot be read.
    fn record(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let database = self.store.inner.database.clone();
        let problem = Problem::Record { table: table.name(), key: String::from_utf8_lossy(key).into_owned() };
        self.found(&problem, || {
            let mut changes = database.changes();
            changes.delete(table, key);
            database.apply(changes)
        })
    }

    /// Turns damage in a table's files, of which no single record can be named, into a problem that stays.
    fn ended(&mut self, table: Table, scanned: Result<(), StoreError>) -> Result<(), StoreError> {
        match scanned {
            Err(error @ StoreError::Database { .. }) => {
                (self.report)(&Problem::Table { table: table.name(), error });
                self.checked.problems += 1;
                Ok(())
            }
            other => other,
        }
    }
}
