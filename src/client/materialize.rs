//! From the listing of an environment to a directory: linked where blobs are here, downloaded where not.
//!
//! The directory is made as `….partial` under a lock and renamed when it is
//! complete. What has arrived is in the store at once, so an interrupted fetch
//! costs only the directory entries.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::ClientError;
use super::connect::Reached;
use super::cores::on_all_cores;
use super::download::download;
use super::events::Events;
use super::missing::{Missing, Place};
use crate::digest::Digest;
use crate::store::{FileBlobStore, Linker, ListedFile, Listing, blocking, remove_tree};

/// Files that a thread takes from the list at a time.
const STRIDE: usize = 256;

/// How materialising ended.
pub(super) enum Outcome {
    /// The directory is there.
    Done { directory: PathBuf, downloaded: u64 },
    /// These blobs are not at the endpoint.
    Lost(Vec<Digest>),
}

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
) -> Result<Outcome, ClientError> {
    let directory = home(root, &digest);
    let (lock, partial) = {
        let directory = directory.clone();
        blocking(move || prepare(&directory)).await?
    };
    if directory.is_dir() {
        return Ok(Outcome::Done { directory, downloaded: 0 });
    }
    let (listing, linker, missing) = {
        let (store, partial) = (store.clone(), partial.clone());
        blocking(move || {
            make_directories(&partial, &listing)?;
            let linker = Linker::open(store, digest.function())?;
            let missing = link_known(&linker, &partial, &listing.files)?;
            Ok::<_, ClientError>((listing, linker, missing))
        })
        .await?
    };
    tracing::debug!(files = listing.files.len(), missing = missing.len(), "linked what is here");
    let downloaded = missing.keys().map(Digest::size).sum();
    let lost = download(cas, store, linker, missing, events).await?;
    if !lost.is_empty() {
        return Ok(Outcome::Lost(lost));
    }
    tracing::debug!(bytes = downloaded, "downloaded what was missing");
    let target = directory.clone();
    blocking(move || {
        finish(&partial, &listing, &target)?;
        drop(lock);
        Ok(Outcome::Done { directory: target, downloaded })
    })
    .await
}

/// Takes the lock of an environment and clears what an interrupted fetch left behind.
fn prepare(directory: &Path) -> Result<(File, PathBuf), ClientError> {
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

fn make_directories(partial: &Path, listing: &Listing) -> Result<(), ClientError> {
    fs::create_dir(partial).map_err(ClientError::io("make the directory", partial))?;
    for directory in &listing.directories {
        let path = partial.join(directory);
        fs::create_dir(&path).map_err(ClientError::io("make the directory", &path))?;
    }
    Ok(())
}

/// Links every file whose blob is in the local store, on all cores, and returns the others.
fn link_known(linker: &Linker, partial: &Path, files: &[ListedFile]) -> Result<Missing, ClientError> {
    let next = AtomicUsize::new(0);
    let missing = Mutex::new(Missing::new());
    on_all_cores(|| {
        loop {
            let start = next.fetch_add(STRIDE, Ordering::Relaxed);
            let Some(rest) = files.get(start..) else { return Ok::<_, ClientError>(()) };
            let absent = link_some(linker, partial, &rest[..rest.len().min(STRIDE)])?;
            let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
            for (digest, place) in absent {
                missing.entry(digest).or_default().push(place);
            }
        }
    })?;
    Ok(missing.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Links files, which are sorted by directory, and returns those whose blobs are not in the store.
fn link_some(linker: &Linker, partial: &Path, files: &[ListedFile]) -> Result<Vec<(Digest, Place)>, ClientError> {
    let mut absent = Vec::new();
    let mut at: Option<(&str, PathBuf, File)> = None;
    for file in files {
        let (parent, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        if at.as_ref().is_none_or(|(open, ..)| *open != parent) {
            let path = partial.join(parent);
            let directory = File::open(&path).map_err(ClientError::io("open the directory", &path))?;
            at = Some((parent, path, directory));
        }
        let Some((_, path, directory)) = &at else { continue };
        if !linker.link(&file.digest, file.executable, directory, path, name)? {
            let path = path.join(name);
            absent.push((file.digest, Place { path, executable: file.executable }));
        }
    }
    Ok(absent)
}

/// Makes symlinks, takes write permission away, and puts the directory in its place.
fn finish(partial: &Path, listing: &Listing, target: &Path) -> Result<(), ClientError> {
    for (path, to) in &listing.symlinks {
        let path = partial.join(path);
        symlink(to, &path).map_err(ClientError::io("make the symlink", &path))?;
    }
    let directories = listing.directories.iter().rev().map(|directory| partial.join(directory));
    for path in directories.chain([partial.to_owned()]) {
        let read_only = Permissions::from_mode(0o555);
        fs::set_permissions(&path, read_only).map_err(ClientError::io("protect", &path))?;
    }
    fs::rename(partial, target).map_err(ClientError::io("put in place", target))
}
