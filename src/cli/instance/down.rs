//! `envserve down`: the end of instances.

use clap::Args;

use super::RootArguments;
use crate::cli::Exit;
use crate::cli::error::CliError;
use crate::instance::InstanceError;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    /// The instances.
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,

    /// All instances that are there.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

/// Takes them down, those after one that is not there too.
pub(in crate::cli) fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { root, ids, all } = arguments;
    let instances = root.instances()?;
    // This clears away what is left of those that were killed.
    let there = instances.list()?;
    if all {
        for instance in &there {
            match instances.down(&instance.id) {
                // It went meanwhile.
                Err(InstanceError::Unknown { .. }) => {}
                other => other?,
            }
        }
        return Ok(Exit::Done);
    }
    let ended: Vec<Result<(), InstanceError>> = ids.iter().map(|id| instances.down(id)).collect();
    ended.into_iter().collect::<Result<(), _>>()?;
    Ok(Exit::Done)
}
