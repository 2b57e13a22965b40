//! `envserve shell`: a command, or the user's shell, with the variables of an environment.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;

use super::Exit;
use super::arguments::SpecArguments;
use super::error::CliError;
use super::placement::StoreArguments;
use crate::client::{Fetched, enter, entered};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    #[command(flatten)]
    store: StoreArguments,

    /// The command; without one, $SHELL.
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// A command, and the environment that it is to be run in.
pub(super) struct Prepared {
    fetched: Fetched,
    command: Vec<OsString>,
}

/// Gets the environment.
pub(super) async fn prepare(arguments: Arguments) -> Result<Prepared, CliError> {
    let fetched = Box::pin(arguments.spec.fetch(&arguments.store)).await?;
    Ok(Prepared { fetched, command: arguments.command })
}

impl Prepared {
    /// Becomes the command: its exit code, signals and terminal are those of this process, which must have no threads
    /// left.
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let entered = entered(&self.fetched)?;
        if let Some(stored) = &self.fetched.stored
            && !stored.root.is_of_host()
        {
            enter(&stored.root.store())?;
        }
        let mut words = self.command.into_iter();
        let shell = || std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let program = words.next().unwrap_or_else(shell);
        let source = Command::new(&program)
            .args(words)
            .env("PATH", entered.full_path(std::env::var_os("PATH")))
            .env("ENVSERVE_ENVIRONMENT", &entered.directory)
            .envs(&entered.variables)
            .exec();
        Err(CliError::Run { program: program.to_string_lossy().into_owned(), source })
    }
}
