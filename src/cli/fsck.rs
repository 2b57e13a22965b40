//! `envserve fsck`: checks, and mends, the store of a daemon that does not run.

use bytesize::ByteSize;
use clap::Args;

use super::Exit;
use super::error::CliError;
use super::output::{self, Checked, Version};
use super::store::RootArguments;
use crate::store::{FsckOptions, Problem, StoreOptions};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    /// Take away what is found wrong: it then counts as absent, and is fetched or built again.
    #[arg(long)]
    repair: bool,

    /// Compute the digest of every blob, not only of small ones.
    #[arg(long)]
    verify_content: bool,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let store = arguments.root.open(StoreOptions::default())?;
    let options = FsckOptions { repair: arguments.repair, verify_content: arguments.verify_content };
    let mut problems = Vec::new();
    let mut report = |problem: &Problem| {
        if arguments.json {
            problems.push(problem.to_string());
        } else {
            // Told again, as a number, at the end.
            drop(output::print(format!("problem: {problem}").as_bytes()));
        }
    };
    let failed = |source| CliError::Store { action: "check", source };
    let checked = store.fsck(options, &mut report).map_err(failed)?;
    if arguments.json {
        let (blobs, bytes, repaired) = (checked.blobs, checked.bytes, checked.repaired);
        output::print_json(&Checked { version: Version, blobs, bytes, problems: &problems, repaired })?;
    } else {
        let (blobs, size) = (checked.blobs, ByteSize(checked.bytes));
        let (problems, repaired) = (checked.problems, checked.repaired);
        let line = format!("checked {blobs} blobs of {size}: {problems} problems, {repaired} repaired");
        output::print(line.as_bytes())?;
    }
    Ok(if checked.problems == checked.repaired { Exit::Done } else { Exit::Error })
}
