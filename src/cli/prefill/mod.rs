//! `envserve prefill`: the central job that has a server build environments before anybody needs them.
//!
//! Specs → items → requests → the plan of the union → work, at most so many at a time → report. What fails is noted
//! with its item, and stands in nobody's way.

mod error;
mod files;
mod item;
mod items;
mod junit;
mod matrix;
mod paths;
mod pin;
mod report;
mod summary;
mod work;

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::client::ClientArguments;
use super::error::CliError;
use super::{Exit, output, unless_signalled};
use crate::client::{Client, ClientOptions, Directories, OnUnavailable, PREFILL_PRIORITY};
use crate::spec::{Config, PinName, Target};
use crate::store::blocking;

pub(super) use error::PrefillError;

use files::Files;
use matrix::Axis;
pub(super) use report::Report;
use work::{Patience, Pin, Prefill};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Spec files, and directories of them: their `*.json`. `-` reads a spec from stdin.
    #[arg(value_name = "SPEC", required_unless_present = "list")]
    specs: Vec<PathBuf>,

    /// A file with the paths of specs and directories, one a line, relative to it; `-` reads it from stdin.
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,

    /// Fill this environment instead of the one that each spec asks for. May be given more than once.
    #[arg(short, long, num_args = 3, value_names = ["REPOSITORY", "MODULE", "NAME"], action = clap::ArgAction::Append)]
    environment: Vec<String>,

    /// Fill all environments of the environments file in which the one of each spec is.
    #[arg(long, conflicts_with = "environment")]
    all: bool,

    /// Set a variable of the configuration: `K=TEXT`, or `K:=JSON`.
    #[arg(short = 'c', long = "config", value_name = "K=V")]
    config: Vec<String>,

    /// Fill each environment once for each of these values, given more than once for each of their combinations:
    /// `K=TEXT,TEXT…`, or `K:=[JSON, JSON…]`.
    #[arg(long, value_name = "K=V,V")]
    matrix: Vec<Axis>,

    /// Have the server know all roots too, with their content in its CAS, so that clients need no sources.
    #[arg(long)]
    sources: bool,

    /// How many environments are asked for at a time.
    #[arg(long, value_name = "N", default_value = "16")]
    jobs: NonZeroUsize,

    /// End with exit code 1 when anything failed.
    #[arg(long)]
    strict: bool,

    /// Write a report: JUnit if the name ends in `.xml`, else JSON. May be given more than once.
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,

    /// Have the server keep what is filled, under this name.
    #[arg(long, value_name = "NAME", requires = "keep")]
    pin: Option<PinName>,

    /// For how long, from now on: as in `12h`, `14d`, `2w`.
    #[arg(long, value_name = "DURATION", value_parser = pin::keep, requires = "pin")]
    keep: Option<Duration>,

    /// Print one JSON object: the report.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    client: ClientArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    // Chosen first: errors are told as progress is.
    let display = arguments.client.progress().display();
    let options = ClientOptions { priority: PREFILL_PRIORITY, ..arguments.client.options()? };
    let patience = arguments.patience()?;
    let configs = arguments.configs()?;
    let environments = arguments.environments()?;
    let Arguments { specs, list, all, sources, jobs, strict, pin, keep, json, client: given, .. } = arguments;
    let found = blocking(move || paths::find(&specs, &list)).await?;
    let files = Files::make(&arguments.report)?;
    let report = RefCell::new(Report::new(options.serve.as_ref().map(ToString::to_string)));
    let client = Client::new(options);
    let prefill = Prefill {
        client: &client,
        patience,
        report: &report,
        progress: given.progress(),
        gave_up: Cell::new(false),
        directories: Directories::default(),
        jobs: jobs.get(),
        pin: pin.zip(keep).map(|(name, keep)| Pin { name, keep }),
        sources,
    };
    let wanted = items::Wanted { all, environments, configs };
    let ended = Box::pin(unless_signalled(prefill.run(found, wanted, &display))).await;
    display.clear();
    let ended = ended?;
    let mut report = report.into_inner();
    report.interrupted = ended.is_break();
    report.count();
    files.write(&report)?;
    summary::failures(&report);
    let text = if json { files::json(&report) } else { summary::text(&report) };
    output::print(text.trim_end().as_bytes())?;
    Ok(match ended {
        ControlFlow::Continue(()) => report.exit(strict),
        ControlFlow::Break(exit) => exit,
    })
}

impl Arguments {
    /// Returns what to do while nobody can be reached.
    fn patience(&self) -> Result<Patience, CliError> {
        if self.sources && !self.client.has_server() {
            return Err(CliError::NoServer);
        }
        match self.client.patience() {
            (OnUnavailable::Wait, longest) => Ok(Patience::Wait(longest)),
            (OnUnavailable::Local, _) if self.client.has_server() => Err(PrefillError::Local.into()),
            (OnUnavailable::Fail | OnUnavailable::Local, _) => Ok(Patience::None),
        }
    }

    /// Returns what is set in each of the configurations.
    fn configs(&self) -> Result<Vec<Config>, CliError> {
        let mut set = Config::default();
        for assignment in &self.config {
            set = set.with(&Config::assignment(assignment)?);
        }
        Ok(matrix::product(&set, &self.matrix)?)
    }

    fn environments(&self) -> Result<Vec<Target>, CliError> {
        let target = |parts: &[String]| Target::new(&parts[0], &parts[1], &parts[2]);
        Ok(self.environment.chunks_exact(3).map(target).collect::<Result<_, _>>()?)
    }
}
