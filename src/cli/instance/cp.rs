//! `envserve cp`: copies between this host and instances.

use std::ffi::OsString;

use clap::Args;

use super::RootArguments;
use crate::cli::Exit;
use crate::cli::error::CliError;
use crate::instance::Place;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    /// A file or directory: `ID:PATH`, or a path of this host.
    source: OsString,

    /// Where it is to be: `ID:PATH`, or a path of this host; a directory that is there gets it under its name.
    destination: OsString,
}

/// Copies it.
pub(in crate::cli) fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { root, source, destination } = arguments;
    root.instances()?.copy(&Place::parse(&source), &Place::parse(&destination))?;
    Ok(Exit::Done)
}
