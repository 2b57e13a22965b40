//! The directory of a run: what the command writes, until it ends.
//!
//! ```text
//! ROOT/runs/lock            held while a directory is made
//! ROOT/runs/NAME/lock       held as long as the run lasts
//! ROOT/runs/NAME/upper  work
//! ```
//!
//! Who runs something next removes what a killed run has left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::client::ClientError;
use crate::host::cgroup;
use crate::store::remove_tree;

/// The directory of a run.
pub(super) struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

impl RunDirectory {
    /// Makes one, and removes those of runs that were killed.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn new(runs: &Path) -> Result<Self, ClientError> {
        fs::create_dir_all(runs).map_err(ClientError::io("make the directory", runs))?;
        let all = lock_file(&runs.join("lock"))?;
        flock(&all, FlockOperation::LockExclusive).map_err(|error| ClientError::io("lock", runs)(error.into()))?;
        for entry in fs::read_dir(runs).map_err(ClientError::io("read", runs))?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                clear(&entry.path());
            }
        }
        let made = tempfile::Builder::new().prefix("envserve-run-").tempdir_in(runs);
        let path = made.map_err(ClientError::io("make a directory in", runs))?.keep();
        let lock = lock_file(&path.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| ClientError::io("lock", &path)(error.into()))?;
        for name in ["upper", "work"] {
            let path = path.join(name);
            fs::create_dir(&path).map_err(ClientError::io("make the directory", &path))?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name of the run, which no other has at this time.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "cannot remove it: who runs something next does");
        }
    }
}

fn lock_file(path: &Path) -> Result<File, ClientError> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.map_err(ClientError::io("open", path))
}

/// Removes a directory whose run has ended, and the control groups that were its.
fn clear(path: &Path) {
    let lock = match File::open(path.join("lock")) {
        Ok(lock) => Some(lock),
        // Killed before it had one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return,
    };
    if lock.is_some_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()) {
        return;
    }
    let Some(name) = path.file_name() else { return };
    cgroup::remove(&name.to_string_lossy());
    if let Err(error) = remove_tree(path) {
        tracing::warn!(%error, path = %path.display(), "cannot remove what a killed run has left");
    }
}
