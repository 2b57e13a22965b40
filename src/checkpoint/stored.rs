//! A checkpoint in the CAS, as one tree.
//!
//! ```text
//! image/                           the tree of the image environment (oci/stored.rs)
//! layers/000/root/                 what the service had written, over the image; the lowest layer
//! layers/000/attributes.json       what the tree does not say
//! memory/                          what CRIU wrote, as the worker left it (outcome.rs); not there without that form
//! ```

use crate::digest::Digest;
use crate::oci::StoredLayer;
use crate::spec::RelativePath;
use crate::store::Node;

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
        let mut nodes = vec![("image".to_owned(), Node::Directory { digest: self.image })];
        for (number, layer) in self.layers.iter().enumerate() {
            let within = format!("layers/{number:03}");
            nodes.push((format!("{within}/root"), Node::Directory { digest: layer.root }));
            let attributes = Node::File { digest: layer.attributes, executable: false };
            nodes.push((format!("{within}/attributes.json"), attributes));
        }
        nodes.extend(self.memory.map(|digest| ("memory".to_owned(), Node::Directory { digest })));
        let parsed = |path: String| RelativePath::parse(&path).expect("it is written with care");
        nodes.into_iter().map(|(path, node)| (parsed(path), node)).collect()
    }
}
