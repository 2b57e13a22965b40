//! `envserve key`: what an environment is looked up by.

use clap::Args;

use super::Exit;
use super::arguments::SpecArguments;
use super::error::CliError;
use super::output::{self, KeyComponents, Version};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// Print one JSON object with the components of the key.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let display = arguments.spec.display();
    let request = arguments.spec.request(&display).await;
    display.clear();
    let request = request?;
    let parts = &request.parts;
    let line = if arguments.json {
        let components = KeyComponents {
            version: Version,
            key: parts.key(),
            repo_key: parts.description.digest().hash(),
            target_name: (&parts.module, &parts.name),
            effective_config: &parts.effective_config,
            properties: &request.properties,
            repositories: &parts.description,
        };
        format!("{:#}", output::value(&components))
    } else {
        parts.key().to_string()
    };
    output::print(line.as_bytes())?;
    Ok(Exit::Done)
}
