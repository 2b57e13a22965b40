//! The command line as others are told of it: without the verbs by which this program starts itself.

use clap::{Command, CommandFactory};

use super::Cli;
use super::headings::grouped;

/// Returns the command line, with the verbs that are for people.
pub(super) fn described() -> Command {
    let whole = grouped(Cli::command());
    let shown: Vec<Command> = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let about = whole.get_about().cloned().unwrap_or_default();
    let command = Command::new("envserve").about(about).version(env!("CARGO_PKG_VERSION"));
    command.subcommand_required(true).disable_help_subcommand(true).subcommands(shown)
}
