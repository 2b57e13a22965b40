//! Making a root file system, or a layer, in a new directory.
//!
//! Directories first, closed to others; then files; then what is no file. Symlinks come late, so none is ever followed,
//! and the attributes of directories last, from the inside out.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, makedev, mknodat, utimensat};

use super::facts::Facts;
use super::plan::{Plan, PlannedFile};
use crate::container::ContainerError;
use crate::digest::Digest;
use crate::oci::Special;
use crate::store::StoreError;

/// Why something could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    /// The file system refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The content of a file cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Plan {
    /// Makes everything in a directory that does not exist yet, with the content that `open` gives. Blocks.
    ///
    /// # Errors
    /// When the file system refuses; `Missing` when there is no such content.
    pub(crate) fn make(
        &self,
        top: &Path,
        open: impl Fn(&Digest) -> Result<Option<Box<dyn Read + Send>>, StoreError>,
    ) -> Result<(), MakeError> {
        self.make_directories(top)?;
        for PlannedFile { path, file, .. } in &self.files {
            let (path, digest) = (top.join(path), file.digest);
            let content = open(&digest)?.ok_or(StoreError::Missing { digest, role: "file of a root file system" })?;
            write(&path, content, &file.facts).map_err(ContainerError::io("write", &path))?;
        }
        Ok(self.make_others(top)?)
    }

    /// Makes the directories, the top among them. Blocks.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn make_directories(&self, top: &Path) -> Result<(), ContainerError> {
        for (directory, _) in &self.directories {
            let path = within(top, directory);
            fs::create_dir(&path).map_err(ContainerError::io("make the directory", &path))?;
        }
        Ok(())
    }

    /// Makes what is no first path of a file, and gives directories their attributes. Blocks.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn make_others(&self, top: &Path) -> Result<(), ContainerError> {
        for (path, first) in &self.links {
            let (path, first) = (top.join(path), top.join(first));
            fs::hard_link(&first, &path).map_err(ContainerError::io("make the hard link", &path))?;
        }
        for (path, special, facts) in &self.specials {
            make_special(&top.join(path), *special, facts)?;
        }
        for (path, target, facts) in &self.symlinks {
            let path = top.join(path);
            symlink(target, &path).map_err(ContainerError::io("make the symlink", &path))?;
            set_itself(&path, facts)?;
        }
        for (path, facts) in self.directories.iter().rev() {
            let path = within(top, path);
            let set = File::open(&path).and_then(|directory| facts.set(&directory));
            set.map_err(ContainerError::io("set the attributes of", &path))?;
        }
        Ok(())
    }
}

fn within(top: &Path, path: &str) -> PathBuf {
    if path.is_empty() { top.to_owned() } else { top.join(path) }
}

fn write(path: &Path, mut content: impl Read, facts: &Facts) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(&mut content, &mut file)?;
    facts.set(&file)
}

fn make_special(path: &Path, special: Special, facts: &Facts) -> Result<(), ContainerError> {
    let (kind, major, minor) = match special {
        Special::Char { major, minor } => (FileType::CharacterDevice, major, minor),
        Special::Block { major, minor } => (FileType::BlockDevice, major, minor),
        Special::Fifo => (FileType::Fifo, 0, 0),
    };
    let made = mknodat(CWD, path, kind, Mode::RUSR, makedev(major, minor));
    made.map_err(|error| ContainerError::io("make the device or fifo", path)(error.into()))?;
    set_itself(path, facts)?;
    // A new owner would take set-user-id away.
    let mode = Permissions::from_mode(facts.mode.into());
    fs::set_permissions(path, mode).map_err(ContainerError::io("set the mode of", path))
}

/// Sets owner and time of what cannot be opened. Linux gives it no extended attributes that layers carry.
fn set_itself(path: &Path, facts: &Facts) -> Result<(), ContainerError> {
    if let Some((uid, gid)) = facts.owner {
        lchown(path, Some(uid), Some(gid)).map_err(ContainerError::io("give away", path))?;
    }
    let set = utimensat(CWD, path, &facts.times(), AtFlags::SYMLINK_NOFOLLOW);
    set.map_err(|error| ContainerError::io("set the time of", path)(error.into()))
}
