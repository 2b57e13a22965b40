//! From options to a daemon whose stores are open.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ServeError;
use super::admission::Admission;
use super::backend::Backend;
use super::dispatch::Dispatch;
use super::grpc::reapi::Reapi;
use super::handshake::Handshakes;
use super::http::nix::Cache;
use super::http::registry::Registry;
use super::options::{EmbeddedOptions, EndpointOptions, ServeOptions};
use super::remote::{Local, RemoteBackend, RemoteOptions};
use super::resolve::{Identity, Parts, Resolver};
use crate::checkpoint::KnownCheckpoints;
use crate::digest::DigestFunction;
use crate::execute::LocalExecution;
use crate::oci::KnownImages;
use crate::source::{SourceOptions, Sources};
use crate::store::{
    Database, GitStore, LocalActionCache, LocalBlobStore, SourceMaps, StoreError, StoreOptions, blocking,
};

/// A daemon whose stores are open.
pub struct Opened {
    pub(super) options: ServeOptions,
    pub(super) backend: Backend,
    pub(super) handshakes: Option<Handshakes>,
    pub(super) admission: Admission,
    /// What is served of the endpoint itself.
    pub(super) endpoint: OpenedEndpoint,
    /// The binary cache of Nix, where there is one.
    pub(super) cache: Option<Cache>,
    /// The registry of images, where there is one.
    pub(super) registry: Option<Registry>,
}

/// The endpoint itself.
pub(super) enum OpenedEndpoint {
    Embedded { store: LocalBlobStore, reapi: Box<Reapi> },
    Remote(Arc<RemoteBackend>),
}

type OpenedBackend = (Backend, OpenedEndpoint);

/// Opens the stores of a daemon.
///
/// # Errors
/// When one cannot be opened: another daemon uses it, say.
pub async fn open(options: ServeOptions) -> Result<Opened, ServeError> {
    let (security, sources) = (options.security.clone(), Arc::clone(&options.sources));
    let (handshakes, admission) = blocking(move || security.open()).await?;
    let (backend, endpoint) = match options.endpoint.clone() {
        EndpointOptions::Embedded(embedded) => open_embedded(&options, embedded).await?,
        EndpointOptions::Remote(remote) => open_remote(&options, *remote).await?,
    };
    // The database admits one process: no daemon is at work here.
    let cleared = blocking(move || {
        sources.clear()?;
        let directory = &sources.temporary;
        std::fs::create_dir_all(directory).map_err(StoreError::io("make the directory", directory))
    });
    let cleared = cleared.await;
    cleared.map_err(|source| ServeError::Open { root: options.root.clone(), source })?;
    let cache = match options.nix_cache.clone() {
        Some(nix) => Some(Cache::open(&options.root, backend.clone(), nix).await?),
        None => None,
    };
    let registry = match options.registry {
        Some(registry) => Some(Registry::open(&options.root, backend.clone(), &registry).await?),
        None => None,
    };
    Ok(Opened { options, backend, endpoint, handshakes, admission, cache, registry })
}

