//! The server's view of source trees: by tree id, from wherever they are known.

mod content;
mod derive;
mod options;
mod turns;

use std::sync::Arc;

use bytes::Bytes;

pub use content::Content;
pub use derive::{Derived, Distfile};
pub use options::{FetchPrefix, FetchPrefixError, SourceOptions};
pub use turns::{Turn, Turns};

use super::{FetchOptions, Fetcher, Registries, SourceError, export_tree, import_directory};
use crate::digest::{Digest, DigestFunction};
use crate::spec::{GitId, RelativePath};
use crate::store::{
    BlobStore, Directory, GitEntry, GitEntryKind, GitStore, Listing, Node, SourceMaps, StoreError, blocking,
    collect_tree,
};

/// Pieces of work that run side by side.
const AT_ONCE: usize = 4;

/// Source trees in the Git cache, in further Git repositories, and in the CAS.
#[derive(Clone)]
pub struct Sources {
    git: GitStore,
    maps: SourceMaps,
    store: Arc<dyn BlobStore>,
    function: DigestFunction,
    options: Arc<SourceOptions>,
    fetcher: Fetcher,
    /// Trees that are being derived, and files that are being fetched. The former wait for the latter, and so each
    /// have room of their own.
    derivations: Turns,
    contents: Turns,
}

/// Where something may be fetched from that is not known here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Addresses, in the order in which they are tried.
    pub addresses: Vec<String>,
    /// The branch, of a commit.
    pub branch: String,
    /// The SHA-256, of a file.
    pub sha256: Option<String>,
    /// The SHA-512, of a file.
    pub sha512: Option<String>,
}

impl Sources {
    /// Joins the places where trees are looked for.
    pub fn new(
        git: GitStore,
        maps: SourceMaps,
        store: Arc<dyn BlobStore>,
        function: DigestFunction,
        options: Arc<SourceOptions>,
    ) -> Self {
        Self {
            git,
            maps,
            store,
            function,
            options,
            fetcher: Fetcher::new(FetchOptions::default()),
            derivations: Turns::new(AT_ONCE),
            contents: Turns::new(AT_ONCE),
        }
    }

    /// Returns the Git store.
    pub fn git(&self) -> &GitStore {
        &self.git
    }

    /// Returns the way to registries, from which bases of images are pulled.
    pub fn registries(&self) -> Registries {
        Registries::new(self.fetcher.clone(), Arc::clone(&self.options))
    }

    /// Says whether a tree is known, in Git or by an earlier export whose blobs are still there.
    ///
    /// # Errors
    /// When a place cannot tell.
    pub async fn is_known(&self, tree: GitId) -> Result<bool, SourceError> {
        let git = self.git.clone();
        if blocking(move || git.contains(tree)).await? {
            return Ok(true);
        }
        Ok(self.exported(tree).await?.is_some())
    }

    /// Says whether a tree is known in Git, which needs no endpoint.
    ///
    /// # Errors
    /// When a repository cannot tell.
    pub async fn is_in_git(&self, tree: GitId) -> Result<bool, SourceError> {
        let git = self.git.clone();
        Ok(blocking(move || git.has_tree(tree)).await?)
    }

