//! Making a root file system in a new directory.
//!
//! In the order of `container/root/make.rs`: files are linked where they are kept, copied where their content is here,
//! downloaded where not.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::arriving::Arriving;
use super::keeper::Keeper;
use super::places::{MissingFiles, Walk, link_all};
use crate::client::ClientError;
use crate::client::connect::Reached;
use crate::client::download::download;
use crate::client::events::Events;
use crate::client::fill::Filled;
use crate::container::{FileFacts, Plan, PlannedFile};
use crate::digest::Digest;
use crate::host::on_all_cores;
use crate::store::{FileBlobStore, blocking};

/// Files that a thread takes from the list at a time.
const STRIDE: usize = 256;

/// Makes a root file system in a directory that does not exist yet.
///
/// # Errors
/// When the file system refuses, or a download fails.
///
/// # Cancel safety
/// The directory is left half filled; what has arrived is kept.
pub(super) async fn make(
    top: &Path,
    plan: Plan,
    keeper: Keeper,
    blobs: &FileBlobStore,
    cas: &Reached,
    events: &dyn Events,
) -> Result<Filled, ClientError> {
    let (top, blobs) = (top.to_owned(), blobs.clone());
    let (plan, arriving) = {
        let top = top.clone();
        blocking(move || {
            plan.make_directories(&top)?;
            let plan = Arc::new(plan);
            let missing = link_kept(&keeper, &top, &plan.files)?;
            tracing::debug!(files = plan.files.len(), missing = missing.len(), "linked what is kept");
            let missing = copy_known(&keeper, &blobs, &top, &plan.files, missing)?;
            let arriving = Arriving { keeper, blobs, top, plan: Arc::clone(&plan), missing };
            Ok::<_, ClientError>((plan, arriving))
        })
        .await?
    };
    let downloaded = arriving.missing.keys().map(Digest::size).sum();
    let lost = download(cas, arriving, events).await?;
    if !lost.is_empty() {
        return Ok(Filled::Lost(lost));
    }
    tracing::debug!(bytes = downloaded, "downloaded what was missing");
    blocking(move || {
        plan.make_others(&top)?;
        Ok(Filled::Whole { downloaded })
    })
    .await
}

/// Links every file that is kept, on all cores, and returns the places of the others.
fn link_kept(keeper: &Keeper, top: &Path, files: &[PlannedFile]) -> Result<Vec<usize>, ClientError> {
    let next = AtomicUsize::new(0);
    let missing = Mutex::new(Vec::new());
    on_all_cores(|| {
        let mut walk = Walk::new(top);
        let mut absent = Vec::new();
        loop {
            let start = next.fetch_add(STRIDE, Ordering::Relaxed);
            let Some(rest) = files.get(start..) else { break };
            for (at, planned) in rest.iter().take(STRIDE).enumerate() {
                if !keeper.link(&planned.file, walk.to(&planned.path)?, planned.names)? {
                    absent.push(start + at);
                }
            }
        }
        missing.lock().unwrap_or_else(PoisonError::into_inner).append(&mut absent);
        Ok::<_, ClientError>(())
    })?;
    let mut missing = missing.into_inner().unwrap_or_else(PoisonError::into_inner);
    missing.sort_unstable();
    Ok(missing)
}

/// Makes files whose content is here, on all cores, and returns the others.
fn copy_known(
    keeper: &Keeper,
    blobs: &FileBlobStore,
    top: &Path,
    files: &[PlannedFile],
    missing: Vec<usize>,
) -> Result<MissingFiles, ClientError> {
    let mut places: HashMap<&FileFacts, Vec<usize>> = HashMap::new();
    for at in missing {
        places.entry(&files[at].file).or_default().push(at);
    }
    let digests: HashSet<Digest> = places.keys().map(|file| file.digest).collect();
    let alike = keeper.alike(&digests)?;
    let mut places: Vec<(&FileFacts, Vec<usize>)> = places.into_iter().collect();
    places.sort_unstable_by_key(|(_, places)| places[0]);
    let next = AtomicUsize::new(0);
    let absent = Mutex::new(MissingFiles::new());
    on_all_cores(|| {
        while let Some((file, places)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            if keeper.copy(file, alike.get(&file.digest).map(PathBuf::as_path), blobs)? {
                link_all(keeper, top, files, places)?;
                continue;
            }
            let mut absent = absent.lock().unwrap_or_else(PoisonError::into_inner);
            absent.entry(file.digest).or_default().push(((*file).clone(), places.clone()));
        }
        Ok::<_, ClientError>(())
    })?;
    Ok(absent.into_inner().unwrap_or_else(PoisonError::into_inner))
}
