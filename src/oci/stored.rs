//! An image in the CAS, as one tree: the documents, each layer, and what the layers come to.
//!
//! ```text
//! manifest.json  config.json        canonical; the manifest names the layers as plain archives
//! layers/000/root/                  the lowest layer, its tree
//! layers/000/attributes.json        what the tree does not say
//! root/  attributes.json            the root file system: all layers applied
//! ```
//!
//! Archives are made from this when somebody asks for them (`write_layer`), and are the same bytes each time.

use bytes::Bytes;

use crate::digest::Digest;
use crate::spec::RelativePath;
use crate::store::{BlobStore, Directory, Node, StoreError};

const MANIFEST: &str = "manifest.json";
const CONFIG: &str = "config.json";
const LAYERS: &str = "layers";
const ROOT: &str = "root";
const ATTRIBUTES: &str = "attributes.json";

/// A tree with attributes in the CAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoredLayer {
    /// The root directory.
    pub root: Digest,
    /// The document of its attributes.
    pub attributes: Digest,
}

/// Where the parts of an image lie in the CAS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The OCI manifest.
    pub manifest: Digest,
    /// The configuration.
    pub config: Digest,
    /// The layers, the lowest first.
    pub layers: Vec<StoredLayer>,
    /// What they come to.
    pub root_file_system: StoredLayer,
}

/// Why a tree is no image.
#[derive(Debug, thiserror::Error)]
pub enum StoredImageError {
    /// Something is not there, or of another kind.
    #[error("the tree `{root:?}` is no {what}: `{path}` is not there as it should be")]
    Form {
        /// What it should be.
        what: &'static str,
        /// The tree.
        root: Digest,
        /// What is expected.
        path: String,
    },
    /// A directory is not there or is none, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoredImage {
    /// Returns what lies where, to be put together.
    pub fn nodes(&self) -> Vec<(RelativePath, Node)> {
        let file = |path: &str, digest| (path.to_owned(), Node::File { digest, executable: false });
        let mut nodes = vec![file(MANIFEST, self.manifest), file(CONFIG, self.config)];
        let mut add = |within: &str, layer: &StoredLayer| {
            nodes.push((format!("{within}{ROOT}"), Node::Directory { digest: layer.root }));
            nodes.push(file(&format!("{within}{ATTRIBUTES}"), layer.attributes));
        };
        add("", &self.root_file_system);
        for (number, layer) in self.layers.iter().enumerate() {
            add(&format!("{LAYERS}/{}/", name(number)), layer);
        }
        let parsed = |path: String| RelativePath::parse(&path).expect("it is written with care");
        nodes.into_iter().map(|(path, node)| (parsed(path), node)).collect()
    }

    /// Reads where the parts of an image lie from its tree. Only directories are read.
    ///
    /// # Errors
    /// When it is no image, a directory is not there, or the store fails.
    pub async fn read(store: &dyn BlobStore, root: Digest) -> Result<Self, StoredImageError> {
        let top = StoredTree::open(store, "image", root).await?;
        let layers = top.layers().await?;
        let (manifest, config) = (top.file(MANIFEST)?, top.file(CONFIG)?);
        Ok(Self { manifest, config, layers, root_file_system: top.layer()? })
    }
}

/// Returns the name of a layer's directory. Names are in the order of layers.
fn name(number: usize) -> String {
    format!("{number:03}")
}

/// A directory of a tree whose form is known.
pub(crate) struct StoredTree<'a> {
    store: &'a dyn BlobStore,
    /// What the tree should be.
    what: &'static str,
    root: Digest,
    /// Empty, or with a slash at its end.
    path: String,
    directory: Directory,
}

impl<'a> StoredTree<'a> {
    /// Reads the top of a tree.
    ///
    /// # Errors
    /// When it is not there, or no directory, or the store fails.
    pub(crate) async fn open(
        store: &'a dyn BlobStore,
        what: &'static str,
        root: Digest,
    ) -> Result<Self, StoredImageError> {
        Ok(Self { store, what, root, path: String::new(), directory: directory(store, root).await? })
    }

