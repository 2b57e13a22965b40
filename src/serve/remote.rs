//! A remote-execution endpoint elsewhere, which this daemon builds with.
//!
//! What it can is asked when it is first reached; until then every request says that it cannot be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::dispatch::{Dispatch, DispatchRule};
use super::resolve::{Identity, Parts, Resolver};
use crate::digest::DigestFunction;
use crate::environment::{CheckpointOptions, ImageOptions, NixOptions};
use crate::execute::{Execution, RemoteExecution};
use crate::oci::KnownImages;
use crate::source::{SourceOptions, Sources};
use crate::store::{
    Capabilities, Database, EntrySecret, GitStore, RemoteActionCache, RemoteBlobStore, SharedEntries, SourceMaps,
    StoreError,
};
use crate::transport::{Endpoint, EndpointError, Link, Security};

/// Where an endpoint is, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Its CAS and action cache.
    pub cache: Endpoint,
    /// Its executor.
    pub executor: Endpoint,
    /// Executors for certain properties.
    pub dispatch: Vec<DispatchRule>,
    /// What is shown to it, and whom to trust.
    pub security: Security,
    /// Instance name of all of these.
    pub instance: String,
    /// What tells it from another endpoint with the same instance name.
    pub id: Option<String>,
    /// Where clients reach its CAS, if not at `cache`.
    pub client_address: Option<Endpoint>,
    /// Function of digests, if it matters; it must be offered.
    pub function: Option<DigestFunction>,
    /// What entries in its action cache are signed with.
    pub secret: Option<EntrySecret>,
}

/// What of a daemon lies on this host when its CAS does not.
pub(super) struct Local {
    pub(super) git: GitStore,
    pub(super) database: Database,
    pub(super) known_images: KnownImages,
    pub(super) sources: Arc<SourceOptions>,
    pub(super) lease: Duration,
    pub(super) nix: NixOptions,
    /// How images are built.
    pub(super) images: ImageOptions,
    /// How checkpoints are made.
    pub(super) checkpoints: CheckpointOptions,
}

/// A daemon's way to its endpoint.
pub struct RemoteBackend {
    options: RemoteOptions,
    local: Local,
    cache: Link,
    executor: Link,
    dispatched: Vec<Link>,
    resolver: OnceCell<Resolver>,
    compatible: OnceCell<Resolver>,
}

/// Why an endpoint cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It names blobs in another way.
    #[error("`{endpoint}` does not offer {wanted}; it offers {}", names(offered))]
    Function {
        /// The endpoint.
        endpoint: Endpoint,
        /// The function asked for.
        wanted: DigestFunction,
        /// Those it has.
        offered: Vec<DigestFunction>,
    },
    /// It executes nothing.
    #[error("`{endpoint}` does not execute actions")]
    NoExecution {
        /// The endpoint.
        endpoint: Endpoint,
    },
}

fn names(functions: &[DigestFunction]) -> String {
    let names: Vec<&str> = functions.iter().map(|function| function.as_str()).collect();
    if names.is_empty() { "none that is known here".to_owned() } else { names.join(", ") }
}

impl RemoteBackend {
    pub(super) fn new(options: RemoteOptions, local: Local) -> Result<Self, EndpointError> {
        let link = |endpoint: &Endpoint| Link::new(endpoint, &options.security);
        let cache = link(&options.cache)?;
        let executor = if options.executor == options.cache { cache.clone() } else { link(&options.executor)? };
        let dispatched = options.dispatch.iter().map(|rule| link(&rule.endpoint)).collect::<Result<_, _>>()?;
        Ok(Self { options, local, cache, executor, dispatched, resolver: OnceCell::new(), compatible: OnceCell::new() })
    }

    /// Returns the connection to the CAS.
    pub(super) fn cache(&self) -> &Link {
        &self.cache
    }

    /// Returns the resolver, as soon as the endpoint was reached once.
    ///
    /// # Errors
    /// When the endpoint cannot be reached, or not be worked with.
    pub async fn resolver(&self) -> Result<&Resolver, RemoteError> {
        self.resolver.get_or_try_init(|| self.negotiate(self.options.function)).await
    }

