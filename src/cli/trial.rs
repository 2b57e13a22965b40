//! `envserve trial`: what `envserve doctor` starts to find out about containers. Not for users.

use clap::Args;

use super::error::CliError;
use super::{Exit, output};
use crate::host::Trial;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to try, as JSON.
    #[arg(value_parser = parse)]
    trial: Trial,
}

fn parse(text: &str) -> Result<Trial, serde_json::Error> {
    serde_json::from_str(text)
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let outcome = arguments.trial.run().map_err(|error| error.to_string());
    output::print(serde_json::json!(outcome).to_string().as_bytes())?;
    Ok(Exit::Done)
}
