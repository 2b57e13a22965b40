//! From the listing of a closure to paths of a store: those that are missing, all at once.
//!
//! They are made beside, under the lock of the store, so whoever waited for it finds them there. Files are links to
//! the blobs of the client, or copies where the store is on another file system.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::closure::Closure;
use super::database::NoCollection;
use super::doubt::clear_doubtful;
use super::store_root::{Making, StoreRoot};
use super::{Registering, database, kept};
use crate::client::ClientError;
use crate::client::connect::Reached;
use crate::client::events::Events;
use crate::client::fill::{Filled, Filling, fill};
use crate::digest::Digest;
use crate::host::on_all_cores;
use crate::nix::{Registration, StorePath};
use crate::store::{FileBlobStore, Listing, blocking};

/// How often paths are made that somebody removes again.
const ATTEMPTS: u32 = 3;

/// How making ended.
pub(super) enum Made {
    /// Every path is there, and registered where there is a database.
    Whole { kept: Option<Arc<NoCollection>>, downloaded: u64 },
    /// These blobs are not at the endpoint.
    Lost(Vec<Digest>),
}

/// A store that is to have a closure.
pub(super) struct Make<'a> {
    /// The store.
    pub(super) root: StoreRoot,
    /// Whether it has a database.
    pub(super) registering: Registering,
    /// What it is to have.
    pub(super) closure: &'a Closure,
    /// What is known of that.
    pub(super) registration: Arc<Registration>,
}

impl Make<'_> {
    /// Makes the paths of the closure that are not in the store.
    ///
    /// # Errors
    /// When the store cannot be written to, a download fails, or Nix refuses.
    ///
    /// # Cancel safety
    /// No path is half there. Who makes paths next clears what was begun.
    pub(super) async fn run(
        self,
        store: &FileBlobStore,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Made, ClientError> {
        let mut downloaded = 0;
        for _ in 0..ATTEMPTS {
            let (making, missing) = self.begin().await?;
            if !missing.is_empty() {
                let failed = match self.fill(&making, &missing, store, cas, events).await {
                    Ok(Filled::Whole { downloaded: more }) => {
                        downloaded += more;
                        None
                    }
                    Ok(Filled::Lost(lost)) => Some(Ok(Made::Lost(lost))),
                    Err(error) => Some(Err(error)),
                };
                if let Some(failed) = failed {
                    blocking(move || drop(making)).await;
                    return failed;
                }
            }
            if let Some(kept) = self.finish(making, missing).await? {
                return Ok(Made::Whole { kept, downloaded });
            }
        }
        Err(ClientError::Removed { store: self.root.store(), attempts: ATTEMPTS })
    }

    /// Takes the lock of the store, and looks what is missing then.
    async fn begin(&self) -> Result<(Making, BTreeSet<StorePath>), ClientError> {
        let (root, registration, registering) = (self.root.clone(), Arc::clone(&self.registration), self.registering);
        blocking(move || {
            let making = root.lock()?;
            let mut missing = root.missing(registration.paths())?;
            if registering == Registering::Yes {
                let there = registration.paths().filter(|path| !missing.contains(*path)).cloned().collect();
                missing.extend(clear_doubtful(&root, &database(&root)?, &registration, &there)?);
            }
            Ok((making, missing))
        })
        .await
    }

    /// Makes paths beside the store.
    async fn fill(
        &self,
        making: &Making,
        missing: &BTreeSet<StorePath>,
        store: &FileBlobStore,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Filled, ClientError> {
        tracing::debug!(paths = missing.len(), store = %self.root.store().display(), "making paths");
        let (directory, listing) = (making.paths(), self.closure.listing(missing));
        let function = self.closure.registration.function();
        let source = source(store, making, &listing).await?;
        let filling = Filling { directory, listing, function };
        let (listing, filled) = fill(filling, &source, cas, events).await?;
        if matches!(filled, Filled::Whole { .. }) {
            let top = making.paths();
            blocking(move || super::store_root::settle(&top, &listing)).await?;
        }
        Ok(filled)
    }

    /// Puts paths in their places and registers the closure, unless a path that was there has gone meanwhile.
    async fn finish(
        &self,
        making: Making,
        made: BTreeSet<StorePath>,
    ) -> Result<Option<Option<Arc<NoCollection>>>, ClientError> {
        let (root, registration, registering) = (self.root.clone(), Arc::clone(&self.registration), self.registering);
        blocking(move || {
            let kept = kept(&root, registering)?;
            let free = making.publish(&root, &made)?;
            let whole = root.missing(registration.paths())?.is_empty();
            if registering == Registering::No {
                return Ok(whole.then_some(kept));
            }
            // What came meanwhile, or went, is looked at anew.
            if !free || !whole {
                return Ok(None);
            }
            let database = database(&root)?;
            let unregistered = database.unregistered(&registration.paths().cloned().collect())?;
            database.register(&registration, &unregistered)?;
            Ok(Some(kept))
        })
        .await
    }
}

/// Returns the store whose blobs can be linked to: that of the client, or on another file system one for this time
/// alone, which has what is here.
async fn source(store: &FileBlobStore, making: &Making, listing: &Listing) -> Result<FileBlobStore, ClientError> {
    let function = listing.files.first().map(|file| file.digest.function());
    let (store, scratch) = (store.clone(), making.scratch().to_owned());
    let blobs: HashSet<Digest> = listing.files.iter().map(|file| file.digest).collect();
    blocking(move || {
        let Some(function) = function else { return Ok(store) };
        let probe = scratch.join("probe");
        // The empty blob is always there.
        if matches!(store.link_to(&function.empty(), false, &probe), Ok(true)) {
            return Ok(store);
        }
        tracing::debug!(store = %scratch.display(), "blobs cannot be linked to the store: they are copied");
        let own = FileBlobStore::open(&scratch)?;
        copy_known(&store, &own, &blobs.into_iter().collect::<Vec<_>>())?;
        Ok(own)
    })
    .await
}

/// Copies the blobs that one store has to another, on all cores.
fn copy_known(from: &FileBlobStore, to: &FileBlobStore, blobs: &[Digest]) -> Result<(), ClientError> {
    let next = AtomicUsize::new(0);
    on_all_cores(|| {
        while let Some(digest) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            // One that turns out to be corrupt is fetched.
            if let Some(bytes) = from.open_verified(digest)? {
                to.write_from(digest, bytes)?;
            }
        }
        Ok(())
    })
}
