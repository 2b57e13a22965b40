//! `Target`: environments as targets of just.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tonic::{Code, Request, Response, Status};

use super::key::{self, Repository};
use super::{Just, MAX_REQUEST, digest, git_id, path, value};
use crate::digest::Digest;
use crate::environment::{BuildError, definition, definition_at};
use crate::proto::just;
use crate::proto::just::target_server::Target;
use crate::proto::reapi;
use crate::serve::admission::Rights;
use crate::serve::cache::Answer;
use crate::serve::resolve::{Resolution, Resolver};
use crate::serve::status::{self, build_status, source_status, store_status};
use crate::serve::wanted::Wanted;
use crate::source::SourceError;
use crate::spec::{Definition, Description, KeyParts, ResolvedRepository, SpecError, Special};
use crate::store::{Listing, StoreError};

/// Returns a blob that a client has uploaded.
async fn uploaded(resolver: &Resolver, what: &str, digest: Digest) -> Result<Bytes, Status> {
    if digest.size() > MAX_REQUEST as u64 {
        let message = format!("the {what} has {} bytes; at most {MAX_REQUEST} are taken", digest.size());
        return Err(Status::invalid_argument(message));
    }
    match resolver.store().get(&digest).await {
        Ok(Some(bytes)) => Ok(bytes),
        // Some endpoints look for the hash alone, and give what has another size.
        Ok(None) | Err(StoreError::Mismatch { .. } | StoreError::TooLong { .. }) => {
            Err(status::missing(&format!("the {what} `{digest}` is not in the CAS"), &[digest]))
        }
        Err(error) => Err(store_status(&error)),
    }
}

/// Returns the digest of the description among those that came with a key, which names it by hash alone.
fn description_digest(hash: &str, required: &[Digest]) -> Result<Digest, Status> {
    let found = required.iter().find(|digest| digest.hash() == hash);
    found.copied().ok_or_else(|| {
        let hash: String = hash.chars().take(100).flat_map(char::escape_debug).collect();
        Status::failed_precondition(format!(
            "the size of the repository description `{hash}` did not come with the key, as it does from version 1.6.2 of \
             just on: use that or a later one"
        ))
    })
}

/// Returns what a request asks for.
async fn wanted(resolver: &Resolver, request: &just::ServeTargetRequest) -> Result<Arc<Wanted>, Status> {
    let refused = |error: SpecError| build_status(&error.into());
    let key = digest(resolver, "target_cache_key_id", request.target_cache_key_id.as_ref())?;
    if request.dispatch_info.is_some() {
        digest(resolver, "dispatch_info", request.dispatch_info.as_ref())?;
    }
    let required = request.required_digests.iter().map(|message| digest(resolver, "required_digests", Some(message)));
    let required: Vec<Digest> = required.collect::<Result<_, _>>()?;
    let key = key::read_key(&uploaded(resolver, "key", key).await?).map_err(refused)?;
    let description = description_digest(&key.description, &required)?;
    let missing = resolver.store().find_missing(&required).await.map_err(|error| store_status(&error))?;
    if !missing.is_empty() {
        return Err(status::missing("what the key needs is not in the CAS", &missing));
    }
    let description = uploaded(resolver, "repository description", description).await?;
    let repositories = key::read_description(&description).map_err(refused)?;
    let repositories = resolved(resolver, repositories).await?;
    let description = Description::new(key::MAIN, &repositories).map_err(refused)?;
    let parts = KeyParts { description, module: key.module, name: key.name, effective_config: key.effective_config };
    // Of a property that is given twice, the last counts; their order does not enter the shard.
    let properties =
        request.execution_properties.iter().map(|property| (property.name.clone(), property.value.clone()));
    Ok(resolver.wanted(parts, properties.collect()))
}

/// Returns the repositories with plain trees as roots.
async fn resolved(
    resolver: &Resolver,
    repositories: BTreeMap<String, Repository>,
) -> Result<BTreeMap<String, ResolvedRepository>, Status> {
    let mut resolved = BTreeMap::new();
    for (name, Repository { root, environments_file, bindings }) in repositories {
        let root = if root.ignore_special {
            let treated = resolver.sources().special_tree(root.tree, Special::Ignore).await;
            treated.map_err(|error| root_status(&name, &error))?.tree
        } else {
            root.tree
        };
        resolved.insert(name, ResolvedRepository { root, environments_file, bindings });
    }
    Ok(resolved)
}

/// Returns the status of a root that cannot be had. Clients do not show the message of NOT_FOUND, so that is left to
/// what was asked for itself.
fn root_status(repository: &str, error: &SourceError) -> Status {
    let status = source_status(error);
    if repository == key::MAIN || status.code() != Code::NotFound {
        return status;
    }
    Status::failed_precondition(status.message())
}

