//! From the roots of a spec to Git tree ids, and from ids to content where that is asked for.
//!
//! What fixes a root may be its tree id itself. Where it is a commit, an archive or another root, the tree is
//! looked for in this order: what was learned before, the Git cache, what the server knows, the files that are
//! here; only then is something fetched, by the server if it does so, else here. An absent root is not fetched here.

mod computed;
mod content;
mod directories;
mod here;
mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::events::Events;
use super::{Building, Client, ClientError};
use crate::source::{ArchiveKind, Derivation, SourceError, tree_id_of_files, tree_id_of_path_noting};
use crate::spec::{Config, Download, GitId, RelativePath, ResolvedRepository, Root, Spec, Target};
use crate::store::blocking;

pub use directories::Directories;

/// Roots that are worked on side by side.
pub(super) const ROOTS_AT_ONCE: usize = 4;

/// What fixes a root, but for how its symlinks are treated.
enum Basis<'a> {
    /// What a directory of this host holds now.
    Directory(PathBuf),
    /// The tree that a command makes.
    Command { id: GitId, command: &'a [String], set: &'a BTreeMap<String, String>, inherited: &'a [String] },
    /// A tree that somebody else has resolved.
    Tree(GitId),
    /// Files that are fetched.
    Files,
    /// The tree of an environment, in a configuration.
    Environment(Target, &'a Config),
    /// What can be worked out once and for all.
    Derived(Derivation),
}

/// The roots of a spec, while they are found.
pub(super) struct Roots<'a> {
    pub(super) client: &'a Client,
    pub(super) spec: &'a Spec,
    pub(super) base: &'a Path,
    pub(super) events: &'a dyn Events,
    building: Building,
    directories: Option<&'a Directories>,
    /// Tree ids by repository, each found once.
    trees: BTreeMap<&'a str, OnceCell<GitId>>,
}

impl<'a> Roots<'a> {
    /// Returns the roots of a spec, of which none is known yet. `base` is where relative paths start from.
    pub(super) fn new(client: &'a Client, spec: &'a Spec, base: &'a Path, events: &'a dyn Events) -> Self {
        let trees = spec.repositories.keys().map(|name| (name.as_str(), OnceCell::new())).collect();
        Self { client, spec, base, events, building: Building::Allowed, directories: None, trees }
    }

    /// Says whether environments of computed roots may be built; without this, they may.
    pub(super) fn building(self, building: Building) -> Self {
        Self { building, ..self }
    }

    /// Has directories hashed once for all who share these.
    pub(super) fn sharing(self, directories: &'a Directories) -> Self {
        Self { directories: Some(directories), ..self }
    }

    /// Takes the tree ids over that were found before.
    pub(super) fn knowing(self, known: &BTreeMap<String, ResolvedRepository>) -> Self {
        for (name, repository) in known {
            if let Some(cell) = self.trees.get(name.as_str()) {
                // It was found meanwhile, and is the same.
                drop(cell.set(repository.root));
            }
        }
        self
    }

