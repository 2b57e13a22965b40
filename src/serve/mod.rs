//! The daemon: answers "give me the environment for this key", and is the remote-execution endpoint as well.

mod admission;
mod backend;
mod cache;
mod dispatch;
mod flight;
pub mod grpc;
mod handshake;
mod http;
mod known_keys;
mod listen;
mod open;
mod options;
mod pins;
mod private;
mod remote;
mod requests;
pub mod resolve;
pub mod roles;
mod security;
pub mod status;
mod wanted;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tonic::service::RoutesBuilder;
use tonic::transport::Server;

use crate::store::{LocalBlobStore, StoreError, blocking};
use crate::transport::{Endpoint, EndpointError, FRAME_BYTES, SecurityError};

pub use dispatch::{DispatchError, DispatchRule};
pub use handshake::ServerTls;
pub use http::nix::{CacheOptions, KeyError};
pub use http::registry::RegistryOptions;
pub use listen::{Listener, Peer};
pub use open::{Opened, open, open_store};
pub use options::{EmbeddedOptions, EndpointOptions, ServeOptions};
pub use private::{PrivatePaths, lock_start};
pub use remote::RemoteOptions;
pub use security::ServerSecurity;

use grpc::just::Just;
use grpc::native::Native;
use open::OpenedEndpoint;
use remote::RemoteBackend;
use requests::RequestLog;
use roles::Role;

/// Most requests of one connection that are worked on at a time.
const MAX_REQUESTS: usize = 256;

/// How often the size of the store is looked at.
const LOOK_AT_STORE: Duration = Duration::from_secs(5);

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
    /// Everybody who can connect could write.
    #[error("everybody who can connect to `{bound}` would have the role `{role}`")]
    Exposed {
        /// The address that it listens on.
        bound: SocketAddr,
        /// What they could do.
        role: Role,
    },
    /// The address is none.
    #[error(transparent)]
    Address(#[from] EndpointError),
    /// It cannot be a binary cache.
    #[error(transparent)]
    Cache(#[from] KeyError),
    /// There is no place for what is pushed to its registry.
    #[error("cannot empty the directory `{path}`")]
    Registry {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The transport gave up.
    #[error("the server stopped")]
    Transport(#[source] tonic::transport::Error),
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
    let Opened { options, backend, endpoint, handshakes, admission, cache, registry } = daemon;
    let open_connections = Arc::new(AtomicUsize::new(0));
    let mut routes = RoutesBuilder::default();
    if options.native {
        let shared_root = options.idle.is_some().then(|| options.root.clone());
        Native::new(backend.clone(), shared_root).add_to(&mut routes);
        Just::new(backend.clone()).add_to(&mut routes);
    }
    match &endpoint {
        OpenedEndpoint::Embedded { reapi, .. } => reapi.clone().add_to(&mut routes),
        OpenedEndpoint::Remote(remote) => grpc::proxy::add_to(&mut routes, remote.cache()),
    }

    let idle = private::idle(&options, Arc::clone(&open_connections), backend);
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
    let plain = cache.is_some() || registry.is_some();
    let routes = if plain { http::add_to(routes.routes(), cache, registry) } else { routes.routes() };
    let server = Server::builder()
        .accept_http1(plain)
        .max_frame_size(Some(FRAME_BYTES))
        .initial_stream_window_size(Some(4 << 20))
        .initial_connection_window_size(Some(8 << 20))
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .concurrency_limit_per_connection(MAX_REQUESTS)
        .layer(RequestLog)
        .layer(admission)
        .add_routes(routes)
        .serve_with_incoming_shutdown(listener.connections(open_connections, handshakes), signal);
    let served = tokio::select! {
        served = within_grace(server, stopped, options.grace) => served,
        never = care(endpoint, options.lease) => match never {},
    };
    drop(lock);
    served.map_err(ServeError::Transport)
}

/// Does what has to be done from time to time. Never ends.
async fn care(endpoint: OpenedEndpoint, lease: Duration) -> Infallible {
    match endpoint {
        OpenedEndpoint::Embedded { store, .. } => keep_spare(store).await,
        OpenedEndpoint::Remote(remote) => touch_leased(&remote, lease).await,
    }
}

/// Tells a CAS elsewhere four times in a lease that what was answered is in use. Never ends.
async fn touch_leased(remote: &RemoteBackend, lease: Duration) -> Infallible {
    loop {
        tokio::time::sleep((lease / 4).max(LOOK_AT_STORE)).await;
        // What is pinned has to be touched also when nobody has asked for anything since the endpoint was out of reach.
        if let Err(error) = remote.resolver().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot work with the endpoint yet");
        }
        for resolver in remote.reached() {
            match resolver.touch_leased().await {
                Ok(count) => tracing::debug!(count, "touched what is under lease"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot touch all that is under lease");
                }
            }
        }
    }
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