/// Returns the status of an environment that could not be had: NOT_FOUND when it is not known itself.
async fn target_status(resolver: &Resolver, wanted: &Wanted, error: &BuildError) -> Status {
    let own = definition(resolver.sources(), &wanted.parts).await.err();
    if let Some(own) = own.filter(is_unknown) {
        return Status::not_found(build_status(&own).message());
    }
    match error {
        BuildError::Spec(SpecError::UnsetVariable { name, .. }) => {
            Status::invalid_argument(format!("{error} (give it one with `-D '{{\"{name}\": …}}'`)"))
        }
        BuildError::CheckpointDenied { environment } => Status::failed_precondition(format!(
            "environment `{environment}` is a checkpoint, of which `envserve up` starts copies; it is no target"
        )),
        BuildError::UnknownRoots { .. } => Status::failed_precondition(build_status(error).message()),
        error => build_status(error),
    }
}

fn is_unknown(error: &BuildError) -> bool {
    matches!(
        error,
        BuildError::UnknownRoots { .. }
            | BuildError::NoFile { .. }
            | BuildError::Spec(SpecError::UnknownEnvironment { .. })
    )
}

/// Puts the value of an environment into the CAS. So that every executor and client can use the environment, the
/// targets of its symlinks are put there as well: some look for them.
async fn put_value(resolver: &Resolver, name: &str, answer: &Answer) -> Result<Digest, StoreError> {
    let (store, function) = (resolver.store(), resolver.function());
    let (root, tree) = (answer.descriptor.root, answer.descriptor.tree);
    let listed =
        store.get(&tree).await?.ok_or(StoreError::Missing { digest: tree, role: "listing of an environment" })?;
    let listing = Listing::parse(root, &listed).map_err(|source| StoreError::Directory { digest: root, source })?;
    let value = Bytes::from(value::value(name, root));
    let digest = function.digest(&value);
    let mut blobs = BTreeMap::from([(digest, value)]);
    blobs.extend(listing.symlinks.into_iter().map(|(_, target)| (function.digest(target.as_bytes()), target.into())));
    store.put_missing(blobs.into_iter().collect()).await?;
    Ok(digest)
}

impl Just {
    async fn definition(&self, root: &str, file: &str, name: &str) -> Result<(&Resolver, Definition), Status> {
        let (root, file) = (git_id("root_tree", root)?, path("target_file", file)?);
        let resolver = self.resolver().await?;
        let found = definition_at(resolver.sources(), root, &file, name).await.map_err(|error| {
            let status = build_status(&error);
            match status.code() {
                Code::NotFound | Code::InvalidArgument => Status::failed_precondition(status.message()),
                _ => status,
            }
        });
        Ok((resolver, found?))
    }
}

#[tonic::async_trait]
impl Target for Just {
    async fn serve_target(
        &self,
        request: Request<just::ServeTargetRequest>,
    ) -> Result<Response<just::ServeTargetResponse>, Status> {
        let (started, rights) = (Instant::now(), Rights::of(&request).without_checkpoints());
        let resolver = self.resolver().await?;
        let wanted = wanted(resolver, &request.into_inner()).await?;
        let (came, answer) = match resolver.resolve(Arc::clone(&wanted), &[], rights, 0).await {
            Ok(Resolution::Hit(answer)) => ("hit", Ok(answer)),
            Ok(Resolution::Building { flight, joined }) => {
                (if joined { "joined" } else { "miss" }, flight.answer().await)
            }
            Err(error) => ("error", Err(Arc::new(error))),
        };
        tracing::info!(rpc = "ServeTarget", key = %wanted.key, environment = wanted.environment, outcome = came,
            ms = started.elapsed().as_millis());
        let blob = |stored: Result<Digest, StoreError>| -> Result<Option<reapi::Digest>, Status> {
            stored.map(|digest| Some(digest.into())).map_err(|error| store_status(&error))
        };
        let response = match answer.as_ref().map_err(|error| error.cause()) {
            Ok(answer) => {
                let target_value = blob(put_value(resolver, &wanted.parts.name, answer).await)?;
                just::ServeTargetResponse { target_value, log: None }
            }
            Err(BuildError::Failed(failure)) => {
                let log = resolver.store().put(resolver.function(), value::log(failure).into()).await;
                just::ServeTargetResponse { target_value: None, log: blob(log)? }
            }
            Err(error) => return Err(target_status(resolver, &wanted, error).await),
        };
        Ok(Response::new(response))
    }

    async fn serve_target_variables(
        &self,
        request: Request<just::ServeTargetVariablesRequest>,
    ) -> Result<Response<just::ServeTargetVariablesResponse>, Status> {
        let just::ServeTargetVariablesRequest { root_tree, target_file, target } = request.into_inner();
        let (_, definition) = self.definition(&root_tree, &target_file, &target).await?;
        let flexible_config = definition.flexible_config().to_vec();
        Ok(Response::new(just::ServeTargetVariablesResponse { flexible_config }))
    }

    async fn serve_target_description(
        &self,
        request: Request<just::ServeTargetDescriptionRequest>,
    ) -> Result<Response<just::ServeTargetDescriptionResponse>, Status> {
        let just::ServeTargetDescriptionRequest { root_tree, target_file, target } = request.into_inner();
        let (resolver, definition) = self.definition(&root_tree, &target_file, &target).await?;
        let stored = resolver.store().put(resolver.function(), value::description(&definition).into()).await;
        let description_id = Some(stored.map_err(|error| store_status(&error))?.into());
        Ok(Response::new(just::ServeTargetDescriptionResponse { description_id }))
    }
}
