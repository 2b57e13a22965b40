//! From the listing of an environment to its directory on this host.
//!
//! The directory is made as `….partial` under a lock and renamed when it is
//! complete.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::ClientError;
use super::brought::Brought;
use super::connect::Reached;
use super::events::Events;
use super::fill::{Filled, Filling, fill};
use crate::digest::Digest;
use crate::store::{FileBlobStore, Listing, blocking, remove_tree};

fn home(root: &Path, digest: &Digest) -> PathBuf {
    root.join("environments").join(digest.function().as_str()).join(digest.hash())
}

/// Returns the directory of an environment that is complete on this host.
pub(super) fn present(root: &Path, digest: &Digest) -> Option<PathBuf> {
    let directory = home(root, digest);
    directory.is_dir().then_some(directory)
}

pub(super) async fn materialize(
    root: &Path,
    store: &FileBlobStore,
    cas: &Reached,
    digest: Digest,
    listing: Listing,
    events: &dyn Events,
) -> Result<Brought<PathBuf>, ClientError> {
    let directory = home(root, &digest);
    let (lock, partial) = {
        let directory = directory.clone();
        blocking(move || prepare(&directory)).await?
    };
    if directory.is_dir() {
        return Ok(Brought::Here { place: directory, downloaded: 0 });
    }
    let filling = Filling { directory: partial.clone(), listing, function: digest.function() };
    let (listing, downloaded) = match fill(filling, store, cas, events).await? {
        (listing, Filled::Whole { downloaded }) => (listing, downloaded),
        (_, Filled::Lost(lost)) => return Ok(Brought::Lost(lost)),
    };
    let target = directory.clone();
    blocking(move || {
        finish(&partial, &listing, &target)?;
        drop(lock);
        Ok(Brought::Here { place: target, downloaded })
    })
    .await
}

/// Takes the lock of what is to be made and clears what an interrupted fetch left behind.
pub(super) fn prepare(directory: &Path) -> Result<(File, PathBuf), ClientError> {
    let parent = directory.parent().unwrap_or(directory);
    fs::create_dir_all(parent).map_err(ClientError::io("make the directory", parent))?;
    let lock_path = directory.with_extension("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
    let lock = lock.map_err(ClientError::io("make", &lock_path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| ClientError::io("lock", &lock_path)(error.into()))?;
    let partial = directory.with_extension("partial");
    match remove_tree(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(ClientError::io("remove", &partial)(error));
        }
        _ => {}
    }
    Ok((lock, partial))
}

/// Takes write permission away, and puts the directory in its place.
fn finish(partial: &Path, listing: &Listing, target: &Path) -> Result<(), ClientError> {
    let directories = listing.directories.iter().rev().map(|directory| partial.join(directory));
    for path in directories.chain([partial.to_owned()]) {
        let read_only = Permissions::from_mode(0o555);
        fs::set_permissions(&path, read_only).map_err(ClientError::io("protect", &path))?;
    }
    fs::rename(partial, target).map_err(ClientError::io("put in place", target))
}
