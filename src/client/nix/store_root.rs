//! A directory with a Nix store in it, which all users of the host may share who may write there.
//!
//! ```text
//! STORE/nix/store/HASH-NAME     complete, read-only, with the modes and times that Nix gives
//! STORE/nix/.envserve/lock      held while paths are made
//! STORE/nix/.envserve/making…   paths that are being made
//! ```
//!
//! A path appears by being renamed, so one that is there is whole.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::client::ClientError;
use crate::nix::{STORE_DIRECTORY, StorePath};
use crate::store::{Listing, remove_tree, settle_path};

/// The mode of everything that is a directory.
const CLOSED: u32 = 0o555;
/// That of a directory that is to be renamed, which all but root may only do to one that they may write to.
const MOVABLE: u32 = 0o755;

/// A directory with a store in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRoot {
    path: PathBuf,
}

impl StoreRoot {
    /// Returns the store root at a path. Nothing is made before it is needed.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory of the store paths.
    pub fn store(&self) -> PathBuf {
        self.path.join("nix/store")
    }

    /// Returns where a store path lies.
    pub fn real(&self, path: &StorePath) -> PathBuf {
        self.store().join(path.base_name())
    }

    /// Says whether what lies here is seen at `/nix/store` by every process of the host.
    pub fn is_of_host(&self) -> bool {
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        self.path == Path::new("/")
            || identity(&self.store()).is_some_and(|own| Some(own) == identity(STORE_DIRECTORY.as_ref()))
    }

    /// Says whether Nix keeps a database of it.
    pub(super) fn has_database(&self) -> bool {
        self.path.join("nix/var/nix/db/db.sqlite").exists()
    }

    /// Returns those of the paths that are not here.
    ///
    /// # Errors
    /// When the file system cannot tell.
    pub(super) fn missing<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a StorePath>,
    ) -> Result<BTreeSet<StorePath>, ClientError> {
        let mut missing = BTreeSet::new();
        for path in paths {
            let real = self.real(path);
            match fs::symlink_metadata(&real) {
                // Where there is a database, it may be Nix that writes to it.
                Ok(found) if found.is_dir() && found.mode() & 0o222 != 0 && !self.has_database() => {
                    close_late(&real);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    missing.insert(path.clone());
                }
                Err(error) => return Err(ClientError::io("look at", &real)(error)),
            }
        }
        Ok(missing)
    }

    /// Takes the lock under which paths are made, and clears what killed processes have left behind.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub(super) fn lock(&self) -> Result<Making, ClientError> {
        let own = self.make_directories()?;
        let path = own.join("lock");
        let file = open_lock(&path, mode_of(&own)? & 0o666).map_err(ClientError::io("open", &path))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| ClientError::io("lock", &path)(error.into()))?;
        clear(&own)?;
        let staging = tempfile::Builder::new().prefix("making-").tempdir_in(&own);
        let staging = staging.map_err(ClientError::io("make a directory in", &own))?.keep();
        Ok(Making { staging, _lock: file })
    }

    /// Makes what is not there yet, open to the same users as the root is. Returns our own directory.
    fn make_directories(&self) -> Result<PathBuf, ClientError> {
        fs::create_dir_all(&self.path).map_err(ClientError::io("make the directory", &self.path))?;
        let mode = mode_of(&self.path)?;
        let own = self.path.join("nix/.envserve");
        for directory in [self.path.join("nix"), self.store(), own.clone()] {
            match fs::create_dir(&directory) {
                Ok(()) => fs::set_permissions(&directory, Permissions::from_mode(mode)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(error) => Err(error),
            }
            .map_err(ClientError::io("make the directory", &directory))?;
            // A link would let what is written go elsewhere.
            if !fs::symlink_metadata(&directory).is_ok_and(|found| found.is_dir()) {
                return Err(ClientError::Occupied { path: directory, what: "no directory" });
            }
        }
        Ok(own)
    }
}

/// Paths being made; only one process at a time has this.
#[derive(Debug)]
pub(super) struct Making {
    staging: PathBuf,
    _lock: File,
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.staging) {
            tracing::debug!(%error, path = %self.staging.display(), "cannot remove it: who makes paths next does");
        }
    }
}

impl Making {
    /// Returns where the paths are made. It is on the file system of the store and does not exist yet.
    pub(super) fn paths(&self) -> PathBuf {
        self.staging.join("paths")
    }

    /// Returns an empty directory on the file system of the store.
    pub(super) fn scratch(&self) -> &Path {
        &self.staging
    }

    /// Puts paths in their places and returns whether all were free. What has come there meanwhile stays.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn publish(&self, root: &StoreRoot, paths: &BTreeSet<StorePath>) -> Result<bool, ClientError> {
        let top = self.paths();
        let mut free = true;
        for path in paths {
            let (from, to) = (top.join(path.base_name()), root.real(path));
            match rename_new(&from, &to) {
                Ok(()) => {}
                Err(error) if is_occupied(&error) => {
                    free = false;
                    continue;
                }
                Err(error) => return Err(ClientError::io("put in place", &to)(error)),
            }
            if fs::symlink_metadata(&to).is_ok_and(|found| found.is_dir()) {
                let closed = Permissions::from_mode(CLOSED);
                fs::set_permissions(&to, closed).map_err(ClientError::io("protect", &to))?;
            }
        }
        Ok(free)
    }
}

/// Gives what was made in a directory the modes and times that Nix gives. Files have them.
///
/// # Errors
/// When the file system refuses.
pub(super) fn settle(top: &Path, listing: &Listing) -> Result<(), ClientError> {
    let settle = |path: &Path| settle_path(path).map_err(ClientError::io("set the time of", path));
    listing.symlinks.iter().try_for_each(|(path, _)| settle(&top.join(path)))?;
    for directory in listing.directories.iter().rev() {
        let path = top.join(directory);
        let mode = if directory.contains('/') { CLOSED } else { MOVABLE };
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(ClientError::io("protect", &path))?;
        settle(&path)?;
    }
    Ok(())
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

/// Renames to a place where nothing is yet.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
        other => Ok(other?),
    }
}

/// Closes a directory whose maker was killed right after it was renamed; one of another user stays as it is.
fn close_late(path: &Path) {
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(CLOSED)) {
        tracing::debug!(%error, path = %path.display(), "cannot take write permission away");
    }
}

/// Opens the lock, and makes it when there is none. In a directory where all may write, one who opens a file of another
/// must not be ready to make it.
fn open_lock(path: &Path, mode: u32) -> io::Result<File> {
    loop {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        match File::create_new(path) {
            Ok(file) => {
                file.set_permissions(Permissions::from_mode(mode))?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes what lies beside the lock. For the one who holds it.
fn clear(own: &Path) -> Result<(), ClientError> {
    for entry in fs::read_dir(own).map_err(ClientError::io("read", own))?.flatten() {
        if entry.file_name() == "lock" {
            continue;
        }
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_directory { remove_tree(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            // Another user's, who will.
            tracing::debug!(%error, path = %path.display(), "cannot remove what a killed process left behind");
        }
    }
    Ok(())
}

fn mode_of(path: &Path) -> Result<u32, ClientError> {
    let found = fs::metadata(path).map_err(ClientError::io("look at", path))?;
    Ok(found.mode() & 0o7777)
}
