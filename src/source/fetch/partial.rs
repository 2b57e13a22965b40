//! Downloads that are not finished: a file, locked while somebody writes to it, and beside it what is needed to go on.
//!
//! Both are named after the content, so whoever wants it next finds them. The lock goes with the process. What lies
//! here is never taken for the file itself: it is checked first, each time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::store::{StoreError, blocking};

/// Time between two looks at a lock that somebody else has. To sleep on the lock could not be cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// A download that is not finished. Dropped, it stays as long as one can go on with it.
pub(in crate::source) struct Partial {
    file: Arc<File>,
    path: PathBuf,
    notes: Notes,
    size: u64,
    /// Whether its bytes come from more than one answer.
    pieced: bool,
    kept: bool,
}

/// What an answer said about the file.
#[derive(Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// Its version, in the words of `If-Range`.
    pub(super) version: Option<String>,
    /// Its size.
    pub(super) total: Option<u64>,
}

impl Partial {
    /// Opens the download of a file that is known by this name, a new one if there is none. Waits while somebody else
    /// has it.
    pub(in crate::source) async fn open(directory: &Path, content: &str) -> Result<Self, StoreError> {
        let path = directory.join(format!("fetch-{content}"));
        let made = directory.to_owned();
        blocking(move || fs::create_dir_all(&made).map_err(StoreError::io("make the directory", &made))).await?;
        loop {
            let place = path.clone();
            if let Some(file) = blocking(move || locked(&place)).await? {
                let place = path.clone();
                return blocking(move || Self::read(file, place)).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn read(file: File, path: PathBuf) -> Result<Self, StoreError> {
        let size = file.metadata().map_err(StoreError::io("look at", &path))?.len();
        let notes = fs::read(beside(&path)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let notes: Notes = notes.unwrap_or_default();
        let mut partial = Self { file: Arc::new(file), path, notes, size, pieced: true, kept: false };
        if size == 0 || !(partial.resumes() || partial.is_whole()) {
            empty(&partial.file, &partial.path)?;
            partial.forget();
        }
        Ok(partial)
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What is known of the whole file.
    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Says whether its bytes come from more than one answer, perhaps of different versions of the file.
    pub(super) fn is_pieced(&self) -> bool {
        self.pieced
    }

    /// Says whether every byte is there.
    pub(super) fn is_whole(&self) -> bool {
        self.notes.total == Some(self.size)
    }

    /// Says whether one can go on with it.
    pub(super) fn resumes(&self) -> bool {
        let within = self.notes.total.is_none_or(|total| self.size <= total);
        self.size > 0 && within && self.notes.version.is_some()
    }

    /// Notes that what is there is followed by more of the same version.
    pub(super) fn goes_on(&mut self) {
        self.pieced = true;
    }

    /// Starts over, with what is now known of the file.
    pub(super) async fn start(&mut self, notes: Notes) -> Result<(), StoreError> {
        self.clear().await?;
        let (path, text) = (beside(&self.path), serde_json::to_vec(&notes).expect("two plain fields"));
        let file = Arc::clone(&self.file);
        blocking(move || {
            // The lock lasts as long as this writes, even if nobody waits for it any more.
            let _file = file;
            fs::write(&path, text).map_err(StoreError::io("write", &path))
        })
        .await?;
        self.notes = notes;
        Ok(())
    }

    /// Forgets what is there.
    pub(super) async fn clear(&mut self) -> Result<(), StoreError> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        blocking(move || empty(&file, &path)).await?;
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        (self.size, self.notes, self.pieced) = (0, Notes::default(), false);
    }

    /// Writes the next bytes.
    pub(super) async fn append(&mut self, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (file, path, at, count) = (Arc::clone(&self.file), self.path.clone(), self.size, bytes.len() as u64);
        blocking(move || file.write_all_at(&bytes, at).map_err(StoreError::io("write", &path))).await?;
        self.size += count;
        Ok(())
    }

    /// Moves the file away, finished.
    pub(in crate::source) fn rename(mut self, target: &Path) -> Result<(), StoreError> {
        fs::rename(&self.path, target).map_err(StoreError::io("put in place", target))?;
        self.kept = true;
        // Without the file the notes say nothing.
        let _ = fs::remove_file(beside(&self.path));
        Ok(())
    }

    /// Removes it, whether one could go on with it or not.
    pub(super) fn remove(&mut self) {
        self.kept = true;
        // What cannot be removed is found by the next fetch, which checks it.
        let _ = fs::remove_file(beside(&self.path));
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept && !self.resumes() {
            self.remove();
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("json")
}

/// Removes the notes first: bytes without notes are worth nothing, notes must not be about other bytes.
fn empty(file: &File, path: &Path) -> Result<(), StoreError> {
    let notes = beside(path);
    match fs::remove_file(&notes) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("remove", &notes)(error)),
        _ => {}
    }
    file.set_len(0).map_err(StoreError::io("empty", path))
}

/// Opens and locks a file; `None` when somebody else has it, or took it away meanwhile.
fn locked(path: &Path) -> Result<Option<File>, StoreError> {
    let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = open.map_err(StoreError::io("open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(StoreError::io("lock", path)(error.into())),
    }
    let ours = file.metadata().map_err(StoreError::io("look at", path))?;
    match fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("look at", path)(error)),
    }
}
