//! The directory of a container: what it writes, until it ends.
//!
//! ```text
//! PARENT/lock            held while a directory is made
//! PARENT/NAME/lock       held as long as the container is looked after
//! PARENT/NAME/layer-N/upper  work    of the last start, and those that are kept
//! ```
//!
//! Who makes the next one removes what those that were killed have left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::ContainerError;
use crate::host::cgroup;
use crate::store::remove_tree;

const LOCK: &str = "lock";
/// How long processes may take to die that were killed.
const DEATH_TIMEOUT: Duration = Duration::from_secs(2);
const DEATH_TICK: Duration = Duration::from_millis(5);

/// The directory of a container, which is removed when this is dropped.
pub(crate) struct Directory {
    path: PathBuf,
    /// How many layers there were.
    made: u64,
    /// The one that the next start does without.
    last: Option<Layer>,
    /// What lies under those to come, the lowest first.
    kept: Vec<Layer>,
    _lock: File,
}

/// What a container has written, over what it cannot write to.
#[derive(Debug, Clone)]
pub(crate) struct Layer(PathBuf);

impl Layer {
    pub(crate) fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }
}

impl Directory {
    /// Makes one whose name begins so, and removes those of containers that were killed.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn new(parent: &Path, prefix: &str) -> Result<Self, ContainerError> {
        let _all = clear(parent)?;
        let made = tempfile::Builder::new().prefix(prefix).rand_bytes(8).tempdir_in(parent);
        let path = made.map_err(ContainerError::io("make a directory in", parent))?.keep();
        Ok(Self { made: 0, last: None, kept: Vec::new(), _lock: locked(&path)?, path })
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name, which no other has at this time.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns the name of the control groups.
    pub(super) fn group(&self) -> String {
        group(&self.name())
    }

    /// Makes an empty layer, in place of the last one unless that is kept.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn layer(&mut self) -> Result<Layer, ContainerError> {
        if let Some(last) = self.last.take() {
            remove(&last.0);
        }
        self.made += 1;
        let layer = Layer(self.path.join(format!("layer-{}", self.made)));
        self.last = Some(layer.clone());
        for path in [layer.upper(), layer.work()] {
            fs::create_dir_all(&path).map_err(ContainerError::io("make the directory", &path))?;
        }
        Ok(layer)
    }

    /// Keeps the last layer, whose container has ended: it lies under those of all further starts.
    pub(crate) fn keep(&mut self) {
        self.kept.extend(self.last.take());
    }

    /// Returns what is kept, the lowest first. Its owners are those that the container's users are on this host.
    pub(crate) fn kept(&self) -> Vec<PathBuf> {
        self.kept.iter().map(Layer::upper).collect()
    }

    /// Drops what is kept.
    pub(crate) fn forget(&mut self) {
        self.kept.drain(..).for_each(|layer| remove(&layer.0));
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove_groups(&self.name());
        remove(&self.path);
    }
}

/// Removes the directories of containers that were killed. Returns a lock that keeps others from making new ones.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn clear(parent: &Path) -> Result<File, ContainerError> {
    fs::create_dir_all(parent).map_err(ContainerError::io("make the directory", parent))?;
    let all = locked(parent)?;
    for entry in fs::read_dir(parent).map_err(ContainerError::io("read", parent))?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_held(&entry.path()) {
            remove_groups(&entry.file_name().to_string_lossy());
            remove(&entry.path());
        }
    }
    Ok(all)
}

/// Says whether somebody looks after the container of a directory.
pub(crate) fn is_held(path: &Path) -> bool {
    match File::open(path.join(LOCK)) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err(),
        // Killed before it had one.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Takes the lock in a directory.
fn locked(directory: &Path) -> Result<File, ContainerError> {
    let path = directory.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(ContainerError::io("open", &path))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| ContainerError::io("lock", &path)(error.into()))?;
    Ok(file)
}

fn group(name: &str) -> String {
    format!("envserve-{name}")
}

/// Removes the control groups of a container, the last process of which may be dying.
fn remove_groups(name: &str) {
    let deadline = Instant::now() + DEATH_TIMEOUT;
    while !cgroup::remove(&group(name)) && Instant::now() < deadline {
        std::thread::sleep(DEATH_TICK);
    }
}

/// Removes a directory, the lock in it last: what has none is being removed, or was never used.
fn remove(path: &Path) {
    let remove = || -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                remove_tree(&entry.path())?;
            } else if entry.file_name() != LOCK {
                fs::remove_file(entry.path())?;
            }
        }
        match fs::remove_file(path.join(LOCK)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_dir(path),
        }
    };
    match remove() {
        // Somebody else does it too.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "cannot remove what a container has left");
        }
        _ => {}
    }
}
