//! A checkpoint in the CAS, as one tree.
//!
//! ```text
//! image/                           the tree of the image environment (oci/stored.rs)
//! layers/000/root/                 what the service had written, over the image; the lowest layer
//! layers/000/attributes.json       what the tree does not say
//! memory/                          what CRIU wrote, as the worker left it (outcome.rs); not there without that form
//! ```

use crate::digest::Digest;
use crate::oci::{StoredImageError, StoredLayer, StoredTree};
use crate::spec::RelativePath;
use crate::store::{BlobStore, Node};

const IMAGE: &str = "image";
const MEMORY: &str = "memory";

/// Where the parts of a checkpoint lie in the CAS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The tree of the image.
    pub image: Digest,
    /// What lies over it, the lowest layer first.
    pub layers: Vec<StoredLayer>,
    /// What CRIU wrote.
    pub memory: Option<Digest>,
}

impl Stored {
    /// Returns what lies where, to be put together.
    pub fn nodes(&self) -> Vec<(RelativePath, Node)> {
        let mut nodes = vec![(IMAGE.to_owned(), Node::Directory { digest: self.image })];
        for (number, layer) in self.layers.iter().enumerate() {
            let within = format!("layers/{number:03}");
            nodes.push((format!("{within}/root"), Node::Directory { digest: layer.root }));
            let attributes = Node::File { digest: layer.attributes, executable: false };
            nodes.push((format!("{within}/attributes.json"), attributes));
        }
        nodes.extend(self.memory.map(|digest| (MEMORY.to_owned(), Node::Directory { digest })));
        let parsed = |path: String| RelativePath::parse(&path).expect("it is written with care");
        nodes.into_iter().map(|(path, node)| (parsed(path), node)).collect()
    }
    /// Reads where the parts of a checkpoint lie from its tree. Only directories are read, and none of the image.
    ///
    /// # Errors
    /// When it is no checkpoint, a directory is not there, or the store fails.
    pub async fn read(store: &dyn BlobStore, root: Digest) -> Result<Self, StoredImageError> {
        let top = StoredTree::open(store, "checkpoint", root).await?;
        let (image, memory) = (top.directory(IMAGE)?, top.directory_if_there(MEMORY)?);
        Ok(Self { image, layers: top.layers().await?, memory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;
    use crate::store::{MemoryBlobStore, MerkleTree};

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    async fn read(nodes: Vec<(RelativePath, Node)>) -> Result<Stored, StoredImageError> {
        let (store, mut tree) = (MemoryBlobStore::default(), MerkleTree::default());
        for (path, node) in nodes {
            tree.insert(&path, node).expect("free");
        }
        let (root, directories) = tree.encode(FUNCTION);
        store.put_batch(directories).await.expect("memory");
        Stored::read(&store, root).await
    }

    fn checkpoint(layers: usize, memory: bool) -> Stored {
        let digest = |text: &str| FUNCTION.digest(text.as_bytes());
        let layer = |number: usize| StoredLayer { root: digest(&number.to_string()), attributes: digest("a") };
        let memory = memory.then(|| digest("memory"));
        Stored { image: digest("image"), layers: (0..layers).map(layer).collect(), memory }
    }

    #[tokio::test]
    async fn what_was_put_together_is_found_again() {
        for (layers, memory) in [(0, false), (1, true), (2, true), (2, false)] {
            let checkpoint = checkpoint(layers, memory);
            assert_eq!(read(checkpoint.nodes()).await.expect("whole"), checkpoint);
        }
    }

    #[tokio::test]
    async fn a_tree_that_lacks_a_part_is_no_checkpoint() {
        let nodes = checkpoint(2, true).nodes();
        for without in 0..nodes.len() - 1 {
            let mut nodes = nodes.clone();
            nodes.remove(without);
            let error = read(nodes).await.expect_err("not whole");
            assert!(error.to_string().contains(" is no checkpoint: `"), "{error}");
        }
        let mut nodes = nodes;
        let file = Node::File { digest: FUNCTION.empty(), executable: false };
        nodes.last_mut().expect("the memory").1 = file;
        assert!(read(nodes).await.is_err());
    }
}
