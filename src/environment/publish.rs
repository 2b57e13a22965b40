//! The last step of every kind: from what was made to a descriptor that can be answered.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::progress::Phase;
use super::{Build, BuildError, Failure, FailureReason};
use crate::digest::Digest;
use crate::spec::{
    CheckpointFacts, DESCRIPTOR_VERSION, Descriptor, ImageFacts, KindName, NixFacts, Provenance, Provides,
};
use crate::store::{Listing, StoreError, collect_tree};

/// What a kind made.
pub(super) struct Made {
    /// Root Directory.
    pub root: Digest,
    /// The actions that were run for it.
    pub actions: Vec<Digest>,
    /// What only a `nix` environment has.
    pub nix: Option<NixFacts>,
    /// What only an `image` environment has.
    pub image: Option<ImageFacts>,
    /// What only a `checkpoint` environment has.
    pub checkpoint: Option<CheckpointFacts>,
}

/// An environment whose blobs, descriptor included, are all in the CAS.
#[derive(Debug, Clone)]
pub struct Published {
    /// What is answered.
    pub descriptor: Descriptor,
    /// Its canonical form.
    pub canonical: Bytes,
}

/// Writes the `Tree` and the descriptor of what was made.
///
/// # Errors
/// `Failed` when a symlink leaves the tree.
pub(super) async fn publish(
    build: &Build<'_>,
    kind: KindName,
    made: Made,
    provides: Provides,
) -> Result<Published, BuildError> {
    build.progress.phase(Phase::Publish);
    let tree = Bytes::from(collect_tree(build.store, made.root).await?);
    let invalid = |source| StoreError::Directory { digest: made.root, source };
    let listing = Listing::parse(made.root, &tree).map_err(invalid)?;
    // Objects of a Nix store, and files of an image, of which a checkpoint has one, name each other by absolute paths.
    if made.nix.is_none() && made.image.is_none() && made.checkpoint.is_none() {
        listing.check_symlinks().map_err(|error| {
            BuildError::Failed(Box::new(Failure {
                environment: build.parts.target(),
                reason: FailureReason::Output { reason: error.to_string() },
                log: None,
                log_tail: Bytes::new(),
            }))
        })?;
    }
    if let Some(digest) = build.store.find_missing(&listing.blobs()).await?.first() {
        return Err(StoreError::Missing { digest: *digest, role: "file of a finished environment" }.into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let descriptor = Descriptor {
        version: DESCRIPTOR_VERSION,
        kind,
        root: made.root,
        tree: build.function.digest(&tree),
        provides,
        nix: made.nix,
        image: made.image,
        checkpoint: made.checkpoint,
        provenance: Provenance {
            builder: concat!("envserve ", env!("CARGO_PKG_VERSION")).to_owned(),
            actions: made.actions,
            built_at: now,
            duration_ms: u64::try_from(build.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
    };
    let canonical = Bytes::from(descriptor.canonical());
    let blobs = vec![(descriptor.tree, tree), (build.function.digest(&canonical), canonical.clone())];
    build.store.put_missing(blobs).await?;
    Ok(Published { descriptor, canonical })
}
