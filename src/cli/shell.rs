//! `envserve shell`: a command, or the user's shell, with the variables of an environment.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;

use super::Exit;
use super::arguments::SpecArguments;
use super::error::CliError;
use crate::client::entered;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// The command; without one, $SHELL.
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Becomes the command: its exit code, signals and terminal are those of this process.
pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let fetched = arguments.spec.fetch().await?;
    let entered = entered(&fetched.descriptor, &fetched.directory);
    let mut words = arguments.command.into_iter();
    let shell = || std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let program = words.next().unwrap_or_else(shell);
    let source = Command::new(&program)
        .args(words)
        .env("PATH", entered.full_path(std::env::var_os("PATH")))
        .env("ENVSERVE_ENVIRONMENT", &fetched.directory)
        .envs(&entered.variables)
        .exec();
    Err(CliError::Run { program: program.to_string_lossy().into_owned(), source })
}
