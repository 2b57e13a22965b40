//! The content of roots on this host: in the Git cache, which it is brought into.

use futures::future::BoxFuture;

use super::super::events::Event;
use super::{Basis, Roots};
use crate::client::ClientError;
use crate::source::{
    Derivation, SourceError, distdir_tree, fetch_commit, git_tree, import_file, import_path, known_commit, resolve,
    tree_structure, unpack,
};
use crate::spec::{GitId, Root};
use crate::store::blocking;

impl Roots<'_> {
    /// Returns the tree of the root of a repository, whose content is in the Git cache when this returns; `None`
    /// when the content is not here and must not be fetched, or is nowhere.
    pub(in crate::client) fn here<'s>(
        &'s self,
        repository: &'s str,
        may_fetch: bool,
    ) -> BoxFuture<'s, Result<Option<GitId>, ClientError>> {
        Box::pin(async move {
            let Some(tree) = self.base_here(repository, may_fetch).await? else { return Ok(None) };
            let Some(special) = self.root(repository).pragma().special else { return Ok(Some(tree)) };
            self.derive_here(repository, &Derivation::Special { tree, special }, may_fetch).await
        })
    }

    fn base_here<'s>(
        &'s self,
        repository: &'s str,
        may_fetch: bool,
    ) -> BoxFuture<'s, Result<Option<GitId>, ClientError>> {
        Box::pin(self.bring_base(repository, may_fetch))
    }

    async fn bring_base(&self, repository: &str, may_fetch: bool) -> Result<Option<GitId>, ClientError> {
        let git = self.client.git().await?.clone();
        match self.basis(repository).await? {
            Basis::Directory(path) => Ok(Some(blocking(move || import_path(&git, &path)).await?)),
            Basis::Command { id, .. } if self.has_object(id).await? => Ok(Some(id)),
            Basis::Command { id, command, set, inherited } if may_fetch => {
                self.events.event(Event::Root { repository: repository.to_owned() });
                let mut environment = self.client.inherited(inherited);
                environment.extend(set.clone());
                git_tree(&git, repository, id, command, &environment).await?;
                Ok(Some(id))
            }
            Basis::Tree(id) => Ok(self.has_object(id).await?.then_some(id)),
            // What is built is not fetched: the server has it.
            Basis::Command { .. } | Basis::Environment(..) => Ok(None),
            Basis::Files => self.files_here(repository, may_fetch).await,
            Basis::Derived(derivation) => self.derive_here(repository, &derivation, may_fetch).await,
        }
    }

    /// Works a tree out from what is here, or may be fetched.
    pub(super) async fn derive_here(
        &self,
        repository: &str,
        derivation: &Derivation,
        may_fetch: bool,
    ) -> Result<Option<GitId>, ClientError> {
        if let Some(tree) = self.in_git(derivation).await? {
            return Ok(Some(tree));
        }
        match derivation {
            Derivation::Commit { .. } => self.fetch_commit(repository, may_fetch).await,
            Derivation::Archive { content, kind, subdir } => {
                let Some(download) = self.root(repository).download() else { return Ok(None) };
                let Some(file) = self.content(repository, download, may_fetch).await? else { return Ok(None) };
                let (git, subdir, kind) = (self.client.git().await?.clone(), subdir.clone(), *kind);
                let limits = self.client.options.limits.clone();
                let unpacked = blocking(move || unpack(&git, file.path(), kind, &subdir, &limits)).await;
                let failed = |source| SourceError::Archive { content: *content, source: Box::new(source) };
                Ok(Some(unpacked.map_err(failed)?))
            }
            Derivation::Special { .. } => {
                if self.base_here(repository, may_fetch).await?.is_none() {
                    return Ok(None);
                }
                self.in_git(derivation).await
            }
            Derivation::Structure { .. } => {
                let Root::TreeStructure { repo, .. } = self.root(repository) else { return Ok(None) };
                if self.here(repo, may_fetch && self.may_fetch(repo)).await?.is_none() {
                    return Ok(None);
                }
                self.in_git(derivation).await
            }
        }
    }

    /// Works a tree out from what is in the Git cache.
    pub(super) async fn in_git(&self, derivation: &Derivation) -> Result<Option<GitId>, ClientError> {
        let git = self.client.git().await?.clone();
        match derivation {
            Derivation::Commit { commit, subdir } => Ok(known_commit(&git, *commit, subdir).await?),
            Derivation::Archive { .. } => Ok(None),
            Derivation::Special { tree, .. } | Derivation::Structure { tree } if !self.has_object(*tree).await? => {
                Ok(None)
            }
            Derivation::Special { tree, special } => {
                let (tree, special) = (*tree, *special);
                let resolved = blocking(move || resolve(&git, tree, special)).await;
                Ok(Some(resolved.map_err(SourceError::from)?))
            }
            Derivation::Structure { tree } => {
                let tree = *tree;
                Ok(Some(blocking(move || tree_structure(&git, tree)).await?))
            }
        }
    }

    async fn fetch_commit(&self, repository: &str, may_fetch: bool) -> Result<Option<GitId>, ClientError> {
        let Root::Git { branch, commit, subdir, inherit_env, .. } = self.root(repository) else { return Ok(None) };
        if !may_fetch {
            return Ok(None);
        }
        self.events.event(Event::Root { repository: repository.to_owned() });
        let always = ["PATH", "HOME", "USER"].map(str::to_owned);
        let environment = self.client.inherited(always.iter().chain(inherit_env));
        let git = self.client.git().await?;
        let addresses = self.origin(self.root(repository)).addresses;
        Ok(Some(fetch_commit(git, &addresses, branch, *commit, subdir, &environment).await?))
    }

    /// Brings the files of a root into the Git cache.
    async fn files_here(&self, repository: &str, may_fetch: bool) -> Result<Option<GitId>, ClientError> {
        let root = self.root(repository);
        for file in self.spec.distfiles(root).values() {
            if self.has_object(file.download.content).await? {
                continue;
            }
            let Some(content) = self.content(repository, file.download, may_fetch).await? else { return Ok(None) };
            let git = self.client.git().await?.clone();
            blocking(move || import_file(&git, content.path())).await?;
        }
        let files = self.files(root);
        let git = self.client.git().await?.clone();
        let tree = blocking(move || distdir_tree(&git, &files)).await.map_err(SourceError::from)?;
        Ok(Some(tree))
    }

    pub(in crate::client) async fn has_object(&self, id: GitId) -> Result<bool, ClientError> {
        let git = self.client.git().await?.clone();
        Ok(blocking(move || git.contains(id)).await?)
    }
}