    /// Returns the root Directory of a tree that was put into the CAS before and is whole there.
    async fn exported(&self, tree: GitId) -> Result<Option<Digest>, SourceError> {
        let Some(root) = self.maps.directory(self.function, &tree).await? else { return Ok(None) };
        let encoded = match collect_tree(&*self.store, root).await {
            Ok(encoded) => encoded,
            Err(StoreError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let invalid = |source| StoreError::Directory { digest: root, source };
        let blobs = Listing::parse(root, &encoded).map_err(invalid)?.blobs();
        Ok(self.store.find_missing(&blobs).await?.is_empty().then_some(root))
    }

    /// Returns the root Directory of a tree, all of whose blobs are in the CAS when this returns.
    ///
    /// # Errors
    /// `Unknown` when the tree is nowhere.
    pub async fn directory(&self, tree: GitId) -> Result<Digest, SourceError> {
        if let Some(root) = self.exported(tree).await? {
            return Ok(root);
        }
        let exported = export_tree(&self.git, tree, &*self.store, self.function).await?;
        let root = exported.ok_or(SourceError::Unknown { tree })?;
        self.maps.put_directory(&tree, &root).await?;
        Ok(root)
    }

    /// Brings a tree into the Git cache that only the CAS may have.
    ///
    /// # Errors
    /// `Unknown` when the tree is nowhere.
    async fn bring_to_git(&self, tree: GitId) -> Result<(), SourceError> {
        let git = self.git.clone();
        if blocking(move || git.contains(tree)).await? {
            return Ok(());
        }
        let root = self.exported(tree).await?.ok_or(SourceError::Unknown { tree })?;
        import_directory(&*self.store, root, &self.git).await?;
        Ok(())
    }

    /// Returns what a tree holds, without what lies deeper.
    ///
    /// # Errors
    /// `Unknown` when the tree is nowhere.
    pub async fn entries(&self, tree: GitId) -> Result<Vec<GitEntry>, SourceError> {
        self.bring_to_git(tree).await?;
        let git = self.git.clone();
        let entries = blocking(move || if git.has_tree(tree)? { git.tree(tree) } else { Ok(None) }).await?;
        entries.ok_or(SourceError::Unknown { tree })
    }

    /// Takes over a tree that a client uploaded: returns its Git tree id, and knows it from now on.
    ///
    /// # Errors
    /// When a blob is not in the CAS or a Directory is malformed.
    pub async fn take_over(&self, root: Digest) -> Result<GitId, SourceError> {
        import_directory(&*self.store, root, &self.git).await
    }

    /// Returns the content of a file in a tree; `None` when the tree has no such file.
    ///
    /// # Errors
    /// `Unknown` when the tree is nowhere.
    pub async fn file(&self, tree: GitId, path: &RelativePath) -> Result<Option<Bytes>, SourceError> {
        let (git, wanted) = (self.git.clone(), path.clone());
        if let Some(found) = blocking(move || file_in_git(&git, tree, &wanted)).await? {
            return Ok(found.map(Bytes::from));
        }
        let root = self.exported(tree).await?.ok_or(SourceError::Unknown { tree })?;
        match lookup(&*self.store, root, path).await? {
            Some(Node::File { digest, .. }) => Ok(self.store.get(&digest).await?),
            Some(Node::Directory { .. } | Node::Symlink { .. }) | None => Ok(None),
        }
    }
}

/// Looks for a file; the outer `None` says that Git does not know the tree, the inner that the tree lacks the file.
///
/// # Errors
/// `Incomplete` when Git knows the tree, but not all of it.
pub(crate) fn file_in_git(
    git: &GitStore,
    tree: GitId,
    path: &RelativePath,
) -> Result<Option<Option<Vec<u8>>>, SourceError> {
    let Some(mut entries) = git.tree(tree)? else { return Ok(None) };
    let mut components = path.components().peekable();
    while let Some(name) = components.next() {
        let Some(entry) = entries.into_iter().find(|entry| entry.name == name) else { return Ok(Some(None)) };
        let incomplete = || SourceError::Incomplete { tree, id: entry.id };
        match (entry.kind, components.peek()) {
            (GitEntryKind::Tree, Some(_)) => entries = git.tree(entry.id)?.ok_or_else(incomplete)?,
            (GitEntryKind::File | GitEntryKind::Executable, None) => {
                return Ok(Some(Some(git.blob(entry.id)?.ok_or_else(incomplete)?)));
            }
            _ => return Ok(Some(None)),
        }
    }
    Ok(Some(None))
}

/// Returns the node at a path below a root Directory, `None` when there is none.
///
/// # Errors
/// `Missing` when a Directory on the way is not in the CAS.
pub(crate) async fn lookup(
    store: &dyn BlobStore,
    root: Digest,
    path: &RelativePath,
) -> Result<Option<Node>, StoreError> {
    let mut node = Node::Directory { digest: root };
    for name in path.components() {
        let Node::Directory { digest } = node else { return Ok(None) };
        let missing = StoreError::Missing { digest, role: "directory of a tree" };
        let bytes = store.get(&digest).await?.ok_or(missing)?;
        let directory =
            Directory::parse(digest.function(), &bytes).map_err(|source| StoreError::Directory { digest, source })?;
        match directory.get(name) {
            Some(found) => node = found.clone(),
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

#[cfg(test)]
mod tests;
