//! `SourceTree`: from what fixes a source tree to its id. How a request went is told inside of its answer.

use std::collections::BTreeMap;
use std::error::Error;

use tonic::{Request, Response, Status};

use super::outcome::{Outcome, Trouble};
use super::{Just, digest, git_id, path};
use crate::proto::just;
use crate::proto::just::serve_archive_tree_request::{ArchiveType, SymlinksResolve};
use crate::proto::just::serve_distdir_tree_request::Distfile as NamedFile;
use crate::proto::just::source_tree_server::SourceTree;
use crate::serve::resolve::Resolver;
use crate::serve::status::source_status;
use crate::source::{ArchiveKind, Derived, Distfile, Origin, SourceError};
use crate::spec::{GitId, RelativePath, Special};
use crate::store::StoreError;

/// Most files of a distdir.
const MAX_FILES: usize = 10_000;

/// Puts a tree into the CAS where that is asked for, and returns what to answer about it.
async fn served(resolver: &Resolver, derived: Result<Derived, SourceError>, sync: bool) -> Result<Outcome, Status> {
    let tree = match derived {
        Ok(derived) => derived.tree,
        Err(error) => return Outcome::failed(&error),
    };
    if !sync {
        return Ok(Outcome::tree(tree, None));
    }
    match resolver.sources().directory(tree).await {
        Ok(root) => Ok(Outcome::tree(tree, Some(root))),
        Err(error) => Ok(Outcome::not_synced(tree, &error)),
    }
}

fn archive_kind(number: i32) -> Result<ArchiveKind, Status> {
    match ArchiveType::try_from(number) {
        Ok(ArchiveType::Tar) => Ok(ArchiveKind::Tar),
        Ok(ArchiveType::Zip) => Ok(ArchiveKind::Zip),
        Err(_) => Err(Status::invalid_argument("field `archive_type`: TAR or ZIP is expected")),
    }
}

/// Returns what becomes of symlinks. The tree of an archive is answered with its symlinks treated in any case: clients
/// name it as a plain tree afterwards.
fn special(number: i32) -> Result<Option<Special>, Status> {
    match SymlinksResolve::try_from(number) {
        Ok(SymlinksResolve::None) => Ok(None),
        Ok(SymlinksResolve::Ignore) => Ok(Some(Special::Ignore)),
        Ok(SymlinksResolve::Partial) => Ok(Some(Special::ResolvePartially)),
        Ok(SymlinksResolve::Complete) => Ok(Some(Special::ResolveCompletely)),
        Err(_) => {
            Err(Status::invalid_argument("field `resolve_symlinks`: NONE, IGNORE, PARTIAL or COMPLETE is expected"))
        }
    }
}

async fn archive_tree(
    resolver: &Resolver,
    (content, kind): (GitId, ArchiveKind),
    subdir: &RelativePath,
    special: Option<Special>,
) -> Result<Derived, SourceError> {
    let unpacked = resolver.sources().archive_tree(content, kind, subdir, &Origin::default()).await?;
    match special {
        Some(special) => resolver.sources().special_tree(unpacked.tree, special).await,
        None => Ok(unpacked),
    }
}

fn distfiles(files: Vec<NamedFile>) -> Result<BTreeMap<String, Distfile>, Status> {
    if files.len() > MAX_FILES {
        return Err(Status::invalid_argument(format!("field `distfiles`: at most {MAX_FILES} are taken")));
    }
    let mut named = BTreeMap::new();
    for NamedFile { name, content, executable } in files {
        let content = git_id("distfiles.content", &content)?;
        let shown = name.escape_debug().to_string();
        if named.insert(name, Distfile { content, executable, origin: Origin::default() }).is_some() {
            return Err(Status::invalid_argument(format!("field `distfiles`: two of them are named `{shown}`")));
        }
    }
    Ok(named)
}

#[tonic::async_trait]
impl SourceTree for Just {
    async fn serve_commit_tree(
        &self,
        request: Request<just::ServeCommitTreeRequest>,
    ) -> Result<Response<just::ServeCommitTreeResponse>, Status> {
        let request = request.into_inner();
        let (commit, subdir) = (git_id("commit", &request.commit)?, path("subdir", &request.subdir)?);
        let resolver = self.resolver().await?;
        let derived = resolver.sources().commit_tree(commit, &subdir, &Origin::default(), Vec::new()).await;
        Ok(Response::new(served(resolver, derived, request.sync_tree).await?.into()))
    }

