//! Arguments about a remote-execution endpoint elsewhere.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::CliError;
use crate::digest::DigestFunction;
use crate::serve::{DispatchRule, RemoteOptions};
use crate::store::EntrySecret;
use crate::transport::{Endpoint, Security};

#[derive(Debug, Args)]
pub(super) struct RemoteArguments {
    /// Build with a remote-execution endpoint (REAPI v2) instead of the one that is part of the daemon.
    #[arg(long, env = "ENVSERVE_REMOTE", value_name = "ADDRESS")]
    remote: Option<String>,

    /// Its CAS and action cache, when they are elsewhere.
    #[arg(long, value_name = "ADDRESS")]
    remote_cache: Option<String>,

    /// Its executor, when that is elsewhere.
    #[arg(long, value_name = "ADDRESS")]
    remote_executor: Option<String>,

    /// What tells it from another endpoint with the same instance name. Daemons that share entries share it.
    #[arg(long, value_name = "ID")]
    remote_id: Option<String>,

    /// Where clients reach its CAS, when they do not under the address used here.
    #[arg(long, value_name = "ADDRESS")]
    client_address: Option<String>,

    /// Executors for certain properties: JSON, [[{"NAME": "VALUE"}, "HOST:PORT"], …]; the first that fits is taken.
    #[arg(long, value_name = "FILE")]
    dispatch: Option<PathBuf>,

    /// Sign entries in its action cache with what is in this file, and take no others. Daemons that share entries
    /// share it.
    #[arg(long, value_name = "FILE")]
    entry_secret: Option<PathBuf>,
}

impl RemoteArguments {
    /// Returns the endpoint, if one is named.
    pub(super) fn options(
        &self,
        instance: &str,
        function: Option<DigestFunction>,
        security: Security,
    ) -> Result<Option<Box<RemoteOptions>>, CliError> {
        let given = |address: &Option<String>| address.clone().filter(|text| !text.is_empty());
        let remote = given(&self.remote);
        let cache = given(&self.remote_cache).or_else(|| remote.clone());
        let executor = given(&self.remote_executor).or(remote);
        let (cache, executor) = match (cache, executor) {
            (None, None) => return Ok(None),
            (Some(cache), Some(executor)) => (cache, executor),
            (Some(_), None) => return Err(CliError::HalfAnEndpoint { missing: "--remote-executor" }),
            (None, Some(_)) => return Err(CliError::HalfAnEndpoint { missing: "--remote-cache" }),
        };
        Ok(Some(Box::new(RemoteOptions {
            cache: cache.parse()?,
            executor: executor.parse()?,
            dispatch: self.dispatch.as_deref().map_or(Ok(Vec::new()), rules)?,
            security,
            instance: instance.to_owned(),
            id: self.remote_id.clone(),
            client_address: given(&self.client_address).map(|text| text.parse::<Endpoint>()).transpose()?,
            function,
            secret: self
                .entry_secret
                .as_deref()
                .map(|path| Ok::<_, CliError>(EntrySecret::new(&read(path)?)))
                .transpose()?,
        })))
    }
}

fn rules(path: &Path) -> Result<Vec<DispatchRule>, CliError> {
    let path = path.to_owned();
    DispatchRule::parse_list(&read(&path)?).map_err(|source| CliError::Dispatch { path, source })
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::ReadFile { path: path.to_owned(), source })
}
