//! Paths that are there and that Nix does not know: whole ones of which a killed client did not tell it, paths that Nix is
//! making just now, or what is left of such. Nix writes where a path is to lie, so that one is there says nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};

use rustix::fs::{FlockOperation, flock};

use super::database::NixDatabase;
use super::store_root::StoreRoot;
use crate::client::ClientError;
use crate::nix::{Registration, StorePath};
use crate::store::remove_tree;

/// Removes those of the paths that are neither known to Nix nor what they should be, and returns them.
///
/// # Errors
/// When Nix cannot tell, or one cannot be removed.
pub(super) fn clear_doubtful(
    root: &StoreRoot,
    database: &NixDatabase,
    registration: &Registration,
    there: &BTreeSet<StorePath>,
) -> Result<BTreeSet<StorePath>, ClientError> {
    let mut cleared = BTreeSet::new();
    let doubtful = database.unregistered(there)?;
    doubtful.iter().try_for_each(|path| wait_for_nix(root, path))?;
    for path in database.unregistered(&doubtful)? {
        let real = root.real(&path);
        if registration.describes(&path, &database.archive(&real)?) {
            continue;
        }
        tracing::warn!(path = %real.display(), "not known to Nix and not what it should be: it is made again");
        match remove(&real) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(ClientError::io("remove", &real)(error)),
            _ => {}
        }
        cleared.insert(path);
    }
    Ok(cleared)
}

/// Waits while Nix makes a path: it holds a lock beside it.
fn wait_for_nix(root: &StoreRoot, path: &StorePath) -> Result<(), ClientError> {
    let lock = root.store().join(format!("{}.lock", path.base_name()));
    match File::open(&lock) {
        Ok(file) => {
            let locked = flock(&file, FlockOperation::LockShared);
            locked.map_err(|error| ClientError::io("lock", &lock)(error.into()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ClientError::io("open", &lock)(error)),
    }
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { remove_tree(path) } else { fs::remove_file(path) }
}
