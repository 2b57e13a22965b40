//! `envserve describe`: what an environment is for, and which variables matter to it.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::Exit;
use super::arguments::{SpecArguments, Worked};
use super::error::CliError;
use super::output;
use crate::client::{Client, Request};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let display = arguments.spec.display();
    let describe = async |client: &Client, request: &Request| client.describe(request, &display).await;
    let worked = arguments.spec.work(&display, describe).await;
    display.clear();
    let Worked { request, outcome: description, .. } = worked?;
    match serde_json::from_slice(&description) {
        Ok(value) if !arguments.json => output::print(text(&request.parts.name, &value).trim_end().as_bytes())?,
        _ => output::print(&description)?,
    }
    Ok(Exit::Done)
}

fn text(name: &str, description: &Value) -> String {
    let mut text = format!("{name} ({})\n", description["type"].as_str().unwrap_or("?"));
    for line in lines(&description["doc"]) {
        add(&mut text, "  ", line);
    }
    for variable in lines(&description["flexible_config"]) {
        add(&mut text, "\n  ", variable);
        for line in lines(&description["config_doc"][variable]) {
            add(&mut text, "    ", line);
        }
    }
    text
}

fn add(text: &mut String, indent: &str, line: &str) {
    writeln!(text, "{indent}{line}").expect("writing to a String cannot fail");
}

fn lines(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}
