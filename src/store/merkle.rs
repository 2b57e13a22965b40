//! A tree under construction: entries by path, encoded to `Directory` blobs at the end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::directory::{Directory, DirectoryError, Node, check_name};
use crate::digest::{Digest, DigestFunction};
use crate::spec::RelativePath;

/// A directory tree being put together.
#[derive(Debug, Clone, Default)]
pub struct MerkleTree {
    entries: BTreeMap<String, Branch>,
}

#[derive(Debug, Clone)]
enum Branch {
    Leaf(Node),
    Inner(MerkleTree),
}

/// Why an entry cannot be put where it should go.
#[derive(Debug, thiserror::Error)]
pub enum MerkleError {
    /// Something else stands there, or on the way.
    #[error("two entries claim the path `{path}`")]
    Conflict {
        /// The path that was to be added.
        path: String,
    },
    /// The entry itself is not valid.
    #[error("`{path}` cannot be added to a directory")]
    Entry {
        /// The path that was to be added.
        path: String,
        /// What is wrong with it.
        #[source]
        source: DirectoryError,
    },
}

impl MerkleTree {
    /// Puts a node at a path, and makes the directories on the way.
    ///
    /// # Errors
    /// `Conflict` when the path, or one on the way, is taken by a node; the root is always taken.
    pub fn insert(&mut self, path: &RelativePath, node: Node) -> Result<(), MerkleError> {
        let conflict = || MerkleError::Conflict { path: path.to_string() };
        let invalid = |source| MerkleError::Entry { path: path.to_string(), source };
        let mut components: Vec<&str> = path.components().collect();
        let name = components.pop().ok_or_else(conflict)?;
        Directory::default().insert(name.to_owned(), node.clone()).map_err(invalid)?;
        components.iter().try_for_each(|name| check_name(name)).map_err(invalid)?;
        let parent = self.descend(&components).ok_or_else(conflict)?;
        match parent.entries.entry(name.to_owned()) {
            Entry::Occupied(_) => Err(conflict()),
            Entry::Vacant(free) => {
                free.insert(Branch::Leaf(node));
                Ok(())
            }
        }
    }

    /// Makes sure that a directory is there, though it may stay empty.
    ///
    /// # Errors
    /// `Conflict` when a node stands there or on the way.
    pub fn directory(&mut self, path: &RelativePath) -> Result<(), MerkleError> {
        let components: Vec<&str> = path.components().collect();
        let invalid = |source| MerkleError::Entry { path: path.to_string(), source };
        components.iter().try_for_each(|name| check_name(name)).map_err(invalid)?;
        self.descend(&components).ok_or_else(|| MerkleError::Conflict { path: path.to_string() })?;
        Ok(())
    }

    fn descend(&mut self, components: &[&str]) -> Option<&mut Self> {
        let mut at = self;
        for name in components {
            let inner = || Branch::Inner(Self::default());
            match at.entries.entry((*name).to_owned()).or_insert_with(inner) {
                Branch::Inner(tree) => at = tree,
                Branch::Leaf(_) => return None,
            }
        }
        Some(at)
    }

    /// Returns the digest of the root `Directory` and the blobs of all directories made here.
    pub fn encode(&self, function: DigestFunction) -> (Digest, Vec<(Digest, Bytes)>) {
        let mut blobs = Vec::new();
        let root = self.encode_into(function, &mut blobs);
        (root, blobs)
    }

    fn encode_into(&self, function: DigestFunction, blobs: &mut Vec<(Digest, Bytes)>) -> Digest {
        let mut directory = Directory::default();
        for (name, branch) in &self.entries {
            let node = match branch {
                Branch::Leaf(node) => node.clone(),
                Branch::Inner(tree) => Node::Directory { digest: tree.encode_into(function, blobs) },
            };
            directory.insert(name.clone(), node).expect("names were checked when they were inserted, and are unique");
        }
        let bytes = Bytes::from(directory.encode());
        let digest = function.digest(&bytes);
        blobs.push((digest, bytes));
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).expect("relative")
    }

    fn file() -> Node {
        Node::File { digest: DigestFunction::Blake3.empty(), executable: false }
    }

    #[test]
    fn order_of_insertion_does_not_matter() {
        let build = |paths: &[&str]| {
            let mut tree = MerkleTree::default();
            for at in paths {
                tree.insert(&path(at), file()).expect("free");
            }
            tree.encode(DigestFunction::Blake3).0
        };
        assert_eq!(build(&["a/b", "c", "a/d/e"]), build(&["c", "a/d/e", "a/b"]));
        assert_ne!(build(&["a/b"]), build(&["a/c"]));
    }

    #[test]
    fn a_path_is_given_once() {
        let mut tree = MerkleTree::default();
        tree.insert(&path("a/b"), file()).expect("free");
        for taken in ["a/b", "a", "a/b/c", ""] {
            assert!(tree.insert(&path(taken), file()).is_err(), "{taken}");
        }
    }
}
