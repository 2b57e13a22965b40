//! `envserve fetch`: an environment, in a directory.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Exit;
use super::arguments::{SpecArguments, Worked};
use super::error::CliError;
use super::output::{self, Display};
use super::placement::StoreArguments;
use crate::client::{self, Client, ClientError, Fetched, FetchedSource, NixOutput, Probed, Request, Stored, View};
use crate::spec::Spec;
use crate::store::blocking;

/// Version of what `--json` prints.
const JSON_VERSION: u32 = 1;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,

    /// The form in which the environment is wanted.
    #[arg(long, value_enum, default_value_t = View::Dir)]
    view: View,

    #[command(flatten)]
    store: StoreArguments,

    /// Make a symlink to the environment, which also keeps it from garbage collection.
    #[arg(short, long = "out-link", value_name = "LINK")]
    out: Option<PathBuf>,

    /// Copy the environment to a directory of your own, which may be changed.
    #[arg(long, value_name = "DIR")]
    install: Option<PathBuf>,

    /// Print the digest of the environment's root Directory and fetch nothing.
    #[arg(long)]
    absent: bool,

    /// Only say whether the environment is there: exit code 0, or 10 when it would have to be built.
    #[arg(long, conflicts_with_all = ["absent", "out", "install"])]
    probe: bool,

    /// Fetch the sources instead: the files that roots are made from, into the first `--distdir`.
    #[arg(long, conflicts_with_all = ["absent", "out", "install", "probe"])]
    sources: bool,

    /// With `--sources`: have the server know all roots, with their content in its CAS.
    #[arg(long, requires = "sources")]
    backup_to_remote: bool,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// Say nothing on stderr but errors.
    #[arg(short, long)]
    quiet: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let placement = arguments.store.placement(arguments.view)?;
    let Arguments { spec, view: _, store: _, out, install, absent, probe, sources, backup_to_remote, json, quiet } =
        arguments;
    for (option, given) in [("out-link", out.is_some()), ("install", install.is_some())] {
        if absent && given {
            return Err(CliError::AbsentWith { option });
        }
    }
    let display = Display::new(quiet);
    if sources {
        let fetched = fetch_sources(spec, backup_to_remote, &display).await;
        display.clear();
        return say_sources(&fetched?, json);
    }
    if probe {
        let worked = spec.work(&display, async |client, request| client.probe(request, &placement).await).await;
        display.clear();
        return say_probed(&worked?, json);
    }
    if absent {
        let worked = spec.work(&display, async |client, request| client.fetch_absent(request, &display).await).await;
        display.clear();
        let Worked { request, outcome: descriptor, .. } = worked?;
        let object = json!({"version": JSON_VERSION, "key": request.parts.key().to_string(), "descriptor": descriptor});
        let line = if json { object.to_string() } else { format!("{:?}", descriptor.root) };
        output::print(line.as_bytes())?;
        return Ok(Exit::Done);
    }
    let fetch = async |client: &Client, request: &Request| client.fetch(request, &placement, &display).await;
    let worked = spec.work(&display, fetch).await;
    display.clear();
    let Worked { client, request, outcome: fetched } = worked?;
    place(&client, &fetched, out, install).await?;
    if json {
        output::print(object(&request, &fetched).to_string().as_bytes())?;
        return Ok(Exit::Done);
    }
    let places = outputs(&fetched).map_or_else(|| vec![fetched.directory.clone()], |(_, places)| places);
    places.iter().try_for_each(|place| output::print(place.as_os_str().as_encoded_bytes()))?;
    Ok(Exit::Done)
}

/// Fetches the sources into a directory, into the CAS of the server, or both.
async fn fetch_sources(spec: SpecArguments, back_up: bool, display: &Display) -> Result<Vec<FetchedSource>, CliError> {
    let distdir = spec.distdir()?;
    if back_up && !spec.has_server() {
        return Err(CliError::NoServer);
    }
    if distdir.is_none() && !back_up {
        return Err(CliError::NoDistdir);
    }
    let work = async |client: &Client, spec: &Spec, base: &Path| {
        let mut sources = Vec::new();
        if let Some(directory) = &distdir {
            sources.extend(client.fetch_sources(spec, base, directory, display).await?);
        }
        if back_up {
            sources.extend(client.back_up_sources(spec, base, display).await?);
        }
        Ok(sources)
    };
    Ok(spec.work_on_spec(display, work).await?.1)
}

fn say_sources(sources: &[FetchedSource], json: bool) -> Result<Exit, CliError> {
    if json {
        let source = |source: &FetchedSource| {
            json!({
                "repository": source.repository,
                "type": source.kind,
                "path": source.path.as_ref().map(|path| path.display().to_string()),
                "tree": source.tree.map(|tree| tree.to_string()),
            })
        };
        let sources: Vec<_> = sources.iter().map(source).collect();
        output::print(json!({"version": JSON_VERSION, "sources": sources}).to_string().as_bytes())?;
        return Ok(Exit::Done);
    }
    for source in sources {
        let place = source.path.as_ref().map(|path| path.display().to_string());
        let place = place.or_else(|| source.tree.map(|tree| tree.to_string())).unwrap_or_default();
        output::print(format!("{} {place}", source.repository).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn object(request: &Request, fetched: &Fetched) -> serde_json::Value {
    let mut object = json!({
        "version": JSON_VERSION,
        "key": request.parts.key().to_string(),
        "directory": fetched.directory.display().to_string(),
        "present": fetched.present,
        "downloaded_bytes": fetched.downloaded,
        "descriptor": fetched.descriptor,
    });
    if let Some((stored, places)) = outputs(fetched) {
        let output = |(output, place): (&NixOutput, &PathBuf)| json!({"name": output.name, "path": output.path.to_string(), "place": place.display().to_string()});
        object["store"] = stored.root.path().display().to_string().into();
        object["outputs"] = stored.outputs.iter().zip(&places).map(output).collect();
    }
    object
}

/// Returns where the outputs of a closure lie.
fn outputs(fetched: &Fetched) -> Option<(&Stored, Vec<PathBuf>)> {
    let stored = fetched.stored.as_ref()?;
    Some((stored, stored.outputs.iter().map(|output| stored.root.real(&output.path)).collect()))
}

fn say_probed(probed: &Worked<Probed>, json: bool) -> Result<Exit, CliError> {
    let (state, exit) = match probed.outcome {
        Probed::Here => ("here", Exit::Done),
        Probed::Hit => ("hit", Exit::Done),
        Probed::Miss => ("miss", Exit::Miss),
    };
    let line = if json {
        json!({"version": JSON_VERSION, "key": probed.request.parts.key().to_string(), "state": state}).to_string()
    } else {
        state.to_owned()
    };
    output::print(line.as_bytes())?;
    Ok(exit)
}

async fn place(
    client: &Client,
    fetched: &Fetched,
    out: Option<PathBuf>,
    install: Option<PathBuf>,
) -> Result<(), ClientError> {
    let (root, fetched) = (client.root().to_owned(), fetched.clone());
    blocking(move || {
        if let (Some(_), Some(stored)) = (&install, &fetched.stored) {
            stored.check_alone()?;
        }
        match (out, &fetched.stored) {
            (Some(out), Some(stored)) => stored.link(&root, &out)?,
            (Some(out), None) => client::link(&root, &fetched.directory, &out)?,
            (None, _) => {}
        }
        if let Some(install) = install {
            client::install(&fetched.directory, &install)?;
        }
        Ok(())
    })
    .await
}
