//! A whole tree at a glance: the `Tree` message, and the flat listing made from it.
//!
//! The children of a `Tree` are taken as the bytes they are, so each is
//! verified against the digest by which its parent names it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message;

use super::directories::Directories;
use super::directory::{Directory, DirectoryError, Node};
use super::{BlobStore, StoreError};
use crate::digest::{Digest, DigestFunction};

/// Most entries that a tree may have.
const MAX_ENTRIES: usize = 10_000_000;
/// Deepest nesting of directories.
const MAX_DEPTH: usize = 256;

/// The REAPI's `Tree` with its directories left in their encoded form.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EncodedTree {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) root: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) children: Vec<Bytes>,
}

/// A file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Path below the root.
    pub path: String,
    /// Content.
    pub digest: Digest,
    /// Whether it may be executed.
    pub executable: bool,
}

/// Every entry of a tree, by path. A directory stands before what it contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Directories below the root.
    pub directories: Vec<String>,
    /// Regular files.
    pub files: Vec<ListedFile>,
    /// Symlinks and their targets.
    pub symlinks: Vec<(String, String)>,
    /// The blobs of all directories, the root's among them, each once.
    pub directory_blobs: Vec<Digest>,
}

impl Listing {
    /// Reads a `Tree` blob whose root directory must be `root`.
    ///
    /// # Errors
    /// When it is malformed, lacks a directory, or is larger or deeper than the limits.
    pub fn parse(root: Digest, tree: &[u8]) -> Result<Self, DirectoryError> {
        Directories::parse(root.function(), tree)?.listing(root)
    }

    /// Lists everything below a directory, of which all are given.
    pub(super) fn of(directories: &HashMap<Digest, Directory>, root: Digest) -> Result<Self, DirectoryError> {
        let mut listing = Self::default();
        listing.add(directories, root, "", 0)?;
        let mut seen = HashSet::new();
        listing.directory_blobs.retain(|digest| seen.insert(*digest));
        Ok(listing)
    }

