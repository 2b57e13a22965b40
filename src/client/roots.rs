//! From the roots of a spec to Git tree ids, without fetching anything that can be known without.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::events::{Event, Events};
use super::{Client, ClientError};
use crate::proto::v1;
use crate::source::{self, SourceError, tree_id_of_path};
use crate::spec::{GitId, RelativePath, Root, Spec, SpecError};
use crate::store::blocking;

/// The commit of a `git` root, and where it can be had.
pub(super) struct Commit<'a> {
    pub id: GitId,
    pub subdir: &'a RelativePath,
    pub branch: &'a str,
    pub addresses: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

impl Client {
    /// Returns the tree id of the root of a repository.
    pub(super) async fn tree_id(
        &self,
        spec: &Spec,
        base: &Path,
        repository: &str,
        events: &dyn Events,
    ) -> Result<GitId, ClientError> {
        let root = &spec.repositories[repository].root;
        if root.pragma().special.is_some() {
            return Err(SourceError::Special { repository: repository.to_owned() }.into());
        }
        match root {
            Root::File { path, .. } => {
                let path = base.join(path);
                Ok(blocking(move || tree_id_of_path(&path)).await?)
            }
            Root::GitTree { id, .. } => Ok(*id),
            Root::Git { .. } => self.commit_tree(root, base, repository, events).await,
            root => Err(SourceError::Kind { repository: repository.to_owned(), kind: root.kind() }.into()),
        }
    }

    /// Returns what is known of a `git` root's commit; `None` for other roots.
    pub(super) fn commit<'a>(&self, root: &'a Root, base: &Path) -> Option<Commit<'a>> {
        let Root::Git { repository, branch, commit, mirrors, subdir, inherit_env, .. } = root else { return None };
        let addresses = std::iter::once(repository).chain(mirrors).map(|address| local(base, address)).collect();
        let always = ["PATH", "HOME", "USER"].map(str::to_owned);
        let environment = self.inherited(always.iter().chain(inherit_env));
        Some(Commit { id: *commit, subdir, branch, addresses, environment })
    }

    /// Returns those variables of the client's own environment that are named.
    pub(super) fn inherited<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, String> {
        let own = &self.options.environment;
        names.into_iter().filter_map(|name| Some((name.clone(), own.get(name)?.clone()))).collect()
    }

    async fn commit_tree(
        &self,
        root: &Root,
        base: &Path,
        repository: &str,
        events: &dyn Events,
    ) -> Result<GitId, ClientError> {
        let Some(commit) = self.commit(root, base) else {
            return Err(SourceError::Kind { repository: repository.to_owned(), kind: root.kind() }.into());
        };
        let (id, subdir) = (commit.id.to_string(), commit.subdir.to_string());
        let subject = ["commit-tree", &id, &subdir];
        if let Some(tree) = self.memo.get(&subject) {
            return Ok(tree);
        }
        let tree = self.learn_commit_tree(&commit, root.pragma().absent, repository, events).await?;
        self.memo.put(&subject, &tree);
        Ok(tree)
    }

    /// Asks the Git cache, then the server, then the commit's own repository.
    async fn learn_commit_tree(
        &self,
        commit: &Commit<'_>,
        absent: bool,
        repository: &str,
        events: &dyn Events,
    ) -> Result<GitId, ClientError> {
        let (git, wanted, id) = (self.git().await?.clone(), commit.subdir.clone(), commit.id);
        if let Some(Some(tree)) = blocking(move || git.tree_of_commit(id, &wanted)).await? {
            return Ok(tree);
        }
        if absent || self.options.serve.is_some() {
            if let Some(tree) = self.ask_commit_tree(commit).await? {
                return Ok(tree);
            }
            if absent {
                let endpoint = self.connection().await?.endpoint.to_string();
                return Err(ClientError::AbsentRoot { repository: repository.to_owned(), tree: commit.id, endpoint });
            }
        }
        events.event(Event::Root { repository: repository.to_owned() });
        let git = self.git().await?;
        let Commit { id, subdir, branch, addresses, environment } = commit;
        Ok(source::fetch_commit(git, addresses, branch, *id, subdir, environment).await?)
    }

    async fn ask_commit_tree(&self, commit: &Commit<'_>) -> Result<Option<GitId>, ClientError> {
        const RPC: &str = "SourceTrees.CommitTree";
        let connection = self.connection().await?;
        let request = v1::CommitTreeRequest { commit: commit.id.to_string(), subdir: commit.subdir.to_string() };
        match connection.wait(connection.sources().commit_tree(request)).await? {
            Ok(answer) => {
                let tree = answer.into_inner().tree;
                let malformed = |_| connection.broken(RPC, format!("`{tree}` is no tree id"));
                GitId::parse(&tree).map(Some).map_err(malformed)
            }
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(connection.failed(RPC)(status)),
        }
    }
}

/// Returns an address as `git` takes it from any directory: a relative path is one beside the spec.
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
    let Root::File { path, .. } = root else { return Ok(None) };
    let path = base.join(path).join(file.to_string());
    let read = path.clone();
    let bytes =
        blocking(move || std::fs::read(&read)).await.map_err(ClientError::io("read the environments file", &path))?;
    Ok(Some((path, bytes)))
}

/// Refuses specs that are not fixed in content.
pub(super) fn check(spec: &Spec) -> Result<(), SpecError> {
    spec.check_content_fixed()
}
