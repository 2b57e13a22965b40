//! `envserve fetch`: an environment, in a directory.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Exit;
use super::arguments::{SpecArguments, Worked};
use super::error::CliError;
use super::output::{self, Absent, FetchedEnvironment, FetchedSources, ProbedEnvironment, ProbedState, Version};
use super::placement::StoreArguments;
use super::progress::Display;
use crate::client::{
    self, Client, ClientError, Fetched, FetchedSource, Loader, Placement, Probed, Request, Start, View,
};
use crate::oci::LayerCompression;
use crate::spec::{Descriptor, Spec};
use crate::store::blocking;

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

    /// How the layers are compressed, with `--view oci`.
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    compression: Compression,

    /// Hand the image to a program that keeps images, and print what that calls it.
    #[arg(long, value_enum, value_name = "PROGRAM", conflicts_with_all = ["view", "absent", "out", "install", "probe"])]
    load: Option<Loader>,

    /// Fetch nothing: print what remote actions name it by. That is the digest of its root Directory; for an image its
    /// manifest and the property `container-image`; for a checkpoint also the property `service`.
    #[arg(long)]
    absent: bool,

    /// Build and fetch nothing: say whether it is there, by exit code 0, or 10 when it would have to be built.
    #[arg(long, conflicts_with_all = ["absent", "out", "install"])]
    probe: bool,

    /// Fetch the files that roots are made from, into the first `--distdir`, instead of the environment.
    #[arg(long, conflicts_with_all = ["absent", "out", "install", "probe"])]
    sources: bool,

    /// With `--sources`: have the server know all roots, with their content in its CAS.
    #[arg(long, requires = "sources")]
    backup_to_remote: bool,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl From<Compression> for LayerCompression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    // Chosen first: errors are told as progress is.
    let (display, quiet) = (arguments.spec.display(), arguments.spec.is_quiet());
    let placement = arguments.placement()?;
    let Arguments { spec, out, install, absent, probe, sources, backup_to_remote, json, load, .. } = arguments;
    for (option, given) in [("out-link", out.is_some()), ("install", install.is_some())] {
        if absent && given {
            return Err(CliError::AbsentWith { option });
        }
    }
    if sources {
        let fetched = fetch_sources(spec, backup_to_remote, &display).await;
        display.clear();
        return say_sources(&fetched?, json);
    }
    if probe {
        let probed = spec.look(&display, async |client, request| client.probe(request, &placement).await).await;
        display.clear();
        return say_probed(probed, json);
    }
    if absent {
        let worked = spec.work(&display, async |client, request| client.fetch_absent(request, &display).await).await;
        display.clear();
        return say_absent(&worked?, json);
    }
    let fetch = async |client: &Client, request: &Request| client.fetch(request, &placement, &display).await;
    let worked = spec.work(&display, fetch).await;
    display.clear();
    let Worked { client, request, outcome: fetched } = worked?;
    place(&client, &fetched, out, install, load).await?;
    say_fetched(&request, &fetched, load, json, quiet)
}

/// Prints where the environment lies, or what the program calls it that it was handed to.
fn say_fetched(
    request: &Request,
    fetched: &Fetched,
    load: Option<Loader>,
    json: bool,
    quiet: bool,
) -> Result<Exit, CliError> {
    let reference = load.map(|loader| loader.reference(&client::name_of(request)));
    if json {
        output::print_json(&FetchedEnvironment::new(request, fetched, reference))?;
        return Ok(Exit::Done);
    }
    if let Some(reference) = reference {
        output::print(reference.as_bytes())?;
        return Ok(Exit::Done);
    }
    if let Some(checkpoint) = fetched.checkpoint.as_ref().filter(|_| !quiet) {
        output::note(&checkpoint.choice.why);
    }
    let places = match &fetched.stored {
        Some(stored) => stored.places().map(|(_, place)| place).collect(),
        None => vec![fetched.directory.clone()],
    };
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
        output::print_json(&FetchedSources::new(sources))?;
        return Ok(Exit::Done);
    }
    for source in sources {
        let place = source.path.as_ref().map(|path| path.display().to_string());
        let place = place.or_else(|| source.tree.map(|tree| tree.to_string())).unwrap_or_default();
        output::print(format!("{} {place}", source.repository).as_bytes())?;
    }
    Ok(Exit::Done)
}

impl Arguments {
    fn placement(&self) -> Result<Placement, CliError> {
        let compression = LayerCompression::from(self.compression);
        if compression != LayerCompression::None && self.view != View::Oci {
            return Err(CliError::Compression);
        }
        let view = if self.load.is_some() { View::DockerArchive } else { self.view };
        // A checkpoint is where it is.
        let start = if self.install.is_some() { Start::Never } else { Start::Fastest };
        Ok(Placement { compression, start, ..self.store.placement(view)? })
    }
}

fn say_absent(worked: &Worked<Descriptor>, json: bool) -> Result<Exit, CliError> {
    let Worked { client, request, outcome: descriptor } = worked;
    let image = client.container_image(request, descriptor);
    let service = descriptor.checkpoint.is_some().then(|| format!("{:?}", descriptor.digest()));
    if json {
        let (manifest, container_image) = image.map(|(manifest, property)| (manifest.to_string(), property)).unzip();
        let key = request.parts.key();
        output::print_json(&Absent { version: Version, key, descriptor, manifest, container_image, service })?;
        return Ok(Exit::Done);
    }
    match (image, service) {
        (Some((manifest, property)), _) => {
            output::print(manifest.to_string().as_bytes())?;
            output::print(format!("container-image={property}").as_bytes())?;
        }
        (None, service) => {
            output::print(format!("{:?}", descriptor.root).as_bytes())?;
            if let Some(service) = service {
                output::print(format!("service={service}").as_bytes())?;
            }
        }
    }
    Ok(Exit::Done)
}

fn say_probed(probed: Result<Worked<Probed>, CliError>, json: bool) -> Result<Exit, CliError> {
    let (key, outcome) = match probed {
        Ok(Worked { request, outcome, .. }) => (Some(request.parts.key()), outcome),
        // What its key is, only a build would tell.
        Err(CliError::Client(error)) if matches!(*error, ClientError::Unbuilt { .. }) => (None, Probed::Miss),
        Err(error) => return Err(error),
    };
    let (state, exit) = match outcome {
        Probed::Here => (ProbedState::Here, Exit::Done),
        Probed::Hit => (ProbedState::Hit, Exit::Done),
        Probed::Miss => (ProbedState::Miss, Exit::Miss),
    };
    if json {
        output::print_json(&ProbedEnvironment { version: Version, key, state })?;
    } else {
        output::print(state.as_str().as_bytes())?;
    }
    Ok(exit)
}

async fn place(
    client: &Client,
    fetched: &Fetched,
    out: Option<PathBuf>,
    install: Option<PathBuf>,
    load: Option<Loader>,
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
        match (install, &fetched.root_file_system()) {
            (Some(install), Some(image)) => client::install_root(image, &install)?,
            (Some(install), None) => client::install(&fetched.directory, &install)?,
            (None, _) => {}
        }
        load.map_or(Ok(()), |loader| loader.load(&fetched.directory))
    })
    .await
}
