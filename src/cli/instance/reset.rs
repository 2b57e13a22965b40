//! `envserve reset`: instances as they were at first.

use clap::Args;

use super::RootArguments;
use crate::cli::Exit;
use crate::cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    /// The instances.
    #[arg(required = true)]
    ids: Vec<String>,
}

/// Starts them again from their image, with their ids and ports.
pub(in crate::cli) fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { root, ids } = arguments;
    let instances = root.instances()?;
    ids.iter().try_for_each(|id| instances.reset(id))?;
    Ok(Exit::Done)
}
