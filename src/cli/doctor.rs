//! `envserve doctor`: what this host can, and how to get what it lacks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::client::root;
use super::error::CliError;
use super::output::{self, Abilities};
use crate::host::{self, Ability, Found, Site, State, probe};
use crate::spec::Fingerprint;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What has to be there; without any, all are told, and `sandbox` and `user-namespaces` have to be there.
    #[arg(value_enum, value_name = "ABILITY")]
    abilities: Vec<Ability>,

    /// Where everything is kept: file systems are tried there [default: $XDG_CACHE_HOME/envserve]
    #[arg(long, env = "ENVSERVE_ROOT", value_name = "DIR")]
    root: Option<PathBuf>,

    /// The program of CRIU, if it is not the one in PATH.
    #[arg(long, env = "ENVSERVE_CRIU", value_name = "PATH")]
    criu: Option<OsString>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let program = std::env::current_exe();
    let program = program.map_err(|source| CliError::Path { path: "envserve".into(), source })?;
    let criu = arguments.criu.filter(|path| !path.is_empty()).map(PathBuf::from);
    let site = Site { directory: place(arguments.root.as_deref())?, program, criu };
    let named = &arguments.abilities;
    let abilities: Vec<Ability> =
        Ability::ALL.into_iter().filter(|ability| named.is_empty() || named.contains(ability)).collect();
    let (mut all, mut told) = (true, Vec::new());
    for ability in abilities {
        let found = probe(ability, &site).await;
        all &= found.has() || (named.is_empty() && !ability.is_needed());
        if !arguments.json {
            output::print(line(&found).as_bytes())?;
        }
        told.push(found);
    }
    let dumps = told.iter().any(|found| found.ability == Ability::Criu && found.has());
    let fingerprint = if dumps { fingerprint(&site).await } else { None };
    if arguments.json {
        output::print_json(&Abilities::new(&told, fingerprint.as_ref()))?;
    } else if let Some(fingerprint) = fingerprint {
        output::print(format!("fingerprint {fingerprint}").as_bytes())?;
    }
    Ok(if all { Exit::Done } else { Exit::HostCannot })
}

/// Returns the directory in which file systems are tried: the root, or where it would be made.
fn place(given: Option<&Path>) -> Result<PathBuf, CliError> {
    let root = root(given)?;
    Ok(root.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned())
}

/// Returns that of this host, which can dump and restore.
async fn fingerprint(site: &Site) -> Option<Fingerprint> {
    let found = host::fingerprint(site.criu.as_deref()).await;
    found.inspect_err(|error| tracing::warn!("there is no fingerprint of this host: {error}")).ok()
}

fn line(found: &Found) -> String {
    let name = found.ability.as_str();
    match &found.state {
        State::Has { detail } => format!("ok    {name}: {detail}"),
        State::Lacks { reason, remedy } => format!("lacks {name}: {reason}; to get it: {remedy}"),
    }
}
