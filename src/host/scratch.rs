//! A directory for a trial, which goes with everything in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Lack, cgroup};
use crate::store::remove_tree;

/// How the names of these directories begin, and those of the control groups of containers in them.
const PREFIX: &str = "envserve-doctor-";
/// How often, and after which time, it is tried to remove control groups.
const TRIES: u32 = 100;
const TICK: Duration = Duration::from_millis(10);

/// A directory that is removed when this is dropped, with the control groups that have its name.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, into which all users may look, and removes those that killed processes have left there.
    pub(super) fn new(parent: &Path) -> Result<Self, Lack> {
        clear_stale(parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let made =
            tempfile::Builder::new().prefix(&prefix).permissions(Permissions::from_mode(0o755)).tempdir_in(parent);
        let reason = |error| format!("cannot make a directory in `{}`: {error}", parent.display());
        let made =
            made.map_err(|error| Lack::new(reason(error), "name a directory that you can write to by `--root`"))?;
        Ok(Self(made.keep()))
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the name, which no other has.
    pub(super) fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Makes a directory in it.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, Lack> {
        let path = self.0.join(name);
        let reason = |error| format!("cannot make the directory `{}`: {error}", path.display());
        fs::create_dir(&path).map_err(|error| Lack::new(reason(error), "look at the file system"))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn clear_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).map(|(process, _)| process);
        if process.is_some_and(|process| process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists()) {
            remove(&entry.path());
        }
    }
}

/// Removes a directory and the control groups of its name, which the processes in them may be just leaving.
fn remove(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for _ in 0..TRIES {
        if cgroup::remove(&name) {
            break;
        }
        std::thread::sleep(TICK);
    }
    if let Err(error) = remove_tree(path) {
        tracing::warn!(%error, path = %path.display(), "cannot remove the directory of a trial");
    }
}
