//! `envserve completion`: what a shell needs to complete the command line.

use clap::Args;
use clap_complete::{Shell, generate};

use super::Exit;
use super::described::described;
use super::error::CliError;
use super::output;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut described(), "envserve", &mut script);
    output::print(script.trim_ascii_end())?;
    Ok(Exit::Done)
}
