//! What a prefill came to, as it is reported.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Serialize;

use super::item::{Item, Outcome};
use crate::cli::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Version;
use crate::client::{FetchedSource, UnionPlan};
use crate::spec::GitId;

/// What a prefill has come to, or has so far.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct Report {
    /// The version of this form.
    version: Version<1>,
    /// The server; null for a private daemon.
    pub(super) server: Option<String>,
    /// In seconds since 1970.
    started_at: u64,
    /// Until it ended.
    duration_ms: u64,
    /// Whether a signal broke it off.
    pub(super) interrupted: bool,
    /// How many items came to what.
    totals: Totals,
    /// What all of it was planned to come to; null when it did not come to that.
    plan: Option<Planned>,
    /// What became of each item.
    pub(super) items: Vec<Item>,
    /// What became of the sources of each spec, with `--sources`.
    pub(super) sources: Vec<Sources>,
    #[serde(skip)]
    started: Instant,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub(super) struct Totals {
    /// All items.
    items: usize,
    /// Those that the server had.
    hit: usize,
    /// Those that were built.
    built: usize,
    /// Those that are not there, or not kept.
    failed: usize,
    /// Those that a signal came before.
    unfinished: usize,
}

/// What all of it was planned to come to.
#[derive(Debug, Serialize, JsonSchema)]
struct Planned {
    /// Environments that were there, each counted once.
    hits: usize,
    /// Environments to be built, with those that they use.
    builds: usize,
    /// How many actions that takes at least.
    actions: u64,
    /// How many milliseconds the last builds of those took, one after the other.
    last_build_ms: u64,
    /// Of how many no build is remembered.
    never_built: usize,
    /// The repositories whose roots the server did not know.
    roots: Vec<String>,
    /// Whether this is all that there was to say.
    complete: bool,
}

/// The sources of a spec.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Sources {
    /// The spec as it was named.
    pub(super) spec: String,
    /// The roots that the server has.
    roots: Vec<Source>,
    /// Why it does not have all of them.
    pub(super) error: Option<Failure>,
}

/// A root that the server has.
#[derive(Debug, Serialize, JsonSchema)]
struct Source {
    /// The repository in the spec.
    repository: String,
    /// The type of its root.
    r#type: &'static str,
    /// Its tree.
    tree: Option<GitId>,
}

impl Report {
    pub(super) fn new(server: Option<String>) -> Self {
        Self {
            version: Version,
            server,
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            duration_ms: 0,
            interrupted: false,
            totals: Totals::default(),
            plan: None,
            items: Vec::new(),
            sources: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Counts what there is.
    pub(super) fn count(&mut self) {
        self.duration_ms = milliseconds(self.started.elapsed());
        let count = |outcome| self.items.iter().filter(|item| item.outcome == outcome).count();
        self.totals = Totals {
            items: self.items.len(),
            hit: count(Outcome::Hit),
            built: count(Outcome::Built),
            failed: count(Outcome::Failed),
            unfinished: count(Outcome::Unfinished),
        };
    }

    pub(super) fn planned(&mut self, plan: &UnionPlan) {
        let (last_build_ms, never_built) = plan.last_ms();
        self.plan = Some(Planned {
            hits: plan.hits(),
            builds: plan.builds().count(),
            actions: plan.builds().filter_map(|planned| planned.actions).map(u64::from).sum(),
            last_build_ms,
            never_built,
            roots: plan.roots.iter().map(|(repository, _)| repository.clone()).collect(),
            complete: plan.complete,
        });
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }

    /// Returns how the process ends: nothing could be had from a server that is not there, or what was asked for.
    pub(super) fn exit(&self, strict: bool) -> Exit {
        let sources = self.sources.iter().filter_map(|sources| sources.error.as_ref());
        let errors: Vec<_> = self.items.iter().filter_map(|item| item.error.as_ref()).chain(sources).collect();
        // The second after it was waited for.
        let unreachable = [Exit::Unavailable, Exit::Deadline].map(Exit::class);
        let Totals { hit, built, .. } = self.totals;
        match errors.iter().any(|failure| unreachable.contains(&failure.class)) {
            true if hit + built == 0 => Exit::Unavailable,
            _ if strict && !errors.is_empty() => Exit::Error,
            _ => Exit::Done,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, hit, built, failed, unfinished } = self;
        let plural = if *items == 1 { "" } else { "s" };
        write!(f, "{items} item{plural}: {hit} hit, {built} built, {failed} failed")?;
        if *unfinished > 0 { write!(f, ", {unfinished} unfinished") } else { Ok(()) }
    }
}

impl Sources {
    pub(super) fn new(spec: &str, outcome: Result<Vec<FetchedSource>, Failure>) -> Self {
        let source =
            |source: FetchedSource| Source { repository: source.repository, r#type: source.kind, tree: source.tree };
        let (roots, error) = match outcome {
            Ok(roots) => (roots.into_iter().map(source).collect(), None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        Self { spec: spec.to_owned(), roots, error }
    }
}

/// Returns a duration as reports have it.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
