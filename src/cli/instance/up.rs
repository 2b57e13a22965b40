//! `envserve up`: instances of an image, or of a checkpoint.

use std::path::PathBuf;

use clap::Args;
use rustix::process::getppid;

use super::copies::{Wanted, start_copies};
use super::line;
use super::ready::ReadyArguments;
use crate::cli::Exit;
use crate::cli::arguments::{SpecArguments, Worked};
use crate::cli::error::CliError;
use crate::cli::output::{self, Instances, Version};
use crate::cli::run::variable;
use crate::client::{Client, Placement, Request, Start};
use crate::spec::FormName;

/// Most instances of one call.
const MAX_INSTANCES: u16 = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// How many instances.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=MAX_INSTANCES as i64))]
    count: u16,

    /// The process to which the instances belong, with which they go: by default the parent of this one. With 0 or 1
    /// they stay until `envserve down`.
    #[arg(long, value_name = "PID")]
    owner_pid: Option<u32>,

    /// Set a variable of the command; without VALUE, as it is here. What is woken up from memory keeps those that it
    /// had; the command `restored` of a checkpoint, and `envserve exec`, have it in any case.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    variables: Vec<String>,

    /// Make this port reachable too, besides those that the image exposes.
    #[arg(long = "port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,

    /// Start a checkpoint from this form, and from no other; by default from the fastest that this host can.
    #[arg(long, value_enum)]
    form: Option<FormName>,

    #[command(flatten)]
    ready: ReadyArguments,

    /// Seconds that an instance may take until it is ready [default: what the checkpoint says, or 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// The command; without one, the one that the image names.
    #[arg(last = true)]
    command: Vec<String>,
}

pub(in crate::cli) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { spec, count, owner_pid, variables, ports, form, ready, timeout, json, command } = arguments;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    let owner = owner_pid.or(parent).filter(|pid| *pid > 1);
    let display = spec.display();
    let placement = Placement { start: form.map_or(Start::Fastest, Start::In), ..Placement::default() };
    let fetch = async |client: &Client, request: &Request| client.fetch(request, &placement, &display).await;
    let worked = spec.work(&display, fetch).await;
    display.clear();
    let Worked { client, request, outcome: fetched } = worked?;
    let program = std::env::current_exe();
    let program: PathBuf = program.map_err(|source| CliError::Path { path: "envserve".into(), source })?;
    let environment = variables.iter().filter_map(|text| variable(text)).collect();
    let wanted = Wanted { client: &client, request: &request, program, count, owner, environment, ports, timeout };
    let instances = match (fetched.checkpoint.clone(), fetched.root_file_system()) {
        (Some(_), _) if ready.is_given() => return Err(CliError::OfCheckpoint { given: "a probe" }),
        (Some(_), _) if !command.is_empty() => return Err(CliError::OfCheckpoint { given: "a command" }),
        (Some(prepared), _) => start_copies(&wanted, prepared, form, &display).await?,
        (None, _) if form.is_some() => return Err(CliError::NoForms { kind: fetched.descriptor.kind }),
        (None, Some(root)) => {
            let mut order = wanted.order(&root.directory(), &root.config_file())?;
            (order.ready, order.options.command) = (ready.ready(), command);
            wanted.start(&order).await?
        }
        (None, None) => return Err(CliError::NoImage { kind: fetched.descriptor.kind }),
    };
    if json {
        output::print_json(&Instances { version: Version, instances: &instances })?;
    } else {
        instances.iter().try_for_each(|instance| output::print(line(instance).as_bytes()))?;
    }
    Ok(Exit::Done)
}
