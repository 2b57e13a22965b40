//! What a command sees as its input root, read from outside after its end.
//!
//! Without an overlay that is one directory. With one, it is an upper layer of
//! what the command wrote over a lower one of what it was given: a character
//! device 0:0 above hides what is below, and so does a directory marked opaque.
//! Renamed directories are copies: redirects are off in overlays of users.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::lgetxattr;
use rustix::io::Errno;

/// Marks a directory that hides all below it.
const OPAQUE: &str = "user.overlay.opaque";

/// The layers of an input root.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    /// What the command wrote, or all of it.
    pub(super) upper: PathBuf,
    /// What the command was given.
    pub(super) lower: Option<PathBuf>,
}

/// One entry of the tree that the layers make.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) found: Metadata,
    /// Whether it lies in the lower layer, where nothing may be changed.
    pub(super) shared: bool,
    /// For a directory of the upper layer: the one below that is seen through it.
    below: Option<PathBuf>,
    layered: bool,
}

impl Layers {
    /// Returns the root of the tree.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub(super) fn root(&self) -> io::Result<Entry> {
        let found = fs::symlink_metadata(&self.upper)?;
        open_up(&self.upper, &found)?;
        let layered = self.lower.is_some();
        Ok(Entry { path: self.upper.clone(), found, shared: false, below: self.lower.clone(), layered })
    }
}

impl Entry {
    /// Returns what a directory holds under a name.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub(super) fn child(&self, name: &OsStr) -> io::Result<Option<Self>> {
        let path = self.path.join(name);
        let below = || self.below.as_ref().map(|below| below.join(name));
        let Some(found) = look(&path)? else {
            let Some(path) = below() else { return Ok(None) };
            let found = look(&path)?;
            return Ok(found.map(|found| Self { path, found, shared: true, below: None, layered: true }));
        };
        if self.layered && !self.shared && found.file_type().is_char_device() && found.rdev() == 0 {
            return Ok(None);
        }
        let mut entry = Self { path, found, shared: self.shared, below: None, layered: self.layered };
        if entry.found.is_dir() && !entry.shared {
            open_up(&entry.path, &entry.found)?;
            if let Some(below) = below()
                && !is_opaque(&entry.path)?
                && look(&below)?.is_some_and(|found| found.is_dir())
            {
                entry.below = Some(below);
            }
        }
        Ok(Some(entry))
    }

    /// Returns what a directory holds, in the order of names.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub(super) fn children(&self) -> io::Result<Vec<(OsString, Self)>> {
        let mut names = BTreeSet::new();
        for directory in std::iter::once(&self.path).chain(&self.below) {
            for entry in fs::read_dir(directory)? {
                names.insert(entry?.file_name());
            }
        }
        let mut children = Vec::with_capacity(names.len());
        for name in names {
            if let Some(child) = self.child(&name)? {
                children.push((name, child));
            }
        }
        Ok(children)
    }
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_opaque(path: &Path) -> io::Result<bool> {
    let mut value = [0_u8; 1];
    match lgetxattr(path, OPAQUE, &mut value) {
        Ok(length) => Ok(length == 1 && value == *b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes sure that a directory can be read, whatever the command made of its mode.
fn open_up(path: &Path, found: &Metadata) -> io::Result<()> {
    if found.permissions().mode() & 0o700 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))
}
