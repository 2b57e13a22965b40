//! `envserve make-checkpoint`: what the action of a checkpoint runs in its input root. Not for users.

use std::io::{self, Write};

use super::Exit;
use super::error::CliError;
use crate::checkpoint::make;

pub(super) fn run() -> Result<Exit, CliError> {
    let here = std::env::current_dir().map_err(|source| CliError::Path { path: ".".into(), source })?;
    // Nobody is left to tell when stderr is closed.
    let say = |line: &str| drop(writeln!(io::stderr(), "{line}"));
    make(&here, &say).map_err(|error| CliError::Worker(Box::new(error)))?;
    Ok(Exit::Done)
}
