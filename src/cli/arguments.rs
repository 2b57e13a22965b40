//! Arguments that several verbs share, and what becomes of them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::absolute::absolute;
use super::client::ClientArguments;
use super::error::CliError;
use super::placement::StoreArguments;
use super::progress::Display;
use crate::client::{Building, Client, ClientError, Event, Events, Fetched, LocatedSpec, Request, View};
use crate::spec::{Config, Spec, Target, nearest_few};
use crate::store::blocking;

/// Which environment, from which server.
#[derive(Debug, Args)]
pub(super) struct SpecArguments {
    /// The spec file; `-` reads it from stdin.
    spec: PathBuf,

    /// Take this environment instead of the spec's.
    #[arg(short, long, num_args = 3, value_names = ["REPOSITORY", "MODULE", "NAME"])]
    environment: Option<Vec<String>>,

    /// Set a variable of the configuration: `K=TEXT`, or `K:=JSON`.
    #[arg(short = 'c', long = "config", value_name = "K=V")]
    config: Vec<String>,

    #[command(flatten)]
    client: ClientArguments,
}

/// What was done, with the client and the request that the command line came to.
pub(super) struct Worked<T> {
    pub client: Client,
    pub request: Request,
    pub outcome: T,
}

impl SpecArguments {
    /// Fetches the environment with progress on the terminal.
    pub(super) async fn fetch(self, store: &StoreArguments) -> Result<Fetched, CliError> {
        let (display, placement) = (self.display(), store.placement(View::Dir)?);
        let fetch = async |client: &Client, request: &Request| client.fetch(request, &placement, &display).await;
        let worked = self.work(&display, fetch).await;
        display.clear();
        Ok(worked?.outcome)
    }

    /// Returns what shows the progress of the work on this spec.
    pub(super) fn display(&self) -> Display {
        self.client.progress().display()
    }

    /// Says whether only what goes wrong is to be said.
    pub(super) fn is_quiet(&self) -> bool {
        self.client.progress().is_quiet()
    }

    /// Turns the spec into a request, and nothing more.
    pub(super) async fn request(self, events: &dyn Events) -> Result<Request, CliError> {
        Ok(self.work(events, async |_, _| Ok(())).await?.request)
    }

    /// Turns the spec into a request and works on it, again when nobody can be reached and the user wants that.
    pub(super) async fn work<T>(
        self,
        events: &dyn Events,
        work: impl AsyncFn(&Client, &Request) -> Result<T, ClientError>,
    ) -> Result<Worked<T>, CliError> {
        self.work_building(Building::Allowed, events, work).await
    }

    /// Turns the spec into a request and looks at it, without having anything built.
    pub(super) async fn look<T>(
        self,
        events: &dyn Events,
        look: impl AsyncFn(&Client, &Request) -> Result<T, ClientError>,
    ) -> Result<Worked<T>, CliError> {
        self.work_building(Building::Forbidden, events, look).await
    }

    async fn work_building<T>(
        self,
        building: Building,
        events: &dyn Events,
        work: impl AsyncFn(&Client, &Request) -> Result<T, ClientError>,
    ) -> Result<Worked<T>, CliError> {
        let assigned: Vec<String> = self.config.iter().filter_map(|text| variable(text)).collect();
        let warned = AtomicBool::new(false);
        let attempt = async |client: &Client, spec: &Spec, base: &Path| {
            let request = client.request(spec.clone(), base, building, events).await?;
            if !warned.swap(true, Ordering::Relaxed) {
                assigned.iter().for_each(|name| warn_unknown(name, &request, events));
            }
            let outcome = work(client, &request).await?;
            Ok((request, outcome))
        };
        let (client, (request, outcome)) = self.work_on_spec(events, attempt).await?;
        Ok(Worked { client, request, outcome })
    }

    /// Works on the spec itself and the directory that its relative paths start from, again when nobody can be
    /// reached and the user wants that.
    pub(super) async fn work_on_spec<T>(
        self,
        events: &dyn Events,
        work: impl AsyncFn(&Client, &Spec, &Path) -> Result<T, ClientError>,
    ) -> Result<(Client, T), CliError> {
        let LocatedSpec { spec, base } = self.read().await?;
        let (policy, patience) = self.client.patience();
        let mut client = Client::new(self.client.options()?);
        let attempt = async |client: &Client| work(client, &spec, &base).await;
        let outcome = client.persist(policy, patience, events, attempt).await?;
        Ok((client, outcome))
    }

    /// Returns the first directory for files, absolute.
    pub(super) fn distdir(&self) -> Result<Option<PathBuf>, CliError> {
        self.client.distdir()
    }

    /// Says whether a server is configured.
    pub(super) fn has_server(&self) -> bool {
        self.client.has_server()
    }

    /// Reads the spec, and changes it as the command line says.
    async fn read(&self) -> Result<LocatedSpec, CliError> {
        let LocatedSpec { mut spec, base } = read_spec(&self.spec).await?;
        let name = name_of(&self.spec);
        if let Some([repository, module, environment]) = self.environment.as_deref() {
            spec = spec.with_environment(&name, Target::new(repository, module, environment)?)?;
        }
        for assignment in &self.config {
            spec.config = spec.config.with(&Config::assignment(assignment)?);
        }
        Ok(LocatedSpec { spec, base })
    }
}

/// Returns the variable that an argument sets.
fn variable(assignment: &str) -> Option<String> {
    let config = Config::assignment(assignment).ok()?;
    config.iter().next().map(|(name, _)| name.to_owned())
}

/// Tells of a variable that was set and means nothing to the environment.
fn warn_unknown(name: &str, request: &Request, events: &dyn Events) {
    let known: Vec<&str> = request.parts.effective_config.iter().map(|(name, _)| name).collect();
    if known.contains(&name) {
        return;
    }
    let known = nearest_few(name, known, usize::MAX);
    events.event(Event::UnknownVariable { name: name.to_owned(), environment: request.parts.target(), known });
}

/// What messages call a spec file.
fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

/// Reads the spec of a file, or of stdin.
pub(super) async fn read_spec(path: &Path) -> Result<LocatedSpec, CliError> {
    if path != Path::new("-") {
        return Ok(LocatedSpec::read(path).await?);
    }
    let text = blocking(|| {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut text).map(|_| text)
    });
    let text = text.await.map_err(|source| ClientError::ReadSpec { path: path.to_owned(), source })?;
    Ok(LocatedSpec::parse(&name_of(path), &text, &absolute(Path::new("."))?)?)
}
