//! `envserve serve`: the daemon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::error::CliError;
use super::execution::ExecutionArguments;
use super::nix::{NixArguments, property};
use super::remote::RemoteArguments;
use super::security::{RemoteSecurityArguments, ServerSecurityArguments};
use super::sources::ServeSourceArguments;
use super::store::{RootArguments, SizeArguments};
use super::{Exit, output};
use crate::digest::DigestFunction;
use crate::environment::{CheckpointOptions, ImageOptions};
use crate::serve::{self, EmbeddedOptions, EndpointOptions, Listener, RegistryOptions, ServeError, ServeOptions};
use crate::transport::Endpoint;

/// Length of leases in this daemon's own store.
const LEASE_SECONDS: u64 = 86_400;
/// Length of leases in a CAS elsewhere, which is told several times within one that the blobs are in use.
const REMOTE_LEASE_SECONDS: u64 = 3600;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen: HOST:PORT or unix:PATH. Port 0 lets the system choose.
    #[arg(long, env = "ENVSERVE_LISTEN", default_value = "127.0.0.1:8981", value_name = "ADDRESS")]
    listen: String,

    #[command(flatten)]
    root: RootArguments,

    #[command(flatten)]
    size: SizeArguments,

    /// A Git repository in which trees and commits are looked for; it is only read.
    #[arg(long = "repository", value_name = "DIR")]
    repositories: Vec<PathBuf>,

    #[command(flatten)]
    sources: ServeSourceArguments,

    /// Instance name of the remote-execution endpoint.
    #[arg(long, default_value = "", value_name = "NAME")]
    instance: String,

    /// Function of the digests made here [default: blake3 where the endpoint offers it]
    #[arg(long, value_enum, value_name = "FUNCTION")]
    digest_function: Option<DigestFunction>,

    #[command(flatten)]
    remote: RemoteArguments,

    #[command(flatten)]
    execution: ExecutionArguments,

    #[command(flatten)]
    security: ServerSecurityArguments,

    #[command(flatten)]
    nix: NixArguments,

    /// A property of the actions that run commands in images [default: user-ids=range at the embedded executor]
    #[arg(long = "image-worker", value_name = "NAME=VALUE", value_parser = property)]
    image_worker: Vec<(String, String)>,
    /// A property of the actions that make checkpoints, which takes them to a worker with envserve, runc and CRIU
    /// [default: this host at the embedded executor]
    #[arg(long = "checkpoint-worker", value_name = "NAME=VALUE", value_parser = property)]
    checkpoint_worker: Vec<(String, String)>,
    /// Let clients push images to the registry at /v2/, as `podman push` does.
    #[arg(long)]
    registry_push: bool,

    #[command(flatten)]
    remote_security: RemoteSecurityArguments,

    /// Seconds for which everything that was answered stays [default: a day; an hour with --remote]
    #[arg(long, value_name = "SECONDS")]
    lease_seconds: Option<u64>,

    /// Seconds that running requests are given to finish when the daemon stops.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    grace_seconds: u64,

    /// Leave when nobody was connected for so long.
    #[arg(long, hide = true)]
    idle_seconds: Option<u64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let endpoint: Endpoint = arguments.listen.parse()?;
    let options = options(arguments)?;
    if options.idle.is_some() {
        // A private daemon outlives the terminal of the client that started it.
        if let Err(error) = rustix::process::setsid() {
            tracing::warn!(%error, "cannot leave the session of the client");
        }
    }
    listen(endpoint, options)
}

/// Serves until it is told to stop.
pub(super) fn listen(endpoint: Endpoint, options: ServeOptions) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(64).build();
    runtime.map_err(CliError::Runtime)?.block_on(serve(endpoint, options))?;
    Ok(Exit::Done)
}

fn options(arguments: &Arguments) -> Result<ServeOptions, CliError> {
    let (instance, function) = (&arguments.instance, arguments.digest_function);
    let remote = arguments.remote.options(instance, function, arguments.remote_security.security()?)?;
    let lease = if remote.is_some() { REMOTE_LEASE_SECONDS } else { LEASE_SECONDS };
    let root = arguments.root.path()?;
    Ok(ServeOptions {
        sources: Arc::new(arguments.sources.options(&root)),
        root,
        endpoint: match remote {
            Some(remote) => EndpointOptions::Remote(remote),
            None => EndpointOptions::Embedded(EmbeddedOptions {
                function: function.unwrap_or(DigestFunction::Blake3),
                instance: instance.clone(),
                max_size: arguments.size.max_size(),
                min_age: arguments.size.min_age(),
                execution: arguments.execution.options()?,
            }),
        },
        repositories: arguments.repositories.clone(),
        lease: Duration::from_secs(arguments.lease_seconds.unwrap_or(lease)),
        security: arguments.security.security(),
        nix: arguments.nix.builds(),
        images: ImageOptions { worker: arguments.image_worker.iter().cloned().collect() },
        checkpoints: CheckpointOptions { worker: arguments.checkpoint_worker.iter().cloned().collect() },
        native: true,
        // A private daemon has a socket that Nix cannot use.
        nix_cache: arguments.idle_seconds.is_none().then(|| arguments.nix.cache()),
        registry: arguments.idle_seconds.is_none().then_some(RegistryOptions { push: arguments.registry_push }),
        idle: arguments.idle_seconds.map(Duration::from_secs),
        grace: Duration::from_secs(arguments.grace_seconds),
    })
}

async fn serve(endpoint: Endpoint, options: ServeOptions) -> Result<(), CliError> {
    let (root, security) = (options.root.clone(), options.security.clone());
    let listen = |source| Box::new(ServeError::Listen { endpoint: endpoint.clone(), source });
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
    let opened = serve::open(options).await?;
    let listener = Listener::bind(&endpoint).await.map_err(listen)?;
    listener.local_address().map_or(Ok(()), |bound| security.check_exposure(bound))?;
    let address = listener.local_address().map_or(endpoint, |bound| security.address(bound)).to_string();
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("stopped at once: a second signal came");
            #[expect(clippy::exit, reason = "that is what a second signal asks for")]
            std::process::exit(i32::from(Exit::Error.code()));
        });
    };
    tracing::info!(address, root = %root.display(), "listening");
    output::print(address.as_bytes())?;
    Box::pin(serve::run(listener, opened, shutdown)).await?;
    Ok(())
}
