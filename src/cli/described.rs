//! The command line as others are told of it: without what is hidden, the verbs by which this program starts itself.

use clap::{Command, CommandFactory};

use super::Cli;
use super::headings::grouped;

/// Returns the command line, with the verbs and options that are for people.
pub(super) fn described() -> Command {
    shown(&grouped(Cli::command())).version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true)
}

/// Returns a command without what is hidden. Options that exclude each other do so no more: it is for telling, not for
/// parsing.
fn shown(command: &Command) -> Command {
    let options = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let options = options.map(|argument| argument.clone().hide_short_help(false));
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(shown);
    Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .subcommand_required(command.is_subcommand_required_set())
        .args(options)
        .subcommands(verbs)
}
