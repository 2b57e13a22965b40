//! `envserve manual`: the manual pages, made of the command line itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, Args, Command};
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use super::Exit;
use super::described::described;
use super::error::CliError;
use super::output;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The directory that the pages are written to: `man1` of one where `man` looks.
    directory: PathBuf,
}

/// When this version was made.
const DATE: &str = "2026-11-28";

/// What exit codes mean; docs/errors.md has more of each.
const CODES: [(Exit, &str); 11] = [
    (Exit::Done, "Done, or a hit."),
    (Exit::Error, "An error that has no code of its own."),
    (Exit::Usage, "The command line is wrong."),
    (Exit::Miss, "The environment would have to be built."),
    (Exit::Unavailable, "The server, or the endpoint behind it, cannot be reached."),
    (Exit::Lost, "Blobs of the answer were lost again and again."),
    (Exit::NotContentFixed, "The spec is not fixed in content."),
    (Exit::Denied, "The server does not allow it."),
    (Exit::HostCannot, "This host cannot do it; what it lacks is said."),
    (Exit::BuildFailed, "The environment failed to build."),
    (Exit::Deadline, "The time that was given was not enough."),
];

/// Variables that matter to many verbs.
const VARIABLES: [(&str, &str); 4] = [
    (
        "XDG_CACHE_HOME, HOME",
        "Where everything is kept unless --root names a place: envserve below the first, or below .cache of the second.",
    ),
    ("ENVSERVE_LOG", "Which records of the log go to stderr, as tracing-subscriber writes filters."),
    ("CI", "If set, progress is told in whole lines even on a terminal."),
    ("NO_COLOR", "If set, the log has no colours."),
];

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let mut whole = described();
    whole.build();
    for path in write_all(&whole, &arguments.directory)? {
        output::print(path.as_os_str().as_encoded_bytes())?;
    }
    Ok(Exit::Done)
}

/// Writes the page of a command and those of its verbs; returns where they are.
fn write_all(command: &Command, directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let path = directory.join(format!("{}.1", name(command)));
    let failed = |source| CliError::Path { path: path.clone(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    fs::write(&path, page(command).map_err(failed)?).map_err(failed)?;
    let mut paths = vec![path];
    for verb in command.get_subcommands() {
        paths.extend(write_all(verb, directory)?);
    }
    Ok(paths)
}

/// Returns what a command is called as a whole: `envserve-pins-list`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let version = format!("envserve {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(version).manual("envserve").date(DATE);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::new();
    list(&mut more, "EXIT STATUS", CODES.iter().map(|(exit, meaning)| (exit.code().to_string(), *meaning)));
    list(&mut more, "ENVIRONMENT", variables(command).into_iter());
    more.control("SH", ["SEE ALSO"]).text(related(command));
    more.to_writer(&mut page)?;
    Ok(without_idle_breaks(&page))
}

/// Leaves out breaks beside an empty line, which break nothing: checkers of manual pages find fault with them.
fn without_idle_breaks(page: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = page.split(|byte| *byte == b'\n').collect();
    let is_space = |at: Option<usize>| at.and_then(|at| lines.get(at)).is_some_and(|line| *line == b".sp");
    let is_idle = |at: usize| lines[at] == b".br" && (is_space(at.checked_sub(1)) || is_space(Some(at + 1)));
    let kept: Vec<&[u8]> = (0..lines.len()).filter(|at| !is_idle(*at)).map(|at| lines[at]).collect();
    kept.join(&b'\n')
}

/// Returns the variables that matter to a command, those that stand for an option first.
fn variables(command: &Command) -> Vec<(String, String)> {
    let of_option = |argument: &Arg| {
        let (name, option) = (argument.get_env()?.to_str()?, argument.get_long()?);
        Some((name.to_owned(), format!("Stands for --{option}.")))
    };
    let options = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(of_option);
    options.chain(VARIABLES.iter().map(|(name, meaning)| ((*name).to_owned(), (*meaning).to_owned()))).collect()
}

fn list(roff: &mut Roff, title: &str, entries: impl Iterator<Item = (String, impl Into<String>)>) {
    roff.control("SH", [title]);
    for (term, meaning) in entries {
        roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
    }
}

/// Returns the pages that one leads to: those of its verbs, else that of the whole.
fn related(command: &Command) -> Vec<roff::Inline> {
    let verbs: Vec<&str> = command.get_subcommands().map(name).collect();
    let pages = if verbs.is_empty() { vec!["envserve"] } else { verbs };
    let page = |(number, page): (usize, &&str)| [roman(if number == 0 { "" } else { ", " }), bold(*page), roman("(1)")];
    pages.iter().enumerate().flat_map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_documentation() {
        let text = include_str!("../../docs/errors.md");
        let row = |line: &str| line.strip_prefix("| ")?.split_once(" |")?.0.parse::<u8>().ok();
        let documented: Vec<u8> = text.lines().filter_map(row).collect();
        let told: Vec<u8> = CODES.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(documented, told);
    }

    #[test]
    fn every_verb_that_is_not_hidden_has_a_page_with_its_options() {
        let directory = tempfile::tempdir().expect("temporary");
        let mut whole = described();
        whole.build();
        let pages = write_all(&whole, directory.path()).expect("writable");
        let verbs = whole.get_subcommands().count();
        assert!(pages.len() > verbs && verbs > 20, "{pages:?}");
        let fetch = fs::read_to_string(directory.path().join("envserve-fetch.1")).expect("written");
        for part in ["SH OPTIONS", "EXIT STATUS", "install", "ENVSERVE_SERVE"] {
            assert!(fetch.contains(part), "{part}");
        }
        assert!(!directory.path().join("envserve-trial.1").exists());
    }
}
