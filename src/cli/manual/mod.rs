//! `envserve manual`: the manual pages, made of the command line itself and of what it does not say (`texts.rs`).

mod page;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};

use super::Exit;
use super::described::described;
use super::error::CliError;
use super::output;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The directory that the pages are written to: `man1` of one where `man` looks.
    directory: PathBuf,
}

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
    let path = directory.join(format!("{}.1", page::name(command)));
    let failed = |source| CliError::Path { path: path.clone(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    fs::write(&path, page::page(command).map_err(failed)?).map_err(failed)?;
    let mut paths = vec![path];
    for verb in command.get_subcommands() {
        paths.extend(write_all(verb, directory)?);
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_that_is_not_hidden_has_a_page_with_its_options() {
        let directory = tempfile::tempdir().expect("temporary");
        let mut whole = described();
        whole.build();
        let pages = write_all(&whole, directory.path()).expect("writable");
        let verbs = whole.get_subcommands().count();
        assert!(pages.len() > verbs && verbs > 20, "{pages:?}");
        let fetch = fs::read_to_string(directory.path().join("envserve-fetch.1")).expect("written");
        for part in
            ["SH OPTIONS", "SS \"Where it goes\"", "SH \"EXIT STATUS\"", "install", "ENVSERVE_SERVE", "SH FILES"]
        {
            assert!(fetch.contains(part), "{part}: {fetch}");
        }
        assert!(!fetch.contains("idle"), "what is hidden is not told");
        assert!(!directory.path().join("envserve-trial.1").exists());
    }

    #[test]
    fn what_texts_are_about_is_there() {
        let whole = described();
        for verb in texts::VERBS {
            assert!(whole.get_subcommands().any(|known| known.get_name() == verb.verb), "{}", verb.verb);
        }
    }
}
