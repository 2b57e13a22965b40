//! `SourceTrees`: from what fixes a source tree to its id.

use std::collections::BTreeMap;

use tonic::{Request, Response, Status};

use super::{Native, git_id, path};
use crate::proto::v1;
use crate::proto::v1::archive_tree_request::Kind;
use crate::proto::v1::source_trees_server::SourceTrees;
use crate::proto::v1::special_tree_request::Special as SpecialNumber;
use crate::serve::admission::Rights;
use crate::serve::resolve::Resolver;
use crate::serve::status;
use crate::source::{ArchiveKind, Derived, Distfile, Origin, SourceError};
use crate::spec::Special;
use crate::store::{GitEntry, wire};

/// Most files of a distdir.
const MAX_FILES: usize = 10_000;

impl From<v1::Origin> for Origin {
    fn from(origin: v1::Origin) -> Self {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let (sha256, sha512) = (given(origin.sha256), given(origin.sha512));
        Self { addresses: origin.addresses, branch: origin.branch, sha256, sha512 }
    }
}

/// Returns where something may be fetched from. Nothing is for readers.
fn origin(rights: Rights, origin: Option<v1::Origin>) -> Origin {
    origin.filter(|_| rights.gives_sources()).map(Origin::from).unwrap_or_default()
}

/// Returns the answer about a tree, which is put into the CAS where that is asked for.
async fn answer(
    resolver: &Resolver,
    derived: Result<Derived, SourceError>,
    backup: bool,
) -> Result<Response<v1::TreeResponse>, Status> {
    let failed = |error: SourceError| status::source_status(&error);
    let Derived { tree, fetched } = derived.map_err(failed)?;
    let directory = if backup { Some(resolver.sources().directory(tree).await.map_err(failed)?.into()) } else { None };
    Ok(Response::new(v1::TreeResponse { tree: tree.to_string(), directory, fetched }))
}

fn archive_kind(number: i32) -> Result<ArchiveKind, Status> {
    match Kind::try_from(number) {
        Ok(Kind::Tar) => Ok(ArchiveKind::Tar),
        Ok(Kind::Zip) => Ok(ArchiveKind::Zip),
        Ok(Kind::Unspecified) | Err(_) => Err(Status::invalid_argument("field `kind`: TAR or ZIP is expected")),
    }
}

fn special(number: i32) -> Result<Special, Status> {
    match SpecialNumber::try_from(number) {
        Ok(SpecialNumber::Ignore) => Ok(Special::Ignore),
        Ok(SpecialNumber::ResolvePartially) => Ok(Special::ResolvePartially),
        Ok(SpecialNumber::ResolveCompletely) => Ok(Special::ResolveCompletely),
        Ok(SpecialNumber::Unspecified) | Err(_) => Err(Status::invalid_argument(
            "field `special`: IGNORE, RESOLVE_PARTIALLY or RESOLVE_COMPLETELY is expected",
        )),
    }
}

fn distfiles(rights: Rights, files: Vec<v1::distdir_tree_request::File>) -> Result<BTreeMap<String, Distfile>, Status> {
    if files.len() > MAX_FILES {
        return Err(Status::invalid_argument(format!("field `files`: at most {MAX_FILES} are taken")));
    }
    let mut named = BTreeMap::new();
    for file in files {
        let content = git_id("files.content", &file.content)?;
        let distfile = Distfile { content, executable: file.executable, origin: origin(rights, file.origin) };
        if named.insert(file.name.clone(), distfile).is_some() {
            let name = file.name.escape_debug();
            return Err(Status::invalid_argument(format!("field `files`: two of them are named `{name}`")));
        }
    }
    Ok(named)
}

#[tonic::async_trait]
impl SourceTrees for Native {
    async fn check_root_tree(
        &self,
        request: Request<v1::CheckRootTreeRequest>,
    ) -> Result<Response<v1::CheckRootTreeResponse>, Status> {
        let tree = git_id("tree", &request.into_inner().tree)?;
        let known = self.resolver().await?.sources().is_known(tree).await;
        let known = known.map_err(|error| status::source_status(&error))?;
        Ok(Response::new(v1::CheckRootTreeResponse { known }))
    }

    async fn get_remote_tree(
        &self,
        request: Request<v1::GetRemoteTreeRequest>,
    ) -> Result<Response<v1::GetRemoteTreeResponse>, Status> {
        let resolver = self.resolver().await?;
        let directory = wire::native_digest(resolver.function(), "directory", request.into_inner().directory.as_ref())
            .map_err(|error| status::wire_status(&error))?;
        let tree = resolver.sources().take_over(directory).await.map_err(|error| status::source_status(&error))?;
        Ok(Response::new(v1::GetRemoteTreeResponse { tree: tree.to_string() }))
    }

