//! `envserve resolve`: the spec, fixed in content.

use clap::Args;

use super::Exit;
use super::arguments::SpecArguments;
use super::error::CliError;
use super::output::{self, Display};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let display = Display::new(false);
    let request = arguments.spec.request(&display).await;
    display.clear();
    let request = request?;
    output::print(format!("{:#}", request.resolved()).as_bytes())?;
    Ok(Exit::Done)
}
