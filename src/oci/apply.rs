//! Layers applied in order: the root file system of an image, as a tree and its attributes.
//!
//! Only Directories are read and written; the content of files is not touched.

use std::borrow::Borrow;

use super::attributes::Attributes;
use super::layer::LayerError;
use super::tree::{Branch, Child, join};
use crate::digest::{Digest, DigestFunction};
use crate::spec::shown;
use crate::store::{BATCH_BYTES, BlobStore, Listing, StoreError, collect_tree};

#[cfg(test)]
mod tests;

/// A layer in the CAS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The root directory.
    pub root: Digest,
    /// What the tree does not say.
    pub attributes: Attributes,
}

/// Applies layers, the lowest first, stores the Directories of what comes out and returns it. It has no whiteouts.
///
/// A directory that a layer only implies is made with the default attributes where lower layers have nothing.
///
/// # Errors
/// When a layer is not whole in the store or its attributes do not fit, when something would come to lie in a file or
/// behind a symlink of a lower layer, or the store fails.
///
/// # Cancel safety
/// Some Directories may be stored.
pub async fn apply_layers<L: Borrow<Layer> + Sync>(
    store: &dyn BlobStore,
    function: DigestFunction,
    layers: &[L],
) -> Result<Layer, LayerError> {
    let mut whole = Branch::default();
    for Layer { root, attributes } in layers.iter().map(Borrow::borrow) {
        let tree = collect_tree(store, *root).await?;
        let listing = Listing::parse(*root, &tree).map_err(|source| StoreError::Directory { digest: *root, source })?;
        whole.apply(Branch::join(&listing, attributes)?, "")?;
    }
    let (root, directories, attributes) = whole.part(function);
    let mut batch = Vec::new();
    let mut size = 0;
    for (digest, bytes) in directories {
        size += digest.size();
        batch.push((digest, bytes));
        if size >= BATCH_BYTES {
            store.put_missing(std::mem::take(&mut batch)).await?;
            size = 0;
        }
    }
    store.put_missing(batch).await?;
    Ok(Layer { root, attributes })
}

impl Branch {
    /// Lays a directory of a layer over this one.
    pub(super) fn apply(&mut self, upper: Self, path: &str) -> Result<(), LayerError> {
        if upper.opaque {
            self.entries.clear();
        }
        for name in &upper.whiteouts {
            self.entries.remove(name);
        }
        if upper.metadata.is_some() {
            self.metadata = upper.metadata;
        }
        for (name, child) in upper.entries {
            let inner = match child {
                Child::Leaf(_) => {
                    self.entries.insert(name, child);
                    continue;
                }
                Child::Directory(inner) => inner,
            };
            let path = join(path, &name);
            let there = self.entries.entry(name).or_insert_with(|| Child::Directory(Self::stated()));
            match there {
                Child::Directory(lower) => lower.apply(inner, &path)?,
                Child::Leaf(_) if inner.metadata.is_none() => {
                    let what = "a layer below has something else there than a directory";
                    return Err(LayerError::Entry { path: shown(&path), what });
                }
                Child::Leaf(_) => {
                    let mut made = Self::stated();
                    made.apply(inner, &path)?;
                    *there = Child::Directory(made);
                }
            }
        }
        Ok(())
    }
}
