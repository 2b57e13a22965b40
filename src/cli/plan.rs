//! `envserve plan`: what fetching an environment would build and move.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use indicatif::{BinaryBytes, HumanDuration};

use super::Exit;
use super::arguments::{SpecArguments, Worked};
use super::error::CliError;
use super::output::{self, Plan, Planned, UnknownRoot, Version};
use super::placement::StoreArguments;
use crate::client::{Client, FetchPlan, Placement, PlannedBuild, PlannedState, Request, Start, View};
use crate::spec::GitId;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// The form in which the environment is wanted.
    #[arg(long, value_enum, default_value_t = View::Dir)]
    view: View,

    #[command(flatten)]
    store: StoreArguments,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { spec, view, store, json } = arguments;
    let display = spec.display();
    // A checkpoint is for being started.
    let placement = Placement { start: Start::Fastest, ..store.placement(view)? };
    let plan = async |client: &Client, request: &Request| client.plan(request, &placement, &display).await;
    let worked = spec.look(&display, plan).await;
    display.clear();
    let Worked { request, outcome: plan, .. } = worked?;
    if json {
        output::print_json(&object(&request, &plan))?;
    } else {
        output::print(text(&plan).trim_end().as_bytes())?;
    }
    Ok(Exit::Done)
}

fn state(plan: &FetchPlan) -> PlannedState {
    plan.environments.first().map_or(PlannedState::Build, |first| first.state)
}

fn fetched_bytes(plan: &FetchPlan) -> Option<u64> {
    if state(plan) == PlannedState::Here { Some(0) } else { plan.amount.map(|amount| amount.fetch) }
}

fn object<'a>(request: &Request, plan: &'a FetchPlan) -> Plan<'a> {
    let environment = |planned: &'a PlannedBuild| Planned {
        environment: &planned.environment,
        key: &planned.key,
        state: planned.state,
        actions: planned.actions,
        last_build_ms: planned.last_ms,
    };
    let root = |(repository, tree): &'a (String, GitId)| UnknownRoot { repository, tree: *tree };
    Plan {
        version: Version,
        key: request.parts.key(),
        state: state(plan),
        environments: plan.environments.iter().map(environment).collect(),
        fetch_bytes: fetched_bytes(plan),
        here_bytes: plan.amount.map(|amount| amount.here),
        from: plan.from.as_deref(),
        roots: plan.roots.iter().map(root).collect(),
        complete: plan.complete,
    }
}

fn text(plan: &FetchPlan) -> String {
    let mut text = String::new();
    let mut add = |line: String| writeln!(text, "{line}").expect("writing to a String cannot fail");
    for planned in &plan.environments {
        let took = planned.last_ms.filter(|_| planned.state == PlannedState::Build);
        let took = took.map(|last| format!(", last time in {}", duration(last))).unwrap_or_default();
        add(format!("{:5} {} `{}`{took}", planned.state.as_str(), planned.key, planned.environment));
    }
    if !plan.complete {
        add("there may be more: the server does not know a root in which environments are defined, and it is not here"
            .to_owned());
    }
    if !plan.roots.is_empty() {
        let names: Vec<&str> = plan.roots.iter().map(|(repository, _)| repository.as_str()).collect();
        add(format!("roots that the server does not know: `{}`", names.join("`, `")));
    }
    let from = plan.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    match (fetched_bytes(plan), plan.amount) {
        (Some(fetch), Some(amount)) => {
            add(format!("fetch {}{from}; {} are here", BinaryBytes(fetch), BinaryBytes(amount.here)));
        }
        (Some(_), None) => add("fetch nothing: all of it is here".to_owned()),
        (None, _) if state(plan) == PlannedState::Build => add("fetch: how much, only the build tells".to_owned()),
        (None, _) => add("fetch: how much cannot be told".to_owned()),
    }
    text
}

/// Returns a time as people say it.
pub(super) fn duration(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else {
        HumanDuration(Duration::from_millis(milliseconds)).to_string()
    }
}
