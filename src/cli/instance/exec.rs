//! `envserve exec`: a command in an instance.

use std::io::{IsTerminal, stdin, stdout};

use clap::Args;

use super::RootArguments;
use crate::cli::Exit;
use crate::cli::error::CliError;
use crate::cli::run::variable;
use crate::instance::Execution;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    /// The instance.
    id: String,

    /// Give the command a terminal, which it has anyhow when stdin and stdout are one.
    #[arg(short, long)]
    tty: bool,

    /// Give the command stdin, which it always has.
    #[arg(short, long)]
    interactive: bool,

    /// Set a variable of the command; without VALUE, as it is here.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    variables: Vec<String>,

    /// Start the command in this directory of the instance.
    #[arg(short = 'w', long = "directory", value_name = "DIR")]
    directory: Option<String>,

    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command and ends as it does.
pub(in crate::cli) fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { root, id, tty, interactive: _, variables, directory, command } = arguments;
    let terminal = tty || (stdin().is_terminal() && stdout().is_terminal());
    let environment = variables.iter().filter_map(|text| variable(text)).collect();
    let execution = Execution { command, environment, directory, terminal };
    Ok(Exit::Command(root.instances()?.execute(&id, &execution)?))
}
