//! Under which headings `--help` and the manual list the options of a verb.
//!
//! In one place, as a heading that clap is given for some options goes on to those after them.

use clap::Command;
use clap::builder::{Resettable, Str};

/// Headings, each with its options.
type Headings = &'static [(&'static str, &'static [&'static str])];

/// Of verbs that ask a server.
const CLIENT: Headings = &[
    ("Where it goes", &["root", "view", "store", "out-link", "install", "compression", "load"]),
    ("Server", &["serve", "serve-ca", "serve-cert", "serve-key", "serve-headers", "on-unavailable", "wait-seconds"]),
    ("Remote endpoint behind the server", &["remote-ca", "remote-cert", "remote-key", "remote-headers"]),
    (
        "Sources",
        &[
            "distdir",
            "fetch-absent",
            "sources",
            "backup-to-remote",
            "max-archive-entries",
            "max-archive-size",
            "max-archive-ratio",
        ],
    ),
    ("Readiness", &["ready-tcp", "ready-http", "ready-log", "ready-cmd", "timeout"]),
    ("Outcome", &["strict", "report", "pin", "keep"]),
    PROGRESS,
];

const PROGRESS: (&str, &[&str]) = ("Progress", &["quiet", "events"]);

/// Of verbs that are servers.
const SERVER: Headings = &[
    ("Store", &["max-size", "min-age-seconds", "lease-seconds"]),
    ("Sources", &["repository", "fetch", "max-archive-entries", "max-archive-size", "max-archive-ratio"]),
    (
        "Remote endpoint",
        &[
            "remote",
            "remote-cache",
            "remote-executor",
            "remote-id",
            "client-address",
            "dispatch",
            "entry-secret",
            "remote-ca",
            "remote-cert",
            "remote-key",
            "remote-headers",
        ],
    ),
    (
        "Execution on this host",
        &[
            "jobs",
            "queue",
            "action-timeout-seconds",
            "action-memory-bytes",
            "action-processes",
            "action-file-bytes",
            "action-outputs-bytes",
            "action-log-bytes",
            "allow-network",
            "sandbox",
            "sandbox-user",
            "first-user",
            "criu",
        ],
    ),
    (
        "Who may connect",
        &[
            "tls-cert",
            "tls-key",
            "tls-client-ca",
            "token-file",
            "anonymous",
            "allow-anonymous-writes",
            "checkpoint-token-file",
            "checkpoints-for-all",
        ],
    ),
    (
        "Nix",
        &["nix-evaluator", "nix-network", "nix-evaluation-seconds", "nix-secret-key", "nix-upload", "nix-trusted-key"],
    ),
    ("Images and checkpoints", &["image-worker", "checkpoint-worker", "registry-push"]),
];

/// Options of clients that few need: `-h` leaves them out, `--help` does not.
const RARE: &[&str] = &[
    "serve-ca",
    "serve-cert",
    "serve-key",
    "remote-ca",
    "remote-cert",
    "remote-key",
    "remote-headers",
    "max-archive-entries",
    "max-archive-size",
    "max-archive-ratio",
];

/// Puts the options of all verbs under their headings. What variables are set to is left out: it is not the same for
/// everybody, and nobody's business in a log.
pub(super) fn grouped(command: Command) -> Command {
    let (headings, of_client) = (headings(&command), has(&command, "serve"));
    let command = command.mut_args(|argument| {
        let is_of = |(_, options): &&(_, &[&str])| argument.get_long().is_some_and(|option| options.contains(&option));
        let heading = headings.iter().find(is_of).map(|(heading, _)| Str::from(*heading));
        let heading = Resettable::from(heading);
        let rare = of_client && argument.get_long().is_some_and(|option| RARE.contains(&option));
        argument.help_heading(heading).hide_env_values(true).hide_short_help(rare)
    });
    command.mut_subcommands(grouped)
}

fn headings(command: &Command) -> Headings {
    match (has(command, "serve"), has(command, "listen")) {
        (true, _) => CLIENT,
        (false, true) => SERVER,
        (false, false) => &[PROGRESS],
    }
}

fn has(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some(option))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// Returns what `envserve VERB... --help` prints.
    fn help(verbs: &[&str]) -> String {
        let mut command = grouped(Cli::command()).term_width(100);
        command.build();
        let verb = verbs
            .iter()
            .fold(&mut command, |command, verb| command.find_subcommand_mut(verb).expect("there is such a verb"));
        verb.render_long_help().to_string()
    }

    #[test]
    fn the_help_of_the_command_names_its_verbs() {
        insta::assert_snapshot!(help(&[]));
    }

    #[test]
    fn the_help_of_fetch_has_its_options_under_headings() {
        insta::assert_snapshot!(help(&["fetch"]));
    }

    #[test]
    fn the_summary_of_fetch_leaves_out_what_few_need() {
        let mut command = grouped(Cli::command()).term_width(100);
        command.build();
        let fetch = command.find_subcommand_mut("fetch").expect("there is such a verb");
        insta::assert_snapshot!(fetch.render_help().to_string());
    }

    #[test]
    fn every_option_with_a_heading_is_there() {
        let command = Cli::command();
        for (named, of) in [(CLIENT, "serve"), (SERVER, "listen")] {
            let verbs = command.get_subcommands().filter(|verb| has(verb, of));
            let known: Vec<&str> =
                verbs.flat_map(Command::get_arguments).filter_map(|known| known.get_long()).collect();
            for option in named.iter().flat_map(|(_, options)| *options) {
                assert!(known.contains(option), "{option}");
            }
        }
    }

    #[test]
    fn the_summary_of_every_verb_of_clients_is_one() {
        let mut command = grouped(Cli::command()).term_width(100);
        command.build();
        for verb in command.get_subcommands_mut().filter(|verb| has(verb, "serve")) {
            let help = verb.render_help().to_string();
            assert!(help.lines().count() < 80, "{} has a summary that is none:\n{help}", verb.get_name());
        }
    }
}
