//! The room that a store may take: reserved before it is written to, and never more than its limit.
//!
//! What counts is what the file system has given away: the files of large
//! blobs by a running sum, the database by looking at its files now and then.
//! A part of the disk is left alone, so that the database can always tidy up.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// Bytes of a block of a file system: every file takes whole ones.
const BLOCK: u64 = 4096;
/// The part of the disk that is left alone, within these bounds in bytes.
const RESERVE_PART: u64 = 50;
const RESERVE_BYTES: (u64, u64) = (12 << 20, 1 << 30);
/// The part of the database's size that is left alone besides, and the most bytes: it rewrites what it tidies up, and
/// removes the old files only afterwards. Without room for that it can write nothing, not even what is evicted.
const TIDY_PART: u64 = 3;
const TIDY_BYTES: u64 = 4 << 30;
/// The size of the database is looked at again after so long, or so many bytes.
const LOOK_AFTER: Duration = Duration::from_millis(500);
const LOOK_AFTER_BYTES: u64 = 4 << 20;

/// The account of a store's room.
pub(super) struct Space {
    root: PathBuf,
    database: PathBuf,
    limit: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: u64,
    reserved: u64,
    database: u64,
    /// Written to the database since its size was looked at.
    written: u64,
    looked: Option<Instant>,
}

/// Room that is kept for a blob until it is stored, or given up when dropped.
pub(super) struct Reservation {
    space: Arc<Space>,
    bytes: u64,
}

/// Where the blob went for which room was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// To a file of its own.
    File,
    /// To the database.
    Database,
}

impl Space {
    /// Opens the account of a store whose files take `files` bytes.
    pub(super) fn new(root: &Path, database: &Path, limit: Option<u64>, files: u64) -> Arc<Self> {
        let state = Mutex::new(State { files, ..State::default() });
        Arc::new(Self { root: root.to_owned(), database: database.to_owned(), limit, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the most that the store may take.
    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Returns what the store takes.
    ///
    /// # Errors
    /// When the database's files cannot be looked at.
    pub(super) fn used(&self) -> Result<u64, StoreError> {
        let mut state = self.state();
        self.look(&mut state)?;
        Ok(state.total())
    }

    /// Returns how many bytes are too many now, for `bytes` more to fit: 0 when they do.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(super) fn excess(&self, bytes: u64) -> Result<u64, StoreError> {
        let mut state = self.state();
        self.excess_in(&mut state, bytes)
    }

    /// Keeps room for a blob; `None` when there is none.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Option<Reservation>, StoreError> {
        let bytes = allocated(bytes);
        let mut state = self.state();
        if self.excess_in(&mut state, bytes)? > 0 {
            return Ok(None);
        }
        state.reserved += bytes;
        Ok(Some(Reservation { space: Arc::clone(self), bytes }))
    }

    fn excess_in(&self, state: &mut State, bytes: u64) -> Result<u64, StoreError> {
        if state.looked.is_none_or(|at| at.elapsed() > LOOK_AFTER) || state.written > LOOK_AFTER_BYTES {
            self.look(state)?;
        }
        let beyond_limit = self.limit.map_or(0, |limit| state.total().saturating_add(bytes).saturating_sub(limit));
        let disk = disk(&self.root)?;
        let spared = reserve(disk.size) + (state.database / TIDY_PART).min(TIDY_BYTES);
        let needed = state.reserved.saturating_add(bytes).saturating_add(spared);
        Ok(beyond_limit.max(needed.saturating_sub(disk.free)))
    }

    /// Looks at the size of the database.
    fn look(&self, state: &mut State) -> Result<(), StoreError> {
        state.database = directory_bytes(&self.database)?;
        state.written = 0;
        state.looked = Some(Instant::now());
        Ok(())
    }

    /// Notes that a file of so many bytes has gone.
    pub(super) fn file_went(&self, bytes: u64) {
        let mut state = self.state();
        state.files = state.files.saturating_sub(allocated(bytes));
    }
}

impl State {
    fn total(&self) -> u64 {
        self.files + self.reserved + self.database + self.written
    }
}

impl Reservation {
    /// Turns room that was kept into room that is taken.
    pub(super) fn take(self, stored: Stored) {
        let mut state = self.space.state();
        match stored {
            Stored::File => state.files += self.bytes,
            Stored::Database => state.written += self.bytes,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.space.state();
        state.reserved = state.reserved.saturating_sub(self.bytes);
    }
}

/// A disk, in bytes.
pub(super) struct Disk {
    pub(super) size: u64,
    pub(super) free: u64,
}

/// Looks at the disk that a file lies on.
///
/// # Errors
/// When the system cannot tell.
pub(super) fn disk(path: &Path) -> Result<Disk, StoreError> {
    let found =
        rustix::fs::statvfs(path).map_err(|error| StoreError::io("ask for the free space of", path)(error.into()))?;
    Ok(Disk { size: found.f_blocks * found.f_frsize, free: found.f_bavail * found.f_frsize })
}

/// Returns what a file of so many bytes takes.
pub(super) fn allocated(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// Returns the part of a disk that is left alone.
fn reserve(disk: u64) -> u64 {
    (disk / RESERVE_PART).clamp(RESERVE_BYTES.0, RESERVE_BYTES.1)
}

/// Returns what the files of a directory take.
fn directory_bytes(path: &Path) -> Result<u64, StoreError> {
    let entries = fs::read_dir(path).map_err(StoreError::io("read the directory", path))?;
    // A file that is gone by the time it is looked at takes nothing.
    Ok(entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|found| found.blocks() * 512).sum())
}
