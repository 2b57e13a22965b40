//! The daemon: answers "give me the environment for this key", and is the remote-execution endpoint as well.

mod admission;
mod flight;
pub mod grpc;
mod handshake;
mod listen;
mod private;
mod requests;
pub mod resolve;
mod security;
pub mod status;

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tonic::service::RoutesBuilder;
use tonic::transport::Server;

use crate::digest::DigestFunction;
use crate::execute::{ExecutionOptions, LocalExecution};
use crate::source::Sources;
use crate::store::{Database, GitStore, LocalActionCache, LocalBlobStore, StoreError, StoreOptions, TreeMap, blocking};
use crate::transport::{Endpoint, EndpointError, FRAME_BYTES, SecurityError};

pub use listen::{Listener, Peer};
pub use private::{PrivatePaths, lock_start};
pub use security::{ServerSecurity, ServerTls};

use admission::Admission;
use grpc::native::Native;
use grpc::reapi::Reapi;
use handshake::Handshakes;
use requests::RequestLog;
use resolve::{Parts, Resolver};

/// Most requests of one connection that are worked on at a time.
const MAX_REQUESTS: usize = 256;

/// How often the size of the store is looked at.
const LOOK_AT_STORE: Duration = Duration::from_secs(5);

/// How a daemon runs.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where it keeps everything.
    pub root: PathBuf,
    /// Function of the digests it makes. Its CAS takes every function.
    pub function: DigestFunction,
    /// Instance name of the embedded endpoint.
    pub instance: String,
    /// Git repositories in which trees and commits are looked for.
    pub repositories: Vec<PathBuf>,
    /// How long what was answered stays.
    pub lease: Duration,
    /// The most bytes that its store may take on the disk.
    pub max_size: Option<u64>,
    /// What was used within so long is never evicted.
    pub min_age: Duration,
    /// How actions are run.
    pub execution: ExecutionOptions,
    /// How connections are secured, and who is admitted.
    pub security: ServerSecurity,
    /// Whether the native protocol is spoken beside the REAPI.
    pub native: bool,
    /// For a private daemon: it leaves when it had no connection for so long.
    pub idle: Option<Duration>,
    /// Longest wait for running requests when it stops.
    pub grace: Duration,
}

