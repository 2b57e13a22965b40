//! How a daemon runs, as plain values.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::http::nix::CacheOptions;
use super::http::registry::RegistryOptions;
use super::remote::RemoteOptions;
use super::security::ServerSecurity;
use crate::digest::DigestFunction;
use crate::environment::{CheckpointOptions, ImageOptions, NixOptions};
use crate::execute::ExecutionOptions;
use crate::source::SourceOptions;

/// How a daemon runs.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where it keeps everything.
    pub root: PathBuf,
    /// What it builds with.
    pub endpoint: EndpointOptions,
    /// Git repositories in which trees and commits are looked for.
    pub repositories: Vec<PathBuf>,
    /// What archives may come to, and what the daemon fetches itself.
    pub sources: Arc<SourceOptions>,
    /// How derivations of Nix are built.
    pub nix: NixOptions,
    /// How images are built.
    pub images: ImageOptions,
    /// How checkpoints are made.
    pub checkpoints: CheckpointOptions,
    /// How long what was answered stays.
    pub lease: Duration,
    /// How connections are secured, and who is admitted.
    pub security: ServerSecurity,
    /// Whether the native protocol is spoken beside the REAPI.
    pub native: bool,
    /// How the daemon is a binary cache of Nix, if it is one.
    pub nix_cache: Option<CacheOptions>,
    /// How the daemon is a registry of images, if it is one.
    pub registry: Option<RegistryOptions>,
    /// For a private daemon: it leaves when it had no connection for so long.
    pub idle: Option<Duration>,
    /// Longest wait for running requests when it stops.
    pub grace: Duration,
}

/// Where the endpoint of a daemon is.
#[derive(Debug, Clone)]
pub enum EndpointOptions {
    /// Part of the daemon.
    Embedded(EmbeddedOptions),
    /// Elsewhere.
    Remote(Box<RemoteOptions>),
}

/// How the endpoint works that is part of a daemon.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Function of the digests it makes. Its CAS takes every function.
    pub function: DigestFunction,
    /// Its instance name.
    pub instance: String,
    /// The most bytes that its store may take on the disk.
    pub max_size: Option<u64>,
    /// What was used within so long is never evicted.
    pub min_age: Duration,
    /// How actions are run.
    pub execution: ExecutionOptions,
}
