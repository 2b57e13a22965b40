//! Trees that are worked out from a commit, an archive, files or another tree: once, then they are remembered.

use std::collections::BTreeMap;

use super::{Origin, Sources};
use crate::source::{
    ArchiveKind, Derivation, SourceError, distdir_tree, fetch_commit, known_commit, resolve, tree_structure, unpack,
};
use crate::spec::{GitId, RelativePath, Special};
use crate::store::{StoreError, blocking, check_commit_proof};

/// A tree, and how it came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The tree.
    pub tree: GitId,
    /// Whether something was fetched for it.
    pub fetched: bool,
}

impl Derived {
    fn known(tree: GitId) -> Self {
        Self { tree, fetched: false }
    }
}

/// A file of a distdir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distfile {
    /// Its Git blob id.
    pub content: GitId,
    /// Whether it is executable.
    pub executable: bool,
    /// Where it may be fetched from.
    pub origin: Origin,
}

impl Sources {
    /// Returns the tree of a directory in a commit, which may be proven by the Git objects that lead there.
    ///
    /// # Errors
    /// `UnknownCommit` when it is nowhere and may not be fetched; `NoSubdir`; `NotACommit`.
    pub async fn commit_tree(
        &self,
        commit: GitId,
        subdir: &RelativePath,
        origin: &Origin,
        proof: Vec<Vec<u8>>,
    ) -> Result<Derived, SourceError> {
        let work = async {
            if let Some(tree) = known_commit(&self.git, commit, subdir).await? {
                return Ok(Derived::known(tree));
            }
            let at = subdir.clone();
            if let Some(tree) = blocking(move || check_commit_proof(commit, &at, &proof)).await? {
                return Ok(Derived::known(tree));
            }
            let addresses = self.options.allowed(&origin.addresses);
            if addresses.is_empty() {
                return Err(SourceError::UnknownCommit { commit });
            }
            let tree =
                fetch_commit(&self.git, &addresses, &origin.branch, commit, subdir, &self.options.environment).await?;
            Ok(Derived { tree, fetched: true })
        };
        self.derive(&Derivation::Commit { commit, subdir: subdir.clone() }, work).await
    }

    /// Returns the tree of a directory in an archive.
    ///
    /// # Errors
    /// `UnknownContent` when the archive is nowhere and may not be fetched; `Archive` when it is unsound.
    pub async fn archive_tree(
        &self,
        content: GitId,
        kind: ArchiveKind,
        subdir: &RelativePath,
        origin: &Origin,
    ) -> Result<Derived, SourceError> {
        let work = async {
            let found = self.content(content, origin).await?;
            let file = self.content_file(found.digest, content).await?;
            let (git, subdir, options) = (self.git.clone(), subdir.clone(), self.options.clone());
            let unpacked = blocking(move || unpack(&git, &file, kind, &subdir, &options.limits)).await;
            let tree = unpacked.map_err(|source| SourceError::Archive { content, source: Box::new(source) })?;
            Ok(Derived { tree, fetched: found.fetched })
        };
        self.derive(&Derivation::Archive { content, kind, subdir: subdir.clone() }, work).await
    }

    /// Returns the tree with its symlinks treated.
    ///
    /// # Errors
    /// `Unknown` when the tree is nowhere; `Special` when a symlink cannot be resolved.
    pub async fn special_tree(&self, tree: GitId, special: Special) -> Result<Derived, SourceError> {
        let work = async {
            self.bring_to_git(tree).await?;
            let git = self.git.clone();
            Ok(Derived::known(blocking(move || resolve(&git, tree, special)).await?))
        };
        self.derive(&Derivation::Special { tree, special }, work).await
    }

    /// Returns the tree with every file empty.
    ///
    /// # Errors
    /// `Unknown` when the tree is nowhere.
    pub async fn tree_structure(&self, tree: GitId) -> Result<Derived, SourceError> {
        let work = async {
            self.bring_to_git(tree).await?;
            let git = self.git.clone();
            Ok(Derived::known(blocking(move || tree_structure(&git, tree)).await?))
        };
        self.derive(&Derivation::Structure { tree }, work).await
    }

    /// Returns the tree that holds these files under their names.
    ///
    /// # Errors
    /// `Distdir` with all files that are nowhere and may not be fetched.
    pub async fn distdir_tree(&self, files: &BTreeMap<String, Distfile>) -> Result<Derived, SourceError> {
        let mut fetched = false;
        for file in files.values() {
            match self.blob_to_git(file.content, &file.origin).await {
                Ok(found) => fetched |= found,
                // All that are nowhere are told together, below.
                Err(SourceError::UnknownContent { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let entries = files.iter().map(|(name, file)| (name.clone(), (file.content, file.executable))).collect();
        let git = self.git.clone();
        let tree = blocking(move || distdir_tree(&git, &entries)).await?;
        Ok(Derived { tree, fetched })
    }

    /// Returns what is remembered of a derivation, or does the work.
    async fn derive(
        &self,
        derivation: &Derivation,
        work: impl Future<Output = Result<Derived, SourceError>>,
    ) -> Result<Derived, SourceError> {
        let name = derivation.to_string();
        if let Some(tree) = self.remembered(&name).await? {
            return Ok(Derived::known(tree));
        }
        let _turn = self.derivations.take(&name).await;
        if let Some(tree) = self.remembered(&name).await? {
            return Ok(Derived::known(tree));
        }
        let derived = work.await?;
        self.maps.put_derived(&name, &derived.tree).await?;
        Ok(derived)
    }

    async fn remembered(&self, name: &str) -> Result<Option<GitId>, StoreError> {
        let Some(tree) = self.maps.derived(name).await? else { return Ok(None) };
        let git = self.git.clone();
        Ok(blocking(move || git.contains(tree)).await?.then_some(tree))
    }
}
