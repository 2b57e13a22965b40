//! A directory for a trial, which goes with everything in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Lack, cgroup};
use crate::store::remove_tree;

/// How the names of these directories begin, and those of the control groups of containers in them.
const PREFIX: &str = "envserve-doctor-";

/// A directory that is removed when this is dropped, with the control groups that have its name.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, into which all users may look.
    pub(super) fn new(parent: &Path) -> Result<Self, Lack> {
        let made = tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o755)).tempdir_in(parent);
        let reason = |error| format!("cannot make a directory in `{}`: {error}", parent.display());
        let made = made.map_err(|error| Lack::new(reason(error), "name a directory that you can write to by `--root`"))?;
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
        cgroup::remove(&self.name());
        if let Err(error) = remove_tree(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove the directory of a trial");
        }
    }
}
