//! What the server knows of roots, or fetches itself.

use futures::future::BoxFuture;
use tonic::{Code, Response, Status};

use super::{Basis, Roots};
use crate::client::ClientError;
use crate::client::connect::Connection;
use crate::client::events::Event;
use crate::proto::v1;
use crate::source::{ArchiveKind, Derivation, Origin};
use crate::spec::{Download, GitId, Root, Special};
use crate::store::blocking;

impl Roots<'_> {
    /// Has the server work out the tree of the root of a repository, and returns it; `None` when it lacks what that
    /// takes and does not fetch it.
    pub(in crate::client) fn at_server<'s>(
        &'s self,
        repository: &'s str,
    ) -> BoxFuture<'s, Result<Option<GitId>, ClientError>> {
        Box::pin(async move {
            let Some(tree) = self.base_at_server(repository).await? else { return Ok(None) };
            let Some(special) = self.root(repository).pragma().special else { return Ok(Some(tree)) };
            self.ask(repository, &Derivation::Special { tree, special }).await
        })
    }

    async fn base_at_server(&self, repository: &str) -> Result<Option<GitId>, ClientError> {
        match self.basis(repository).await? {
            // What is nowhere but here.
            Basis::Directory(_) => Ok(None),
            Basis::Command { id, .. } | Basis::Tree(id) => Ok(self.is_known(id).await?.then_some(id)),
            Basis::Files => self.ask_files(repository).await,
            Basis::Environment(target, config) => self.build_computed(&target, config).await.map(Some),
            Basis::Derived(derivation) => self.ask(repository, &derivation).await,
        }
    }

    /// Asks the server for the tree of a derivation. It is told where to fetch what nobody has.
    pub(super) async fn ask(&self, repository: &str, derivation: &Derivation) -> Result<Option<GitId>, ClientError> {
        let connection = self.client.connection().await?;
        let mut sources = connection.sources();
        let origin = self.origin_for_server(repository).await?;
        match derivation {
            Derivation::Commit { commit, subdir } => {
                let (commit, subdir) = (commit.to_string(), subdir.to_string());
                let request = v1::CommitTreeRequest { commit, subdir, origin, ..Default::default() };
                let answer = connection.wait(sources.commit_tree(request)).await?;
                self.told(repository, connection, "SourceTrees.CommitTree", answer)
            }
            Derivation::Archive { content, kind, subdir } => {
                let (content, subdir) = (content.to_string(), subdir.to_string());
                let kind = match kind {
                    ArchiveKind::Tar => v1::archive_tree_request::Kind::Tar,
                    ArchiveKind::Zip => v1::archive_tree_request::Kind::Zip,
                };
                let request = v1::ArchiveTreeRequest { content, kind: kind.into(), subdir, origin, backup: false };
                let answer = connection.wait(sources.archive_tree(request)).await?;
                self.told(repository, connection, "SourceTrees.ArchiveTree", answer)
            }
            Derivation::Special { tree, special } => {
                let special = match special {
                    Special::Ignore => v1::special_tree_request::Special::Ignore,
                    Special::ResolvePartially => v1::special_tree_request::Special::ResolvePartially,
                    Special::ResolveCompletely => v1::special_tree_request::Special::ResolveCompletely,
                };
                let request = v1::SpecialTreeRequest { tree: tree.to_string(), special: special.into(), backup: false };
                let answer = connection.wait(sources.special_tree(request)).await?;
                self.told(repository, connection, "SourceTrees.SpecialTree", answer)
            }
            Derivation::Structure { tree } => {
                let request = v1::TreeStructureRequest { tree: tree.to_string(), backup: false };
                let answer = connection.wait(sources.tree_structure(request)).await?;
                self.told(repository, connection, "SourceTrees.TreeStructure", answer)
            }
        }
    }

    /// Shows the server which tree a commit has that is in the Git cache.
    pub(in crate::client) async fn prove_commit(&self, repository: &str) -> Result<(), ClientError> {
        let Basis::Derived(Derivation::Commit { commit, subdir }) = self.basis(repository).await? else {
            return Ok(());
        };
        let (git, at) = (self.client.git().await?.clone(), subdir.clone());
        let Some(proof) = blocking(move || git.commit_proof(commit, &at)).await? else { return Ok(()) };
        let connection = self.client.connection().await?;
        let (commit, subdir) = (commit.to_string(), subdir.to_string());
        let request = v1::CommitTreeRequest { commit, subdir, proof, ..Default::default() };
        let answer = connection.wait(connection.sources().commit_tree(request)).await?;
        answer.map(drop).map_err(connection.failed("SourceTrees.CommitTree"))
    }

    async fn ask_files(&self, repository: &str) -> Result<Option<GitId>, ClientError> {
        let connection = self.client.connection().await?;
        let mut files = Vec::new();
        for (name, file) in self.spec.distfiles(self.root(repository)) {
            let origin =
                if self.has_content(file.download).await? { None } else { Some(self.wire_origin(file.download)) };
            let (name, content) = (name.to_owned(), file.download.content.to_string());
            files.push(v1::distdir_tree_request::File { name, content, executable: file.executable, origin });
        }
        let request = v1::DistdirTreeRequest { files, backup: false };
        let answer = connection.wait(connection.sources().distdir_tree(request)).await?;
        self.told(repository, connection, "SourceTrees.DistdirTree", answer)
    }

    fn told(
        &self,
        repository: &str,
        connection: &Connection,
        rpc: &'static str,
        answer: Result<Response<v1::TreeResponse>, Status>,
    ) -> Result<Option<GitId>, ClientError> {
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(connection.failed(rpc)(status)),
        };
        if answer.fetched {
            let (repository, serve) = (repository.to_owned(), connection.endpoint.to_string());
            self.events.event(Event::FetchedByServer { repository, serve });
        }
        let malformed = |_| connection.broken(rpc, format!("`{}` is no tree id", answer.tree));
        GitId::parse(&answer.tree).map(Some).map_err(malformed)
    }

    /// Says whether the server knows a tree.
    pub(in crate::client) async fn is_known(&self, tree: GitId) -> Result<bool, ClientError> {
        let connection = self.client.connection().await?;
        let request = v1::CheckRootTreeRequest { tree: tree.to_string() };
        let answer = connection.wait(connection.sources().check_root_tree(request)).await?;
        Ok(answer.map_err(connection.failed("SourceTrees.CheckRootTree"))?.into_inner().known)
    }

    /// Returns where a root is fetched from.
    pub(super) fn origin(&self, root: &Root) -> Origin {
        match root {
            Root::Git { repository, mirrors, branch, .. } => Origin {
                addresses: self.addresses(std::iter::once(repository).chain(mirrors)),
                branch: branch.clone(),
                ..Origin::default()
            },
            root => root.download().map(|download| self.download_origin(download)).unwrap_or_default(),
        }
    }

    pub(super) fn download_origin(&self, download: &Download) -> Origin {
        Origin {
            addresses: self.addresses(std::iter::once(&download.fetch).chain(&download.mirrors)),
            sha256: download.sha256.clone(),
            sha512: download.sha512.clone(),
            ..Origin::default()
        }
    }

    fn wire_origin(&self, download: &Download) -> v1::Origin {
        wire_origin(self.download_origin(download))
    }

    /// Returns what the server is told about where to fetch a root: nothing when the content is here, for the server
    /// need not fetch what it can be given.
    async fn origin_for_server(&self, repository: &str) -> Result<Option<v1::Origin>, ClientError> {
        let root = self.root(repository);
        if let Some(download) = root.download()
            && self.has_content(download).await?
        {
            return Ok(None);
        }
        Ok(Some(wire_origin(self.origin(root))))
    }
}

fn wire_origin(origin: Origin) -> v1::Origin {
    let Origin { addresses, branch, sha256, sha512 } = origin;
    v1::Origin { addresses, branch, sha256: sha256.unwrap_or_default(), sha512: sha512.unwrap_or_default() }
}
