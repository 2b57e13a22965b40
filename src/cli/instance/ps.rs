//! `envserve ps`: the instances that are there.

use clap::Args;

use super::{RootArguments, line};
use crate::cli::Exit;
use crate::cli::error::CliError;
use crate::cli::output::{self, Instances, Version};
use crate::instance::{Instance, Status};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { root, json } = arguments;
    let instances = root.instances()?.list()?;
    if json {
        output::print_json(&Instances { version: Version, instances: &instances })?;
    } else {
        instances.iter().try_for_each(|instance| output::print(described(instance).as_bytes()))?;
    }
    Ok(Exit::Done)
}

fn described(instance: &Instance) -> String {
    let status = match instance.status {
        Status::Starting => "starting".to_owned(),
        Status::Running => "running".to_owned(),
        Status::Ended(code) => format!("ended({code})"),
    };
    let owner = instance.owner.map_or("-".to_owned(), |owner| owner.to_string());
    format!("{} environment={} status={status} owner={owner}", line(instance), instance.environment)
}
