//! `envserve pins`: what a server keeps under names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use indicatif::HumanDuration;
use serde_json::json;

use super::client::ClientArguments;
use super::error::CliError;
use super::{Exit, output};
use crate::client::{Client, KeptEntries};
use crate::spec::{PinName, nearest_few};

/// Version of what `--json` prints.
const JSON_VERSION: u32 = 1;
/// How many names are offered in place of an unknown one.
const OFFERED: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the names under which entries are kept, and until when.
    List(ListArguments),
    /// Let go what is kept under names, all entries of each.
    Drop(DropArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    client: ClientArguments,
}

#[derive(Debug, Args)]
struct DropArguments {
    /// The names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<PinName>,

    #[command(flatten)]
    client: ClientArguments,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    match arguments.verb {
        Verb::List(arguments) => list(&arguments).await,
        Verb::Drop(arguments) => let_go(&arguments).await,
    }
}

async fn list(arguments: &ListArguments) -> Result<Exit, CliError> {
    let pins = Client::new(arguments.client.options()?).pins().await?;
    let shown = if arguments.json { object(&pins).to_string() } else { text(&pins) };
    output::print(shown.trim_end().as_bytes())?;
    Ok(Exit::Done)
}

/// Drops all names or, when one of them is unknown, none.
async fn let_go(arguments: &DropArguments) -> Result<Exit, CliError> {
    let client = Client::new(arguments.client.options()?);
    let pins = client.pins().await?;
    for name in &arguments.names {
        if pins.iter().all(|pin| pin.name != *name) {
            let nearest = nearest_few(name.as_str(), pins.iter().map(|pin| pin.name.as_str()), OFFERED);
            return Err(CliError::NoPin { name: name.clone(), nearest });
        }
    }
    let names: std::collections::BTreeSet<&PinName> = arguments.names.iter().collect();
    for name in names {
        let entries = client.drop_pin(name).await?;
        output::print(format!("dropped `{name}`: {entries} entries").as_bytes())?;
    }
    Ok(Exit::Done)
}

fn object(pins: &[KeptEntries]) -> serde_json::Value {
    let pin = |pin: &KeptEntries| {
        let entries = pin
            .entries
            .iter()
            .map(|entry| json!({"key": entry.key, "environment": entry.environment, "expires": entry.expires}));
        json!({"name": pin.name.as_str(), "entries": entries.collect::<Vec<_>>()})
    };
    json!({"version": JSON_VERSION, "pins": pins.iter().map(pin).collect::<Vec<_>>()})
}

fn text(pins: &[KeptEntries]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut lines = Vec::new();
    for pin in pins {
        lines.push(pin.name.to_string());
        for entry in &pin.entries {
            let left = Duration::from_secs(u64::try_from(entry.expires).unwrap_or(0)).saturating_sub(now);
            let environment = entry.environment.as_deref().unwrap_or("(forgotten)");
            lines.push(format!("  {}  {environment}, for another {}", entry.key, HumanDuration(left)));
        }
    }
    if lines.is_empty() { "nothing is kept under a name".to_owned() } else { lines.join("\n") }
}