/// Why a daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its store cannot be opened.
    #[error("cannot open the store in `{root}`")]
    Open {
        /// The root directory.
        root: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A file of certificates or tokens cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// It cannot listen.
    #[error("cannot listen on `{endpoint}`")]
    Listen {
        /// The address.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address is none.
    #[error(transparent)]
    Address(#[from] EndpointError),
    /// The transport gave up.
    #[error("the server stopped")]
    Transport(#[source] tonic::transport::Error),
}

/// A daemon whose stores are open.
pub struct Opened {
    options: ServeOptions,
    store: LocalBlobStore,
    resolver: Resolver,
    reapi: Reapi,
    handshakes: Option<Handshakes>,
    admission: Admission,
}

/// Opens the stores of a daemon.
///
/// # Errors
/// When one cannot be opened: another daemon uses it, say.
pub async fn open(options: ServeOptions) -> Result<Opened, ServeError> {
    let failed = |source| ServeError::Open { root: options.root.clone(), source };
    let security = options.security.clone();
    let (handshakes, admission) = blocking(move || security.open()).await?;
    let (root, repositories) = (options.root.clone(), options.repositories.clone());
    let store_options =
        StoreOptions { max_size: options.max_size, grace: options.min_age, shared: options.idle.is_some() };
    let opened = blocking(move || open_stores(&root, &repositories, store_options)).await;
    let (store, git, database) = opened.map_err(failed)?;
    let actions = Arc::new(LocalActionCache::new(database.clone()));
    let execution = Arc::new(LocalExecution::new(store.clone(), actions.clone(), options.execution.clone()));
    let blobs = Arc::new(store.clone());
    let sources = Sources::new(git, TreeMap::new(database.clone()), blobs.clone(), options.function);
    let reapi = Reapi::new(store.clone(), actions, execution.clone(), options.instance.clone());
    let resolver = Resolver::new(Parts {
        store: blobs,
        execution,
        sources,
        database,
        function: options.function,
        instance: options.instance.clone(),
        lease: options.lease,
    });
    Ok(Opened { options, store, resolver, reapi, handshakes, admission })
}

/// Opens the blob store of a daemon that does not run. Blocks.
///
/// # Errors
/// When it cannot be opened: its daemon runs, say.
pub fn open_store(root: &Path, options: StoreOptions) -> Result<LocalBlobStore, StoreError> {
    let database = Database::open(&root.join("database"), options.max_size.unwrap_or(u64::MAX))?;
    LocalBlobStore::open(root, database, options)
}

fn open_stores(
    root: &Path,
    repositories: &[PathBuf],
    options: StoreOptions,
) -> Result<(LocalBlobStore, GitStore, Database), StoreError> {
    let database = Database::open(&root.join("database"), options.max_size.unwrap_or(u64::MAX))?;
    let store = LocalBlobStore::open(root, database.clone(), options)?;
    let git = GitStore::open(&root.join("git"), repositories)?;
    // The database admits one process: whoever made these is gone.
    store.clear()?;
    Ok((store, git, database))
}

/// Serves until `shutdown` completes, or until a private daemon has been idle for long enough.
///
/// # Errors
/// When the transport fails.
pub async fn run(
    listener: Listener,
    daemon: Opened,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let Opened { options, store, resolver, reapi, handshakes, admission } = daemon;
    let open_connections = Arc::new(AtomicUsize::new(0));
    let mut routes = RoutesBuilder::default();
    if options.native {
        let shared_root = options.idle.is_some().then(|| options.root.clone());
        Native::new(resolver.clone(), shared_root).add_to(&mut routes);
    }
    reapi.add_to(&mut routes);

    let idle = private::idle(&options, Arc::clone(&open_connections), resolver);
    let (stop, stopped) = watch::channel(false);
    let (keep_lock, lock) = oneshot::channel();
    let signal = async move {
        tokio::select! {
            () = shutdown => {}
            // Kept until all is closed: who starts the next daemon waits for it.
            lock = idle => drop(keep_lock.send(lock)),
        }
        stop.send_replace(true);
    };
    let server = Server::builder()
        .max_frame_size(Some(FRAME_BYTES))
        .initial_stream_window_size(Some(4 << 20))
        .initial_connection_window_size(Some(8 << 20))
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .concurrency_limit_per_connection(MAX_REQUESTS)
        .layer(RequestLog)
        .layer(admission)
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(listener.connections(open_connections, handshakes), signal);
    let served = tokio::select! {
        served = within_grace(server, stopped, options.grace) => served,
        never = keep_spare(store) => match never {},
    };
    drop(lock);
    served.map_err(ServeError::Transport)
}

/// Evicts blobs whenever the store comes close to its limit. Never ends.
async fn keep_spare(store: LocalBlobStore) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_AT_STORE).await;
        let store = store.clone();
        if let Err(error) = blocking(move || store.keep_spare()).await {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot evict blobs");
        }
    }
}

/// Lets the server drain for at most `grace` after it was told to stop.
async fn within_grace(
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
    mut stopped: watch::Receiver<bool>,
    grace: Duration,
) -> Result<(), tonic::transport::Error> {
    let overdue = async {
        if stopped.wait_for(|stopped| *stopped).await.is_ok() {
            tracing::info!(grace_s = grace.as_secs(), "stopping: running requests are let finish");
            tokio::time::sleep(grace).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = server => {
            tracing::info!("stopped");
            served
        }
        () = overdue => {
            tracing::warn!("stopped with requests still running: the grace period is over");
            Ok(())
        }
    }
}
