//! A small build tool: it has an environment built, and hands it to a remote action, or to a command on this host.
//!
//! What it does is what `envserve plan`, `envserve fetch --absent` and `envserve shell` do, by `envserve::client`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use envserve::client::{
    Building, Client, ClientError, ClientOptions, ErrorKind, Event, LocatedSpec, Placement, PlannedState, Request,
    entered, install,
};

const USAGE: &str = "usage: build-tool SPEC (--remote | --into DIR | -- COMMAND...)";

/// What is done with the environment.
enum Use {
    /// It is named to a remote action.
    Remote,
    /// It is copied to a directory.
    Into(PathBuf),
    /// A command runs in it.
    Run(Vec<OsString>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some((spec, wanted)) = arguments(std::env::args_os().skip(1).collect()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match build(&spec, wanted).await {
        Ok(code) => code,
        Err(error) => {
            show(&error);
            // Decided on the kind, never on text.
            ExitCode::from(match error.kind() {
                ErrorKind::Unavailable => 75,
                ErrorKind::BuildFailed => 3,
                _ => 1,
            })
        }
    }
}

fn arguments(words: Vec<OsString>) -> Option<(PathBuf, Use)> {
    let mut words = words.into_iter();
    let spec = words.next()?;
    let wanted = match words.next()?.to_str()? {
        "--remote" => Use::Remote,
        "--into" => Use::Into(words.next()?.into()),
        "--" => Use::Run(words.collect()),
        _ => return None,
    };
    Some((spec.into(), wanted))
}

async fn build(spec: &Path, wanted: Use) -> Result<ExitCode, ClientError> {
    let client = Client::new(ClientOptions::of_environment()?);
    let progress = Progress::default();
    let events = |event: Event| progress.say(&event);
    let LocatedSpec { spec, base } = LocatedSpec::read(spec).await?;
    let request = client.request(spec, &base, Building::Allowed, &events).await?;
    let placement = Placement::default();

    let plan = client.plan(&request, &placement, &events).await?;
    for planned in &plan.environments {
        match planned.state {
            PlannedState::Build => eprintln!("build-tool: `{}` has to be built", planned.environment),
            PlannedState::Hit => eprintln!("build-tool: `{}` is built", planned.environment),
            PlannedState::Here => eprintln!("build-tool: `{}` is here", planned.environment),
        }
    }

    if let Use::Remote = wanted {
        return hand_over(&client, &request, &events).await;
    }
    let fetched = client.fetch(&request, &placement, &events).await?;
    eprintln!("build-tool: {} bytes were downloaded", fetched.downloaded);
    match wanted {
        Use::Remote => {}
        Use::Into(directory) => {
            install(&fetched.directory, &directory)?;
            println!("{}", directory.display());
        }
        Use::Run(words) => return Ok(run(&entered(&fetched)?, &words)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what an action has to say so that it has the environment: nothing is downloaded for that.
async fn hand_over(
    client: &Client,
    request: &Request,
    events: &(impl Fn(Event) + Send + Sync),
) -> Result<ExitCode, ClientError> {
    let descriptor = client.fetch_absent(request, events).await?;
    match client.container_image(request, &descriptor) {
        // The action runs in the image.
        Some((_, property)) => println!("platform container-image={property}"),
        // The Directory is put into the input root of the action, as a node of this digest.
        None => println!("input {} {}", descriptor.root.function(), descriptor.root),
    }
    for path in &descriptor.provides.path {
        println!("path {path}");
    }
    Ok(ExitCode::SUCCESS)
}

fn run(entered: &envserve::client::Entered, words: &[OsString]) -> ExitCode {
    let [program, arguments @ ..] = words else { return ExitCode::SUCCESS };
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", entered.full_path(std::env::var_os("PATH"))).envs(&entered.variables);
    match command.status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("build-tool: cannot run `{}`: {error}", program.to_string_lossy());
            ExitCode::from(127)
        }
    }
}

/// Says each step once.
#[derive(Default)]
struct Progress {
    last: Mutex<String>,
}

impl Progress {
    fn say(&self, event: &Event) {
        let step = match event {
            Event::Build { environment, phase, actions_done, actions_total, .. } => {
                format!("{environment}: {phase}, {actions_done} of {actions_total} actions")
            }
            Event::Upload { repository, .. } => format!("the root of `{repository}` is sent to the server"),
            Event::Download { done, total } if done == total => format!("{total} bytes are here"),
            Event::Waiting { reason } => format!("waiting: {reason}"),
            // Others may be added.
            _ => return,
        };
        let Ok(mut last) = self.last.lock() else { return };
        if *last != step {
            eprintln!("build-tool: {step}");
            *last = step;
        }
    }
}

fn show(error: &ClientError) {
    eprintln!("build-tool: {error}");
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.for_each(|cause| eprintln!("  because {cause}"));
    if let ClientError::Failed(failed) = error {
        failed.log.lines().for_each(|line| eprintln!("  | {line}"));
    }
    if let Some(hint) = error.hint() {
        eprintln!("  {hint}");
    }
}