    async fn get_remote_content(
        &self,
        request: Request<v1::GetRemoteContentRequest>,
    ) -> Result<Response<v1::GetRemoteContentResponse>, Status> {
        let resolver = self.resolver().await?;
        let digest = wire::native_digest(resolver.function(), "content", request.into_inner().content.as_ref())
            .map_err(|error| status::wire_status(&error))?;
        let content = resolver.sources().take_content(digest).await.map_err(|error| status::source_status(&error))?;
        Ok(Response::new(v1::GetRemoteContentResponse { content: content.to_string() }))
    }

    async fn commit_tree(&self, request: Request<v1::CommitTreeRequest>) -> Result<Response<v1::TreeResponse>, Status> {
        let (rights, request) = (Rights::of(&request), request.into_inner());
        let (commit, subdir) = (git_id("commit", &request.commit)?, path("subdir", &request.subdir)?);
        let resolver = self.resolver().await?;
        let proof = if rights.gives_sources() { request.proof } else { Vec::new() };
        let origin = origin(rights, request.origin);
        let derived = resolver.sources().commit_tree(commit, &subdir, &origin, proof).await;
        answer(resolver, derived, request.backup).await
    }

    async fn archive_tree(
        &self,
        request: Request<v1::ArchiveTreeRequest>,
    ) -> Result<Response<v1::TreeResponse>, Status> {
        let (rights, request) = (Rights::of(&request), request.into_inner());
        let (content, subdir) = (git_id("content", &request.content)?, path("subdir", &request.subdir)?);
        let (kind, origin) = (archive_kind(request.kind)?, origin(rights, request.origin));
        let resolver = self.resolver().await?;
        let derived = resolver.sources().archive_tree(content, kind, &subdir, &origin).await;
        answer(resolver, derived, request.backup).await
    }

    async fn distdir_tree(
        &self,
        request: Request<v1::DistdirTreeRequest>,
    ) -> Result<Response<v1::TreeResponse>, Status> {
        let (rights, request) = (Rights::of(&request), request.into_inner());
        let files = distfiles(rights, request.files)?;
        let resolver = self.resolver().await?;
        answer(resolver, resolver.sources().distdir_tree(&files).await, request.backup).await
    }

    async fn special_tree(
        &self,
        request: Request<v1::SpecialTreeRequest>,
    ) -> Result<Response<v1::TreeResponse>, Status> {
        let request = request.into_inner();
        let (tree, special) = (git_id("tree", &request.tree)?, special(request.special)?);
        let resolver = self.resolver().await?;
        answer(resolver, resolver.sources().special_tree(tree, special).await, request.backup).await
    }

    async fn tree_structure(
        &self,
        request: Request<v1::TreeStructureRequest>,
    ) -> Result<Response<v1::TreeResponse>, Status> {
        let request = request.into_inner();
        let tree = git_id("tree", &request.tree)?;
        let resolver = self.resolver().await?;
        answer(resolver, resolver.sources().tree_structure(tree).await, request.backup).await
    }

    async fn entries(&self, request: Request<v1::EntriesRequest>) -> Result<Response<v1::EntriesResponse>, Status> {
        let tree = git_id("tree", &request.into_inner().tree)?;
        let entries = self.resolver().await?.sources().entries(tree).await;
        let entries = entries.map_err(|error| status::source_status(&error))?;
        let entry = |GitEntry { name, kind, id }| v1::entries_response::Entry {
            name,
            mode: kind.mode().to_owned(),
            id: id.to_string(),
        };
        Ok(Response::new(v1::EntriesResponse { entries: entries.into_iter().map(entry).collect() }))
    }

    async fn tree(&self, request: Request<v1::TreeRequest>) -> Result<Response<v1::TreeResponse>, Status> {
        let tree = git_id("tree", &request.into_inner().tree)?;
        answer(self.resolver().await?, Ok(Derived { tree, fetched: false }), true).await
    }

    async fn content(&self, request: Request<v1::ContentRequest>) -> Result<Response<v1::ContentResponse>, Status> {
        let (rights, request) = (Rights::of(&request), request.into_inner());
        let content = git_id("content", &request.content)?;
        let found = self.resolver().await?.sources().content(content, &origin(rights, request.origin)).await;
        let found = found.map_err(|error| status::source_status(&error))?;
        Ok(Response::new(v1::ContentResponse { digest: Some(found.digest.into()), fetched: found.fetched }))
    }
}