    fn root(&self, repository: &str) -> &'a Root {
        &self.spec.repositories[repository].root
    }

    /// Returns the tree ids of the roots of repositories.
    pub(super) async fn trees<'s>(&'s self, names: Vec<&'s str>) -> Result<BTreeMap<&'s str, GitId>, ClientError> {
        let tree = |name: &'s str| async move { Ok((name, self.tree(name).await?)) };
        let trees: Vec<_> = names.into_iter().map(tree).collect();
        futures::stream::iter(trees).buffer_unordered(ROOTS_AT_ONCE).try_collect().await
    }

    /// Returns the tree id of the root of a repository.
    pub(super) fn tree<'s>(&'s self, repository: &'s str) -> BoxFuture<'s, Result<GitId, ClientError>> {
        Box::pin(async move { self.trees[repository].get_or_try_init(|| self.find(repository)).await.copied() })
    }

    async fn find(&self, repository: &str) -> Result<GitId, ClientError> {
        let root = self.root(repository);
        let tree = self.base_tree(repository).await?;
        match root.pragma().special {
            None => Ok(tree),
            Some(special) => self.derived(repository, Derivation::Special { tree, special }).await,
        }
    }

    /// Returns the tree id of a root before its symlinks are treated.
    async fn base_tree(&self, repository: &str) -> Result<GitId, ClientError> {
        match self.basis(repository).await? {
            Basis::Directory(path) => match self.directories {
                Some(directories) => directories.once(&path, || self.directory_tree(&path)).await,
                None => self.directory_tree(&path).await,
            },
            Basis::Command { id, .. } | Basis::Tree(id) => Ok(id),
            Basis::Files => Ok(tree_id_of_files(&self.files(self.root(repository))).map_err(SourceError::from)?),
            Basis::Environment(target, config) => self.computed_tree(&target, config).await,
            Basis::Derived(derivation) => self.derived(repository, derivation).await,
        }
    }

    /// Returns the tree id of what a directory of this host holds.
    async fn directory_tree(&self, path: &Path) -> Result<GitId, ClientError> {
        let notes = self.client.memo.file(&["files", &path.to_string_lossy()]);
        let path = path.to_owned();
        Ok(blocking(move || tree_id_of_path_noting(&path, &notes)).await?)
    }

    /// Returns what fixes the root of a repository, but for how its symlinks are treated.
    async fn basis(&self, repository: &str) -> Result<Basis<'a>, ClientError> {
        let archive = |kind, download: &Download, subdir: &RelativePath| {
            Basis::Derived(Derivation::Archive { content: download.content, kind, subdir: subdir.clone() })
        };
        Ok(match self.root(repository) {
            Root::File { path, .. } => Basis::Directory(self.base.join(path)),
            Root::GitTree { id, cmd, env, inherit_env, .. } => {
                Basis::Command { id: *id, command: cmd, set: env, inherited: inherit_env }
            }
            Root::Tree { id, .. } => Basis::Tree(*id),
            Root::ForeignFile { .. } | Root::Distdir { .. } => Basis::Files,
            Root::Computed { repo, module, name, config, .. } => {
                let target = Target { repository: repo.clone(), module: module.clone(), name: name.clone() };
                Basis::Environment(target, config)
            }
            Root::Git { commit, subdir, .. } => {
                Basis::Derived(Derivation::Commit { commit: *commit, subdir: subdir.clone() })
            }
            Root::Archive { download, subdir, .. } => archive(ArchiveKind::Tar, download, subdir),
            Root::Zip { download, subdir, .. } => archive(ArchiveKind::Zip, download, subdir),
            Root::TreeStructure { repo, .. } => Basis::Derived(Derivation::Structure { tree: self.tree(repo).await? }),
        })
    }

    /// Returns the tree of a derivation: what was learned before, or what is learned now.
    async fn derived(&self, repository: &str, derivation: Derivation) -> Result<GitId, ClientError> {
        let name = derivation.to_string();
        let subject = ["tree", &name];
        if let Some(tree) = self.client.memo.get(&subject) {
            return Ok(tree);
        }
        let tree = self.learn(repository, &derivation).await?;
        self.client.memo.put(&subject, &tree);
        Ok(tree)
    }

    async fn learn(&self, repository: &str, derivation: &Derivation) -> Result<GitId, ClientError> {
        if let Some(tree) = self.in_git(derivation).await? {
            return Ok(tree);
        }
        let absent = self.root(repository).pragma().absent;
        if (absent || self.client.options.serve.is_some())
            && let Some(tree) = self.ask(repository, derivation).await?
        {
            return Ok(tree);
        }
        match self.derive_here(repository, derivation, self.may_fetch(repository)).await? {
            Some(tree) => Ok(tree),
            None => Err(self.absent(repository, fixed_by(derivation))),
        }
    }

    /// Says whether the content of a root may be fetched here.
    pub(super) fn may_fetch(&self, repository: &str) -> bool {
        !self.root(repository).pragma().absent || self.client.options.fetch_absent
    }

    pub(super) fn absent(&self, repository: &str, tree: GitId) -> ClientError {
        let endpoint = self.client.options.serve.as_ref().map(ToString::to_string);
        ClientError::AbsentRoot { repository: repository.to_owned(), tree, endpoint }
    }

    /// Returns the files that the root of a repository holds, or is unpacked from.
    pub(super) fn downloads(&self, repository: &str) -> Vec<&'a Download> {
        let root = self.root(repository);
        let files = self.spec.distfiles(root).into_values().map(|file| file.download);
        root.download().into_iter().filter(|_| !matches!(root, Root::ForeignFile { .. })).chain(files).collect()
    }

    /// Returns the ids of the files of a `foreign file` or `distdir` root, and which of them are executable.
    fn files(&self, root: &Root) -> BTreeMap<String, (GitId, bool)> {
        let files = self.spec.distfiles(root).into_iter();
        files.map(|(name, file)| (name.to_owned(), (file.download.content, file.executable))).collect()
    }

    /// Returns the addresses from which something is fetched: a relative path is one beside the spec.
    fn addresses<'s>(&self, addresses: impl Iterator<Item = &'s String>) -> Vec<String> {
        addresses.map(|address| local(self.base, address)).collect()
    }
}

/// Returns the id that a derivation starts from.
fn fixed_by(derivation: &Derivation) -> GitId {
    match derivation {
        Derivation::Commit { commit, .. } => *commit,
        Derivation::Archive { content, .. } => *content,
        Derivation::Special { tree, .. } | Derivation::Structure { tree } => *tree,
    }
}

/// Returns an address as it is taken from any directory: a relative path is one beside the spec.
fn local(base: &Path, address: &str) -> String {
    if address.starts_with("./") || address.starts_with("../") || address == "." || address == ".." {
        return base.join(address).components().collect::<PathBuf>().display().to_string();
    }
    address.to_owned()
}

/// Reads an environments file from a root that is a directory on this host; `None` for other roots.
pub(super) async fn read_local(
    root: &Root,
    base: &Path,
    file: &RelativePath,
) -> Result<Option<(PathBuf, Vec<u8>)>, ClientError> {
    let Root::File { path, pragma } = root else { return Ok(None) };
    if pragma.special.is_some() {
        return Ok(None);
    }
    let path = base.join(path).join(file.to_string());
    let read = path.clone();
    let bytes =
        blocking(move || std::fs::read(&read)).await.map_err(ClientError::io("read the environments file", &path))?;
    Ok(Some((path, bytes)))
}