    /// Returns the root of a `Tree` blob and all of its directories as blobs.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn directories_of(
        function: DigestFunction,
        tree: &[u8],
    ) -> Result<(Digest, Vec<(Digest, Bytes)>), DirectoryError> {
        let tree = EncodedTree::decode(Bytes::copy_from_slice(tree)).map_err(DirectoryError::Decode)?;
        let root = function.digest(&tree.root);
        let directories = std::iter::once(tree.root).chain(tree.children);
        let named = |bytes: Bytes| Directory::parse(function, &bytes).map(|_| (function.digest(&bytes), bytes));
        Ok((root, directories.map(named).collect::<Result<_, _>>()?))
    }

    fn add(
        &mut self,
        directories: &HashMap<Digest, Directory>,
        digest: Digest,
        prefix: &str,
        depth: usize,
    ) -> Result<(), DirectoryError> {
        if depth > MAX_DEPTH {
            return Err(DirectoryError::TooLarge { limit: MAX_DEPTH, what: "levels" });
        }
        let directory = directories.get(&digest).ok_or(DirectoryError::Incomplete { directory: digest })?;
        self.directory_blobs.push(digest);
        for (name, node) in directory.iter() {
            if self.entries() >= MAX_ENTRIES {
                return Err(DirectoryError::TooLarge { limit: MAX_ENTRIES, what: "entries" });
            }
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            match node {
                Node::File { digest, executable } => {
                    self.files.push(ListedFile { path, digest: *digest, executable: *executable });
                }
                Node::Symlink { target } => self.symlinks.push((path, target.clone())),
                Node::Directory { digest } => {
                    self.directories.push(path.clone());
                    self.add(directories, *digest, &path, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn entries(&self) -> usize {
        self.directories.len() + self.files.len() + self.symlinks.len()
    }

    /// Returns every blob the tree is made of, each once: files, then directories.
    pub fn blobs(&self) -> Vec<Digest> {
        let mut seen = HashSet::with_capacity(self.files.len());
        let files = self.files.iter().map(|file| file.digest);
        files.chain(self.directory_blobs.iter().copied()).filter(|digest| seen.insert(*digest)).collect()
    }

    /// Returns the bytes of all files, those that stand at several paths counted at each.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.digest.size()).sum()
    }

    /// Checks that every symlink stays within the tree.
    ///
    /// # Errors
    /// `Escapes` with the first that does not: absolute, or with more `..` than it is deep.
    pub fn check_symlinks(&self) -> Result<(), DirectoryError> {
        for (path, target) in &self.symlinks {
            if escapes(path, target) {
                return Err(DirectoryError::Escapes { path: path.clone(), target: target.clone() });
            }
        }
        Ok(())
    }
}

/// Says whether a link at `path` with this target leads above the root of the tree.
fn escapes(path: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut depth = path.split('/').count() - 1;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

/// Reads all directories below `root` from a store and returns the encoded `Tree`.
///
/// # Errors
/// `Missing` when a directory is not in the store; `Directory` when one is malformed.
pub async fn collect_tree(store: &dyn BlobStore, root: Digest) -> Result<Vec<u8>, StoreError> {
    let mut seen = HashSet::from([root]);
    let mut level = vec![root];
    let mut ordered = Vec::new();
    while !level.is_empty() {
        let blobs = store.get_batch(&level).await?;
        let mut next = Vec::new();
        for digest in &level {
            let missing = || StoreError::Missing { digest: *digest, role: "directory of a tree" };
            let bytes = blobs.get(digest).ok_or_else(missing)?.clone();
            let directory = Directory::parse(root.function(), &bytes)
                .map_err(|source| StoreError::Directory { digest: *digest, source })?;
            next.extend(directory.subdirectories().filter(|digest| seen.insert(*digest)));
            ordered.push(bytes);
        }
        level = next;
    }
    let children = ordered.split_off(1);
    Ok(EncodedTree { root: ordered.remove(0), children }.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryBlobStore, MerkleTree};
    use super::*;
    use crate::proto::reapi;

    const FUNCTION: DigestFunction = DigestFunction::Sha256;

    async fn stored(paths: &[&str]) -> (Digest, Vec<u8>) {
        let mut tree = MerkleTree::default();
        for path in paths {
            let node = Node::File { digest: FUNCTION.digest(path.as_bytes()), executable: false };
            tree.insert(&crate::spec::RelativePath::parse(path).expect("relative"), node).expect("free");
        }
        let (root, blobs) = tree.encode(FUNCTION);
        let store = MemoryBlobStore::default();
        store.put_batch(blobs).await.expect("memory");
        (root, collect_tree(&store, root).await.expect("complete"))
    }

    #[tokio::test]
    async fn a_tree_lists_what_went_into_it() {
        let (root, tree) = stored(&["a", "b/c", "b/d/e"]).await;
        reapi::Tree::decode(&*tree).expect("is the REAPI's message");
        let listing = Listing::parse(root, &tree).expect("valid");
        assert_eq!(listing.directories, ["b", "b/d"]);
        let files: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(files, ["a", "b/c", "b/d/e"]);
        assert_eq!(listing.blobs().len(), 6);
    }

    #[tokio::test]
    async fn another_root_or_a_lost_child_is_noticed() {
        let (root, tree) = stored(&["a", "b/c"]).await;
        let (other, _) = stored(&["x"]).await;
        assert!(matches!(Listing::parse(other, &tree), Err(DirectoryError::Incomplete { .. })));
        let mut encoded = EncodedTree::decode(&*tree).expect("valid");
        encoded.children.clear();
        let error = Listing::parse(root, &encoded.encode_to_vec());
        assert!(matches!(error, Err(DirectoryError::Incomplete { .. })));
    }

    #[test]
    fn a_tree_that_doubles_at_each_level_is_refused() {
        let mut children = Vec::new();
        let mut digest = None;
        for _ in 0..40 {
            let mut directory = Directory::default();
            for name in ["a", "b"] {
                let node = digest.map_or(Node::File { digest: FUNCTION.empty(), executable: false }, |digest| {
                    Node::Directory { digest }
                });
                directory.insert(name.into(), node).expect("free");
            }
            let bytes = Bytes::from(directory.encode());
            digest = Some(FUNCTION.digest(&bytes));
            children.push(bytes);
        }
        let root = children.pop().expect("forty");
        let tree = EncodedTree { root, children }.encode_to_vec();
        let error = Listing::parse(digest.expect("forty"), &tree).expect_err("2^40 entries");
        assert!(matches!(error, DirectoryError::TooLarge { .. }), "{error:?}");
    }

    #[test]
    fn links_that_leave_the_tree_are_told_from_those_that_do_not() {
        for (path, target) in [("a/b", "../c"), ("a", "b/../c"), ("a/b/c", "../../d"), ("a", "./x")] {
            assert!(!escapes(path, target), "{path} -> {target}");
        }
        for (path, target) in [("a", "../b"), ("a", "/etc/passwd"), ("a/b", "../../c"), ("a", "b/../../c")] {
            assert!(escapes(path, target), "{path} -> {target}");
        }
    }
}