async fn open_embedded(options: &ServeOptions, embedded: EmbeddedOptions) -> Result<OpenedBackend, ServeError> {
    let failed = |source| ServeError::Open { root: options.root.clone(), source };
    let (root, repositories) = (options.root.clone(), options.repositories.clone());
    let EmbeddedOptions { function, instance, max_size, min_age, execution } = embedded;
    let store_options = StoreOptions { max_size, grace: min_age, shared: options.idle.is_some() };
    let opened = blocking(move || open_stores(&root, &repositories, store_options)).await;
    let (store, git, database) = opened.map_err(failed)?;
    let actions = Arc::new(LocalActionCache::new(database.clone()));
    let known_images = KnownImages::new(database.clone());
    let execution = LocalExecution::new(store.clone(), actions.clone(), execution);
    let execution = execution.with_images(Arc::new(known_images.clone()));
    let execution = Arc::new(execution.with_services(Arc::new(KnownCheckpoints::new(database.clone()))));
    let blobs = Arc::new(store.clone());
    let reapi = Reapi::new(store.clone(), actions, execution.clone(), instance.clone());
    // The embedded CAS takes them all.
    let sources = SourceOptions { functions: DigestFunction::ALL.into(), ..SourceOptions::clone(&options.sources) };
    let sources = Arc::new(sources);
    let resolver = |function| {
        Resolver::new(Parts {
            sources: Sources::new(
                git.clone(),
                SourceMaps::new(database.clone()),
                blobs.clone(),
                function,
                Arc::clone(&sources),
            ),
            store: blobs.clone(),
            dispatch: Dispatch::to(execution.clone()),
            database: database.clone(),
            known_images: known_images.clone(),
            shared: None,
            function,
            endpoint: Identity { instance: instance.clone(), ..Identity::default() },
            lease: options.lease,
            nix: options.nix.clone(),
            images: options.images.clone(),
            checkpoints: options.checkpoints.clone(),
            scratch: sources.temporary.clone(),
        })
    };
    let native = resolver(function);
    let sha256 = DigestFunction::Sha256;
    let compatible = if function == sha256 { native.clone() } else { resolver(sha256) };
    let endpoint = OpenedEndpoint::Embedded { store, reapi: Box::new(reapi) };
    Ok((Backend::Embedded { native, compatible }, endpoint))
}

async fn open_remote(options: &ServeOptions, remote: RemoteOptions) -> Result<OpenedBackend, ServeError> {
    let failed = |source| ServeError::Open { root: options.root.clone(), source };
    let (root, repositories) = (options.root.clone(), options.repositories.clone());
    let opened = blocking(move || {
        let database = Database::open(&root.join("database"), u64::MAX)?;
        Ok((database, GitStore::open(&root.join("git"), &repositories)?))
    });
    let (database, git) = opened.await.map_err(failed)?;
    let local = Local {
        git,
        known_images: KnownImages::new(database.clone()),
        database,
        sources: Arc::clone(&options.sources),
        lease: options.lease,
        nix: options.nix.clone(),
        images: options.images.clone(),
        checkpoints: options.checkpoints.clone(),
    };
    let remote = Arc::new(RemoteBackend::new(remote, local)?);
    if let Err(error) = remote.resolver().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot work with the endpoint yet: it is tried again with each request");
    }
    Ok((Backend::Remote(remote.clone()), OpenedEndpoint::Remote(remote)))
}

/// Opens the blob store of a daemon that does not run. Blocks.
///
/// # Errors
/// When it cannot be opened: its daemon runs, say.
pub fn open_store(root: &Path, options: StoreOptions) -> Result<LocalBlobStore, StoreError> {
    let database = Database::open(&root.join("database"), options.max_size.unwrap_or(u64::MAX))?;
    LocalBlobStore::open(root, database, options)
}

/// Closes what only the daemon reads to other users of this host: there may be checkpoints in it.
fn close(root: &Path) -> Result<(), StoreError> {
    ["blobs", "database", "tmp"].iter().map(|name| root.join(name)).try_for_each(|path| {
        let made =
            fs::create_dir_all(&path).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)));
        made.map_err(StoreError::io("close", &path))
    })
}

fn open_stores(
    root: &Path,
    repositories: &[PathBuf],
    options: StoreOptions,
) -> Result<(LocalBlobStore, GitStore, Database), StoreError> {
    let database = Database::open(&root.join("database"), options.max_size.unwrap_or(u64::MAX))?;
    let shared = options.shared;
    let store = LocalBlobStore::open(root, database.clone(), options)?;
    if !shared {
        close(root)?;
    }
    let git = GitStore::open(&root.join("git"), repositories)?;
    // The database admits one process: whoever made these is gone.
    store.clear()?;
    Ok((store, git, database))
}
