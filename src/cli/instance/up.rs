//! `envserve up`: instances of an image.

use std::path::PathBuf;

use clap::Args;
use rustix::process::getppid;
use serde_json::json;

use super::line;
use super::ports::all_ports;
use super::ready::ReadyArguments;
use crate::cli::Exit;
use crate::cli::arguments::{SpecArguments, Worked};
use crate::cli::error::CliError;
use crate::cli::output::{self, Display};
use crate::cli::run::variable;
use crate::client::{Client, Placement, Request};
use crate::container::{ContainerOptions, Network};
use crate::instance::{Order, STATE_VERSION, up};

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

    /// Set a variable of the command; without VALUE, as it is here.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    variables: Vec<String>,

    /// Make this port reachable too, besides those that the image exposes.
    #[arg(long = "port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,

    #[command(flatten)]
    ready: ReadyArguments,

    /// Seconds that an instance may take until it is ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// The command; without one, the one that the image names.
    #[arg(last = true)]
    command: Vec<String>,
}

pub(in crate::cli) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { spec, count, owner_pid, variables, ports, ready, timeout, json, command } = arguments;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    let owner = owner_pid.or(parent).filter(|pid| *pid > 1);
    let (display, placement) = (Display::new(false), Placement::default());
    let fetch = async |client: &Client, request: &Request| client.fetch(request, &placement, &display).await;
    let worked = spec.work(&display, fetch).await;
    display.clear();
    let Worked { client, request, outcome: fetched } = worked?;
    let root = fetched.root_file_system().ok_or(CliError::NoImage { kind: fetched.descriptor.kind })?;
    let environment = variables.iter().filter_map(|text| variable(text)).collect();
    let order = Order {
        client: client.root().to_owned(),
        environment: request.parts.name.clone(),
        key: request.parts.key().to_string(),
        root: root.directory(),
        config: root.config_file(),
        layers: Vec::new(),
        images: None,
        form: None,
        options: ContainerOptions { command, environment, directory: None, binds: Vec::new(), network: Network::None },
        ports: all_ports(&root.config()?, &ports)?,
        ready: ready.ready(),
        warmup: Vec::new(),
        restored: None,
        timeout_seconds: timeout,
        owner,
    };
    let program = std::env::current_exe();
    let program: PathBuf = program.map_err(|source| CliError::Path { path: "envserve".into(), source })?;
    let instances = up(&program, &order, count.into()).await?;
    if json {
        output::print(json!({"version": STATE_VERSION, "instances": instances}).to_string().as_bytes())?;
    } else {
        instances.iter().try_for_each(|instance| output::print(line(instance).as_bytes()))?;
    }
    Ok(Exit::Done)
}
