//! `envserve logs`: what an instance has said since it was started.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::RootArguments;
use crate::cli::Exit;
use crate::cli::error::CliError;

/// Between two looks for more.
const TICK: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    /// The instance.
    id: String,

    /// Go on until the instance is gone.
    #[arg(short, long)]
    follow: bool,
}

/// Prints it.
pub(in crate::cli) fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { root, id, follow } = arguments;
    let instances = root.instances()?;
    let [older, newer] = instances.output(&id)?;
    if let Some(mut file) = open(&older)? {
        print(&mut file)?;
    }
    let mut file = open(&newer)?;
    loop {
        // Looked at before the rest is read, which is not added to afterwards.
        let (there, now) = (instances.is_there(&id), open(&newer)?);
        if let Some(file) = &mut file {
            print(file)?;
        }
        if !follow || !there || now.is_none() {
            return Ok(Exit::Done);
        }
        if number(file.as_ref()) == number(now.as_ref()) {
            std::thread::sleep(TICK);
        } else {
            file = now;
        }
    }
}

fn open(path: &Path) -> Result<Option<File>, CliError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CliError::ReadFile { path: path.to_owned(), source }),
    }
}

/// Returns what tells a file from the one that takes its place.
fn number(file: Option<&File>) -> Option<u64> {
    Some(file?.metadata().ok()?.ino())
}

fn print(file: &mut File) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    io::copy(file, &mut stdout).and_then(|_| stdout.flush()).map_err(CliError::Stdout)
}
