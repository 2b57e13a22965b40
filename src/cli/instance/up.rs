//! `envserve up`: instances of an image.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use rustix::process::getppid;
use serde_json::json;

use super::line;
use crate::cli::Exit;
use crate::cli::arguments::{SpecArguments, Worked};
use crate::cli::error::CliError;
use crate::cli::output::{self, Display, note};
use crate::cli::run::variable;
use crate::client::{Client, Placement, Request};
use crate::container::{ContainerOptions, Network};
use crate::instance::{Order, STATE_VERSION, up};
use crate::oci::ImageConfig;
use crate::spec::Ready;

/// Most instances of one call, and most ports of one instance.
const MAX_INSTANCES: u16 = 1000;
const MAX_PORTS: usize = 256;

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

/// How it is known that the service is ready; without any of it, it is when its command runs.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct ReadyArguments {
    /// It is ready when this port accepts a connection.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ready_tcp: Option<u16>,

    /// It is ready when this is answered with success.
    #[arg(long, value_name = "PORT[/PATH]", value_parser = http)]
    ready_http: Option<Ready>,

    /// It is ready when it has said this.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    ready_log: Option<String>,

    /// It is ready when this succeeds in it, run by its `/bin/sh`.
    #[arg(long, value_name = "COMMAND", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    ready_cmd: Option<String>,
}

impl ReadyArguments {
    fn ready(self) -> Option<Ready> {
        let command = |text| Ready::Cmd(vec!["/bin/sh".to_owned(), "-c".to_owned(), text]);
        let or = self.ready_log.map(Ready::Log).or(self.ready_cmd.map(command));
        self.ready_tcp.map(Ready::Tcp).or(self.ready_http).or(or)
    }
}

/// Reads a port and a path.
fn http(text: &str) -> Result<Ready, String> {
    let (port, path) = text.find('/').map_or((text, "/"), |at| text.split_at(at));
    let port = port.parse().ok().filter(|port| *port > 0).ok_or("PORT or PORT/PATH is expected")?;
    if path.contains(|c: char| c.is_control() || c == ' ') {
        return Err("a path without spaces is expected".to_owned());
    }
    Ok(Ready::Http { port, path: path.to_owned() })
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
        options: ContainerOptions { command, environment, directory: None, binds: Vec::new(), network: Network::None },
        ports: all_ports(&root.config()?, &ports)?,
        ready: ready.ready(),
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

/// Returns the ports that are passed on.
fn all_ports(image: &ImageConfig, given: &[u16]) -> Result<Vec<u16>, CliError> {
    let mut ports: BTreeSet<u16> = given.iter().copied().collect();
    for exposed in &image.execution.exposed_ports {
        let (range, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
        if protocol != "tcp" {
            note(&format!("port `{exposed}` is not passed on: only those of TCP are"));
            continue;
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            ports.extend((first.max(1)..=last).take(MAX_PORTS + 1));
        }
    }
    if ports.len() > MAX_PORTS {
        return Err(CliError::TooManyPorts { ports: ports.len(), limit: MAX_PORTS });
    }
    Ok(ports.into_iter().collect())
}
