//! `envserve explain`: why an environment is not in the cache.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use indicatif::HumanDuration;

use super::Exit;
use super::arguments::{SpecArguments, Worked, read_spec};
use super::error::CliError;
use super::output::{self, Explained};
use crate::client::{
    Against, Building, Client, ComparedKey, ComponentDifference, Explanation, LocatedSpec, PathChange, Request,
};
use crate::spec::EnvKey;

/// Fewest digits that are taken for the beginning of a key.
const FEWEST_DIGITS: usize = 6;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// Compare with the entry whose key begins so, or with what another spec asks for [default: the nearest entry]
    #[arg(long, value_name = "KEY|SPEC")]
    against: Option<String>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let Arguments { spec, against, json } = arguments;
    let display = spec.display();
    let other = match &against {
        Some(text) if !is_key(text) => Some(read_spec(Path::new(text)).await?),
        Some(_) | None => None,
    };
    let explain = async |client: &Client, request: &Request| match (&other, &against) {
        (Some(LocatedSpec { spec, base }), _) => {
            let other = client.request(spec.clone(), base, Building::Forbidden, &display).await?;
            client.explain(request, Against::Request(&other)).await
        }
        (None, Some(key)) => client.explain(request, Against::Key(key)).await,
        (None, None) => client.explain(request, Against::Nearest).await,
    };
    let worked = spec.look(&display, explain).await;
    display.clear();
    let Worked { request, outcome, .. } = worked?;
    let key = request.parts.key();
    if json {
        output::print_json(&Explained::new(key, &outcome))?;
    } else {
        output::print(text(key, &outcome).trim_end().as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Says whether a text is the beginning of a key rather than a file.
fn is_key(text: &str) -> bool {
    let (hash, size) = text.split_once('/').unwrap_or((text, "0"));
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    hash.len() >= FEWEST_DIGITS
        && hash.bytes().all(digit)
        && size.bytes().all(|b| b.is_ascii_digit())
        && !Path::new(text).exists()
}

fn text(key: EnvKey, explanation: &Explanation) -> String {
    let state = if explanation.hit { "hit" } else { "miss" };
    let mut text = format!("{state}: {key}\n");
    let mut add = |line: String| writeln!(text, "{line}").expect("writing to a String cannot fail");
    match &explanation.compared {
        None if explanation.hit => {}
        None => add("nothing is remembered that it could be compared with".to_owned()),
        Some(compared) if explanation.was_there && !explanation.hit && compared.differences.is_empty() => {
            add(format!("it was there{}, and something that it reaches is gone", ago(compared.built_at)));
        }
        Some(compared) => {
            let ComparedKey { key, environment, built_at, differences } = compared;
            add(format!("compared with {key}: `{environment}`{}", ago(*built_at)));
            if differences.is_empty() {
                add("  no difference".to_owned());
            }
            differences.iter().for_each(|difference| add(format!("  {}", line(difference))));
        }
    }
    text
}

fn ago(built_at: Option<u64>) -> String {
    let Some(built_at) = built_at else { return String::new() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!(", built {} ago", HumanDuration(now.saturating_sub(Duration::from_secs(built_at))))
}

/// Returns a difference as a line.
fn line(difference: &ComponentDifference) -> String {
    let ComponentDifference { component, name, repository, here, there, path, .. } = difference;
    let mut line = component.clone();
    let mut add = |text: String| line.push_str(&text);
    name.iter().for_each(|name| add(format!(" `{name}`")));
    repository.iter().for_each(|repository| add(format!(" of repository `{repository}`")));
    if let Some(first) = path {
        let what = match first.change {
            PathChange::Content => "differs",
            PathChange::Kind => "is of another kind",
            PathChange::OnlyHere => "is only here",
            PathChange::OnlyThere => "is only there",
        };
        add(format!(": `{}` {what}", first.path));
    }
    let values = match (here, there) {
        (Some(here), Some(there)) => format!("`{here}` here, `{there}` there"),
        (Some(here), None) => format!("`{here}` here, none there"),
        (None, Some(there)) => format!("none here, `{there}` there"),
        (None, None) => return line,
    };
    line + &if path.is_some() { format!(" ({values})") } else { format!(": {values}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_from_a_file() {
        let hash = "0".repeat(64);
        for key in [hash.as_str(), &format!("{hash}/12"), "abcdef"] {
            assert!(is_key(key), "{key}");
        }
        for file in ["abcde", "spec.json", "./abcdef", "abcdef/spec", "ABCDEF", "-"] {
            assert!(!is_key(file), "{file}");
        }
    }
}
