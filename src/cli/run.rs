//! `envserve run`: a command in an image, on this host.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::absolute::absolute;
use super::arguments::{SpecArguments, Worked};
use super::error::CliError;
use crate::client::{self, Client, Placement, Request, RootFileSystem};
use crate::container::{Bind, ContainerOptions, Network};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// Set a variable of the command; without VALUE, as it is here.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    variables: Vec<String>,

    /// Show a file or directory of this host in the image.
    #[arg(long = "bind", value_name = "SOURCE:DESTINATION[:ro]")]
    binds: Vec<String>,

    /// Start the command in this directory of the image.
    #[arg(short = 'w', long = "directory", value_name = "DIR")]
    directory: Option<String>,

    /// Whom the command can speak to.
    #[arg(long, value_enum, default_value_t)]
    network: Network,

    /// The command; without one, the one that the image names.
    #[arg(last = true)]
    command: Vec<String>,
}

/// A command, and the root file system that it is to be run in.
pub(super) struct Prepared {
    root: RootFileSystem,
    client: PathBuf,
    options: ContainerOptions,
}

/// Gets the image.
pub(super) async fn prepare(arguments: Arguments) -> Result<Prepared, CliError> {
    let Arguments { spec, variables, binds, directory, network, command } = arguments;
    // Chosen first: errors are told as progress is.
    let (display, placement) = (spec.display(), Placement::default());
    let environment = variables.iter().filter_map(|text| variable(text)).collect();
    let binds = binds.iter().map(|text| bind(text)).collect::<Result<_, _>>()?;
    let options = ContainerOptions { command, environment, directory, binds, network, limits: None };
    let fetch = async |client: &Client, request: &Request| client.fetch(request, &placement, &display).await;
    let worked = spec.work(&display, fetch).await;
    display.clear();
    let Worked { client, outcome: fetched, .. } = worked?;
    let root = fetched.root_file_system().ok_or(CliError::NoImage { kind: fetched.descriptor.kind })?;
    Ok(Prepared { root, client: client.root().to_owned(), options })
}

impl Prepared {
    /// Runs the command and ends as it does.
    pub(super) fn run(self) -> Result<Exit, CliError> {
        Ok(Exit::Command(client::run(&self.root, &self.client, &self.options)?))
    }
}

/// Reads a variable; one that is named alone and is not set here is none.
pub(super) fn variable(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(text).ok().map(|value| (text.to_owned(), value)),
    }
}

fn bind(text: &str) -> Result<Bind, CliError> {
    let wrong = || CliError::Bind { text: text.to_owned() };
    let (rest, read_only) = text.strip_suffix(":ro").map_or((text, false), |rest| (rest, true));
    let (source, destination) = rest.rsplit_once(':').ok_or_else(wrong)?;
    if source.is_empty() || !destination.starts_with('/') {
        return Err(wrong());
    }
    let source = absolute(Path::new(source))?;
    let source = source.canonicalize().map_err(|error| CliError::Path { path: source, source: error })?;
    Ok(Bind { source, destination: destination.to_owned(), read_only })
}
