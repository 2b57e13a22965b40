//! `envserve resolve`: the spec, fixed in content.

use clap::Args;

use super::Exit;
use super::arguments::{SpecArguments, Worked};
use super::error::CliError;
use super::output;
use crate::client::{Client, Request};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// For others, who have the same server and none of the sources: say on stderr which roots it does not know.
    #[arg(long)]
    absent: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let display = arguments.spec.display();
    let ask = arguments.absent && arguments.spec.has_server();
    let look = async |client: &Client, request: &Request| {
        if ask { client.unknown_roots(request).await } else { Ok(Vec::new()) }
    };
    let worked = arguments.spec.work(&display, look).await;
    display.clear();
    let Worked { request, outcome: unknown, .. } = worked?;
    for (repository, tree) in unknown {
        output::note(&format!(
            "the server does not know the root of `{repository}` (`{tree}`) yet: others can only be given what it has \
             built; `envserve fetch --sources --backup-to-remote` lets it know them all"
        ));
    }
    output::print(format!("{:#}", request.resolved()).as_bytes())?;
    Ok(Exit::Done)
}
