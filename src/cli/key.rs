//! `envserve key`: what an environment is looked up by.

use clap::Args;
use serde_json::json;

use super::Exit;
use super::arguments::SpecArguments;
use super::error::CliError;
use super::output;

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
        let object = json!({
            "version": 1,
            "key": parts.key().to_string(),
            "repo_key": parts.description.digest().hash(),
            "target_name": [parts.module.to_string(), parts.name],
            "effective_config": parts.effective_config,
            "properties": request.properties,
            "repositories": parts.description,
        });
        format!("{object:#}")
    } else {
        parts.key().to_string()
    };
    output::print(line.as_bytes())?;
    Ok(Exit::Done)
}