    async fn serve_archive_tree(
        &self,
        request: Request<just::ServeArchiveTreeRequest>,
    ) -> Result<Response<just::ServeArchiveTreeResponse>, Status> {
        let request = request.into_inner();
        let archive = (git_id("content", &request.content)?, archive_kind(request.archive_type)?);
        let (subdir, special) = (path("subdir", &request.subdir)?, special(request.resolve_symlinks)?);
        let resolver = self.resolver().await?;
        let derived = archive_tree(resolver, archive, &subdir, special).await;
        Ok(Response::new(served(resolver, derived, request.sync_tree).await?.into()))
    }

    async fn serve_distdir_tree(
        &self,
        request: Request<just::ServeDistdirTreeRequest>,
    ) -> Result<Response<just::ServeDistdirTreeResponse>, Status> {
        let request = request.into_inner();
        let files = distfiles(request.distfiles)?;
        let resolver = self.resolver().await?;
        let derived = resolver.sources().distdir_tree(&files).await;
        Ok(Response::new(served(resolver, derived, request.sync_tree).await?.into()))
    }

    async fn serve_content(
        &self,
        request: Request<just::ServeContentRequest>,
    ) -> Result<Response<just::ServeContentResponse>, Status> {
        let content = git_id("content", &request.into_inner().content)?;
        let outcome = match self.resolver().await?.sources().content(content, &Origin::default()).await {
            Ok(found) => Outcome::blob(found.digest),
            Err(error) => Outcome::failed(&error)?,
        };
        Ok(Response::new(outcome.into()))
    }

    async fn serve_tree(
        &self,
        request: Request<just::ServeTreeRequest>,
    ) -> Result<Response<just::ServeTreeResponse>, Status> {
        let tree = git_id("tree", &request.into_inner().tree)?;
        let outcome = match self.resolver().await?.sources().directory(tree).await {
            Ok(root) => Outcome::blob(root),
            Err(SourceError::Unknown { .. }) => Outcome::trouble(Trouble::Unknown),
            Err(error) => Outcome::not_synced(tree, &error),
        };
        Ok(Response::new(outcome.into()))
    }

    async fn check_root_tree(
        &self,
        request: Request<just::CheckRootTreeRequest>,
    ) -> Result<Response<just::CheckRootTreeResponse>, Status> {
        let tree = git_id("tree", &request.into_inner().tree)?;
        let outcome = match self.resolver().await?.sources().is_in_git(tree).await {
            Ok(true) => Outcome::tree(tree, None),
            Ok(false) => Outcome::trouble(Trouble::Unknown),
            Err(error) => Outcome::failed(&error)?,
        };
        Ok(Response::new(outcome.into()))
    }

    async fn get_remote_tree(
        &self,
        request: Request<just::GetRemoteTreeRequest>,
    ) -> Result<Response<just::GetRemoteTreeResponse>, Status> {
        use just::get_remote_tree_response::Status as Answer;
        let resolver = self.resolver().await?;
        let root = digest(resolver, "digest", request.into_inner().digest.as_ref())?;
        let status = match resolver.sources().take_over(root).await {
            Ok(tree) => {
                tracing::info!(%tree, directory = %root, "took over a tree");
                Answer::Ok
            }
            Err(error @ SourceError::Store(StoreError::Directory { .. })) => return Err(source_status(&error)),
            Err(error) => {
                tracing::warn!(directory = %root, error = &error as &dyn Error, "cannot take over a tree");
                match error {
                    SourceError::Store(StoreError::Missing { .. } | StoreError::Mismatch { .. }) => {
                        Answer::FailedPrecondition
                    }
                    _ => Answer::InternalError,
                }
            }
        };
        Ok(Response::new(just::GetRemoteTreeResponse { status: status.into() }))
    }

    async fn compute_tree_structure(
        &self,
        request: Request<just::ComputeTreeStructureRequest>,
    ) -> Result<Response<just::ComputeTreeStructureResponse>, Status> {
        let tree = git_id("tree", &request.into_inner().tree)?;
        let outcome = match self.resolver().await?.sources().tree_structure(tree).await {
            Ok(structure) => Outcome::tree(structure.tree, None),
            Err(error) => Outcome::failed(&error)?,
        };
        Ok(Response::new(outcome.into()))
    }
}
