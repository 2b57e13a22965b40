//! `envserve execute`: a remote-execution endpoint, without the native protocol.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::Exit;
use super::error::CliError;
use super::execution::ExecutionArguments;
use super::security::ServerSecurityArguments;
use super::serve;
use super::store::{SizeArguments, directory};
use crate::digest::DigestFunction;
use crate::environment::{CheckpointOptions, ImageOptions, NixOptions};
use crate::serve::{EmbeddedOptions, EndpointOptions, ServeOptions};
use crate::source::SourceOptions;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen: HOST:PORT or unix:PATH. Port 0 lets the system choose.
    #[arg(long, env = "ENVSERVE_EXECUTE_LISTEN", default_value = "127.0.0.1:8980", value_name = "ADDRESS")]
    listen: String,

    /// Where everything is kept [default: $XDG_CACHE_HOME/envserve-execute]
    #[arg(long, env = "ENVSERVE_EXECUTE_ROOT", value_name = "DIR")]
    root: Option<PathBuf>,

    #[command(flatten)]
    size: SizeArguments,

    /// Instance name.
    #[arg(long, default_value = "", value_name = "NAME")]
    instance: String,

    #[command(flatten)]
    execution: ExecutionArguments,

    #[command(flatten)]
    security: ServerSecurityArguments,

    /// Seconds that running requests are given to finish when the endpoint stops.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    grace_seconds: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let root = directory(arguments.root.as_deref(), "envserve-execute")?;
    let options = ServeOptions {
        sources: Arc::new(SourceOptions::new(&root)),
        root,
        endpoint: EndpointOptions::Embedded(EmbeddedOptions {
            // It makes no digests but those of actions, which name their function.
            function: DigestFunction::Blake3,
            instance: arguments.instance.clone(),
            max_size: arguments.size.max_size(),
            min_age: arguments.size.min_age(),
            execution: arguments.execution.options()?,
        }),
        repositories: Vec::new(),
        lease: Duration::ZERO,
        security: arguments.security.security(),
        nix: NixOptions::default(),
        images: ImageOptions::default(),
        checkpoints: CheckpointOptions::default(),
        native: false,
        nix_cache: None,
        registry: None,
        idle: None,
        grace: Duration::from_secs(arguments.grace_seconds),
    };
    serve::listen(arguments.listen.parse()?, options)
}
