//! Arguments about the client: whom it asks, where it keeps everything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::absolute::absolute;
use super::error::CliError;
use super::progress::ProgressArguments;
use super::security::{RemoteSecurityArguments, ServeSecurityArguments};
use super::sources::ClientSourceArguments;
use crate::client::{ClientOptions, IDLE_SECONDS, OnUnavailable, default_root};
use crate::transport::Endpoint;

/// Where the client keeps everything, and whom it asks.
#[derive(Debug, Args)]
pub(super) struct ClientArguments {
    /// Where everything is kept [default: $XDG_CACHE_HOME/envserve]
    #[arg(long, env = "ENVSERVE_ROOT", value_name = "DIR")]
    root: Option<PathBuf>,

    /// The server to ask: HOST:PORT, grpcs://HOST:PORT or unix:PATH. Without one, a private daemon is started.
    #[arg(long, env = "ENVSERVE_SERVE", value_name = "ADDRESS")]
    serve: Option<String>,

    #[command(flatten)]
    security: ServeSecurityArguments,

    #[command(flatten)]
    remote_security: RemoteSecurityArguments,

    #[command(flatten)]
    sources: ClientSourceArguments,

    #[command(flatten)]
    progress: ProgressArguments,

    /// What to do when the server, or the endpoint behind it, cannot be reached.
    #[arg(long, env = "ENVSERVE_ON_UNAVAILABLE", value_enum, value_name = "POLICY", default_value_t = OnUnavailable::Fail)]
    on_unavailable: OnUnavailable,

    /// How long `--on-unavailable wait` waits [default: for as long as it takes]
    #[arg(long, value_name = "SECONDS")]
    wait_seconds: Option<u64>,

    /// Seconds after which an idle private daemon leaves.
    #[arg(long, env = "ENVSERVE_IDLE_SECONDS", default_value_t = IDLE_SECONDS, hide = true)]
    idle_seconds: u64,
}

impl ClientArguments {
    /// Returns how the client works.
    pub(super) fn options(&self) -> Result<ClientOptions, CliError> {
        let serve = self.serve.as_deref().filter(|text| !text.is_empty());
        let program = std::env::current_exe();
        let program = program.map_err(|source| CliError::Path { path: "envserve".into(), source })?;
        Ok(ClientOptions {
            serve: serve.map(str::parse::<Endpoint>).transpose()?,
            security: self.security.security()?,
            remote_security: self.remote_security.security()?,
            program,
            idle_seconds: self.idle_seconds,
            distdirs: self.sources.distdirs.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
            fetch_absent: self.sources.fetch_absent,
            limits: self.sources.limits(),
            ..ClientOptions::new(root(self.root.as_deref())?)
        })
    }

    /// Returns how progress is shown.
    pub(super) fn progress(&self) -> &ProgressArguments {
        &self.progress
    }

    /// Returns what to do when nobody can be reached, and for how long.
    pub(super) fn patience(&self) -> (OnUnavailable, Option<Duration>) {
        (self.on_unavailable, self.wait_seconds.map(Duration::from_secs))
    }

    /// Returns the first directory for files, absolute.
    pub(super) fn distdir(&self) -> Result<Option<PathBuf>, CliError> {
        self.sources.distdirs.first().map(|path| absolute(path)).transpose()
    }

    /// Says whether a server is configured.
    pub(super) fn has_server(&self) -> bool {
        self.serve.as_ref().is_some_and(|serve| !serve.is_empty())
    }
}

/// Returns where everything is kept: what was given, or the default.
pub(super) fn root(given: Option<&Path>) -> Result<PathBuf, CliError> {
    let default = || default_root(|name| std::env::var_os(name));
    absolute(&given.map(Path::to_owned).or_else(default).ok_or(CliError::NoRoot)?)
}
