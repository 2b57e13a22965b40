//! Filling a new directory with what a listing says: linked where blobs are here, downloaded where not.
//!
//! What has arrived is in the store at once, so an interrupted fetch costs only the directory entries. Symlinks come
//! last, so none is ever followed.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ClientError;
use super::connect::Reached;
use super::destination::Linked;
use super::download::download;
use super::events::Events;
use super::missing::{Missing, Place};
use crate::digest::{Digest, DigestFunction};
use crate::host::on_all_cores;
use crate::store::{FileBlobStore, Linker, ListedFile, Listing, blocking};

/// Files that a thread takes from the list at a time.
const STRIDE: usize = 256;

/// How filling ended.
pub(super) enum Filled {
    /// Everything is there.
    Whole { downloaded: u64 },
    /// These blobs are not at the endpoint.
    Lost(Vec<Digest>),
}

/// What is to be filled.
pub(super) struct Filling {
    /// The directory, which does not exist yet.
    pub(super) directory: PathBuf,
    /// What goes into it.
    pub(super) listing: Listing,
    /// Function of the digests in the listing.
    pub(super) function: DigestFunction,
}

/// Makes the directory and everything in it. Returns the listing too, to be gone on with.
///
/// # Errors
/// When the file system refuses, or a download fails.
///
/// # Cancel safety
/// The directory is left half filled; what has arrived is in the store.
pub(super) async fn fill(
    filling: Filling,
    store: &FileBlobStore,
    cas: &Reached,
    events: &dyn Events,
) -> Result<(Listing, Filled), ClientError> {
    let Filling { directory, listing, function } = filling;
    let (listing, linker, missing) = {
        let (store, directory) = (store.clone(), directory.clone());
        blocking(move || {
            make_directories(&directory, &listing)?;
            let linker = Linker::open(store, function)?;
            let missing = link_known(&linker, &directory, &listing.files)?;
            Ok::<_, ClientError>((listing, linker, missing))
        })
        .await?
    };
    tracing::debug!(files = listing.files.len(), missing = missing.len(), "linked what is here");
    let downloaded = missing.keys().map(Digest::size).sum();
    let lost = download(cas, Linked { missing, store: store.clone(), linker }, events).await?;
    if !lost.is_empty() {
        return Ok((listing, Filled::Lost(lost)));
    }
    tracing::debug!(bytes = downloaded, "downloaded what was missing");
    blocking(move || {
        make_symlinks(&directory, &listing)?;
        Ok((listing, Filled::Whole { downloaded }))
    })
    .await
}

fn make_directories(top: &Path, listing: &Listing) -> Result<(), ClientError> {
    fs::create_dir(top).map_err(ClientError::io("make the directory", top))?;
    for directory in &listing.directories {
        let path = top.join(directory);
        fs::create_dir(&path).map_err(ClientError::io("make the directory", &path))?;
    }
    Ok(())
}

fn make_symlinks(top: &Path, listing: &Listing) -> Result<(), ClientError> {
    for (path, to) in &listing.symlinks {
        let path = top.join(path);
        symlink(to, &path).map_err(ClientError::io("make the symlink", &path))?;
    }
    Ok(())
}

/// Links every file whose blob is in the local store, on all cores, and returns the others.
fn link_known(linker: &Linker, top: &Path, files: &[ListedFile]) -> Result<Missing, ClientError> {
    let next = AtomicUsize::new(0);
    let missing = Mutex::new(Missing::new());
    on_all_cores(|| {
        loop {
            let start = next.fetch_add(STRIDE, Ordering::Relaxed);
            let Some(rest) = files.get(start..) else { return Ok::<_, ClientError>(()) };
            let absent = link_some(linker, top, &rest[..rest.len().min(STRIDE)])?;
            let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
            for (digest, place) in absent {
                missing.entry(digest).or_default().push(place);
            }
        }
    })?;
    Ok(missing.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Links files, which are sorted by directory, and returns those whose blobs are not in the store.
fn link_some(linker: &Linker, top: &Path, files: &[ListedFile]) -> Result<Vec<(Digest, Place)>, ClientError> {
    let mut absent = Vec::new();
    let mut at: Option<(&str, PathBuf, File)> = None;
    for file in files {
        let (parent, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        if at.as_ref().is_none_or(|(open, ..)| *open != parent) {
            let path = top.join(parent);
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
