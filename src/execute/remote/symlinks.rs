//! A way around a trap: some servers execute an input root with symlinks only when the text of each link's target is a
//! blob of its own in the CAS.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;

use super::super::{Closure, ExecuteError};
use crate::digest::Digest;
use crate::proto::reapi;
use crate::store::{BlobStore, Node, RemoteBlobStore, wire};

/// Puts the targets of all symlinks among the inputs of an action into the CAS.
pub(super) async fn put_targets(store: &RemoteBlobStore, action: &Digest) -> Result<(), ExecuteError> {
    let Some(bytes) = store.get(action).await? else { return Ok(()) };
    let message = reapi::Action::decode(bytes).unwrap_or_default();
    let Ok(root) = wire::digest(action.function(), "input_root_digest", message.input_root_digest.as_ref()) else {
        return Ok(());
    };
    let closure = Closure::read(store, root).await?;
    let nodes = closure.directories.iter().flat_map(|directory| directory.directory.iter());
    let targets: BTreeSet<&str> = nodes
        .filter_map(|(_, node)| match node {
            Node::Symlink { target } => Some(target.as_str()),
            Node::File { .. } | Node::Directory { .. } => None,
        })
        .collect();
    if targets.is_empty() {
        return Ok(());
    }
    tracing::info!(
        count = targets.len(),
        "putting the targets of symlinks into the CAS, for servers that need them there"
    );
    let blob = |target: &str| (action.function().digest(target.as_bytes()), Bytes::copy_from_slice(target.as_bytes()));
    let store: &dyn BlobStore = store;
    Ok(store.put_missing(targets.into_iter().map(blob).collect()).await?)
}
