//! `envserve env`: the variables of an environment, as a shell or a program reads them.

use std::ffi::OsStr;

use clap::Args;

use super::Exit;
use super::arguments::SpecArguments;
use super::error::CliError;
use super::output::{self, Variables, Version};
use super::placement::StoreArguments;
use crate::client::{Entered, entered};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    #[command(flatten)]
    store: StoreArguments,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let fetched = Box::pin(arguments.spec.fetch(&arguments.store)).await?;
    let entered = entered(&fetched)?;
    if fetched.stored.as_ref().is_some_and(|stored| !stored.root.is_of_host()) {
        output::note("these variables lead to /nix/store, which has the environment only within `envserve shell`");
    }
    let text = if arguments.json {
        let path: Vec<_> = entered.path.iter().map(|path| path.to_string_lossy()).collect();
        output::value(&Variables { version: Version, path, vars: &entered.variables }).to_string()
    } else {
        shell_text(&entered)
    };
    output::print(text.trim_end().as_bytes())?;
    Ok(Exit::Done)
}

fn shell_text(entered: &Entered) -> String {
    let mut text = String::new();
    if !entered.path.is_empty() {
        let own = entered.full_path(None);
        text.push_str(&format!("export PATH={}${{PATH:+:$PATH}}\n", quoted(&own)));
    }
    // A shell has no others.
    for (name, value) in entered.variables.iter().filter(|(name, _)| is_identifier(name)) {
        text.push_str(&format!("export {name}={}\n", quoted(OsStr::new(value))));
    }
    text
}

fn is_identifier(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_letter) && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// Returns a word that a POSIX shell reads as the text given.
fn quoted(text: &OsStr) -> String {
    format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_shell_takes_are_told_to_one() {
        let names = ["A", "_a1", "1a", "", "a-b", "a;touch x", "é", "a\nb"];
        assert_eq!(names.map(is_identifier), [true, true, false, false, false, false, false, false]);
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let text = "a b'c\"$HOME`x`\\";
        let script = format!("printf %s {}", quoted(OsStr::new(text)));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
        assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), text);
    }
}