    /// Returns the resolver that works in SHA-256.
    ///
    /// # Errors
    /// As `resolver`; `Function` when the endpoint does not offer SHA-256.
    pub async fn compatible(&self) -> Result<&Resolver, RemoteError> {
        let sha256 = DigestFunction::Sha256;
        let make = async || match self.resolver().await? {
            native if native.function() == sha256 => Ok(native.clone()),
            _ => self.negotiate(Some(sha256)).await,
        };
        self.compatible.get_or_try_init(make).await
    }

    /// Returns the resolvers for which the endpoint was reached before.
    pub(super) fn reached(&self) -> Vec<&Resolver> {
        Resolver::distinct([self.resolver.get(), self.compatible.get()])
    }

    async fn negotiate(&self, wanted: Option<DigestFunction>) -> Result<Resolver, RemoteError> {
        let instance = &self.options.instance;
        let mut found = Capabilities::ask(&self.cache, instance).await?;
        let executor = if self.options.executor == self.options.cache {
            found.clone()
        } else {
            Capabilities::ask(&self.executor, instance).await?
        };
        found.functions.retain(|function| executor.functions.contains(function));
        if !executor.execution {
            return Err(RemoteError::NoExecution { endpoint: self.options.executor.clone() });
        }
        let function = self.function(wanted, &found)?;
        let (major, minor) = executor.newest;
        tracing::info!(endpoint = %self.options.cache, api = format!("{major}.{minor}"), %function,
            batch_bytes = found.batch_bytes, action_cache_updates = found.action_cache_updates, "reached the endpoint");
        Ok(self.resolve_with(&found, function, executor.newest))
    }

    fn function(&self, wanted: Option<DigestFunction>, found: &Capabilities) -> Result<DigestFunction, RemoteError> {
        let preferred = DigestFunction::ALL.into_iter().find(|function| found.functions.contains(function));
        let wanted = wanted.or(preferred).unwrap_or(DigestFunction::Sha256);
        if found.functions.contains(&wanted) {
            return Ok(wanted);
        }
        let (endpoint, offered) = (self.options.cache.clone(), found.functions.clone());
        Err(RemoteError::Function { endpoint, wanted, offered })
    }

    fn resolve_with(&self, found: &Capabilities, function: DigestFunction, newest: (i32, i32)) -> Resolver {
        let instance = &self.options.instance;
        let blobs = RemoteBlobStore::new(self.cache.clone(), instance.clone(), function);
        let blobs = blobs.with_batch_bytes(found.batch_bytes);
        let execution = |link: &Link| -> Arc<dyn Execution> {
            Arc::new(RemoteExecution::new(link.clone(), instance.clone(), blobs.clone(), newest))
        };
        let mut dispatch = Dispatch::to(execution(&self.executor));
        for (rule, link) in self.options.dispatch.iter().zip(&self.dispatched) {
            dispatch.add(rule.properties.clone(), execution(link));
        }
        let store: Arc<RemoteBlobStore> = Arc::new(blobs.clone());
        let Local { git, database, known_images, sources, lease, nix, images, checkpoints } = &self.local;
        let actions = Arc::new(RemoteActionCache::new(self.cache.clone(), instance.clone()));
        let shared = SharedEntries::new(actions, store.clone(), function, self.options.secret.clone());
        if !found.action_cache_updates {
            tracing::warn!(endpoint = %self.options.cache,
                "the endpoint takes no action results: entries stay with this daemon");
            shared.close();
        }
        let address = self.options.client_address.as_ref().unwrap_or(&self.options.cache);
        Resolver::new(Parts {
            sources: Sources::new(
                git.clone(),
                SourceMaps::new(database.clone()),
                store.clone(),
                function,
                Arc::clone(sources),
            ),
            store,
            dispatch,
            database: database.clone(),
            known_images: known_images.clone(),
            shared: Some(shared),
            function,
            endpoint: Identity {
                instance: instance.clone(),
                id: self.options.id.clone(),
                address: Some(address.to_string()),
            },
            lease: *lease,
            nix: nix.clone(),
            images: images.clone(),
            checkpoints: checkpoints.clone(),
            scratch: sources.temporary.clone(),
        })
    }
}