    async fn enter(&self, name: &str) -> Result<Self, StoredImageError> {
        let directory = directory(self.store, self.directory(name)?).await?;
        Ok(Self { path: format!("{}{name}/", self.path), directory, ..*self })
    }

    /// Returns the layers in it, the lowest first.
    ///
    /// # Errors
    /// When one is not as layers are, or the store fails.
    pub(crate) async fn layers(&self) -> Result<Vec<StoredLayer>, StoredImageError> {
        if !matches!(self.directory.get(LAYERS), Some(Node::Directory { .. })) {
            return Ok(Vec::new());
        }
        let all = self.enter(LAYERS).await?;
        let mut layers = Vec::new();
        for number in 0..all.directory.iter().count() {
            layers.push(all.enter(&name(number)).await?.layer()?);
        }
        Ok(layers)
    }

    fn wrong(&self, name: &str) -> StoredImageError {
        StoredImageError::Form { what: self.what, root: self.root, path: format!("{}{name}", self.path) }
    }

    fn file(&self, name: &str) -> Result<Digest, StoredImageError> {
        match self.directory.get(name) {
            Some(Node::File { digest, .. }) => Ok(*digest),
            Some(Node::Directory { .. } | Node::Symlink { .. }) | None => Err(self.wrong(name)),
        }
    }

    /// Returns the directory of a name, if there is anything.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn directory_if_there(&self, name: &str) -> Result<Option<Digest>, StoredImageError> {
        self.directory.get(name).map(|_| self.directory(name)).transpose()
    }

    /// Returns the directory of a name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn directory(&self, name: &str) -> Result<Digest, StoredImageError> {
        match self.directory.get(name) {
            Some(Node::Directory { digest }) => Ok(*digest),
            Some(Node::File { .. } | Node::Symlink { .. }) | None => Err(self.wrong(name)),
        }
    }

    fn layer(&self) -> Result<StoredLayer, StoredImageError> {
        Ok(StoredLayer { root: self.directory(ROOT)?, attributes: self.file(ATTRIBUTES)? })
    }
}

async fn directory(store: &dyn BlobStore, digest: Digest) -> Result<Directory, StoreError> {
    let missing = || StoreError::Missing { digest, role: "directory of an image" };
    let bytes: Bytes = store.get(&digest).await?.ok_or_else(missing)?;
    Directory::parse(digest.function(), &bytes).map_err(|source| StoreError::Directory { digest, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;
    use crate::store::{MemoryBlobStore, MerkleTree};

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    async fn stored(store: &MemoryBlobStore, nodes: Vec<(RelativePath, Node)>) -> Digest {
        let mut tree = MerkleTree::default();
        for (path, node) in nodes {
            tree.insert(&path, node).expect("free");
        }
        let (root, directories) = tree.encode(FUNCTION);
        store.put_batch(directories).await.expect("memory");
        root
    }

    fn image(layers: usize) -> StoredImage {
        let digest = |text: &str| FUNCTION.digest(text.as_bytes());
        let layer = |number: usize| StoredLayer { root: digest(&number.to_string()), attributes: digest("a") };
        StoredImage {
            manifest: digest("m"),
            config: digest("c"),
            layers: (0..layers).map(layer).collect(),
            root_file_system: layer(layers),
        }
    }

    #[tokio::test]
    async fn what_was_put_together_is_found_again() {
        let store = MemoryBlobStore::default();
        for layers in [0, 1, 12, 101] {
            let root = stored(&store, image(layers).nodes()).await;
            assert_eq!(StoredImage::read(&store, root).await.expect("whole"), image(layers));
        }
    }

    #[tokio::test]
    async fn a_tree_that_lacks_a_part_is_no_image() {
        let store = MemoryBlobStore::default();
        let nodes = image(2).nodes();
        for without in 0..nodes.len() {
            let mut nodes = nodes.clone();
            nodes.remove(without);
            let root = stored(&store, nodes).await;
            let read = StoredImage::read(&store, root).await;
            assert!(matches!(read, Err(StoredImageError::Form { .. })), "{without}: {read:?}");
        }
    }
}
