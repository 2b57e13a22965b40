//! What became of each item, as it is reported. `docs/prefill.md` has the form.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::cli::Exit;
use crate::cli::failure::Failure;
use crate::client::{FetchedSource, UnionPlan};
use crate::spec::{Config, Target};

/// Version of the form.
const VERSION: u32 = 1;

/// What a prefill has come to, or has so far.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: u32,
    /// The server; null for a private daemon.
    pub(super) server: Option<String>,
    /// In seconds since 1970.
    started_at: u64,
    duration_ms: u64,
    /// Whether a signal broke it off.
    pub(super) interrupted: bool,
    totals: Totals,
    plan: Option<Planned>,
    pub(super) items: Vec<Item>,
    pub(super) sources: Vec<Sources>,
    #[serde(skip)]
    started: Instant,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    items: usize,
    hit: usize,
    built: usize,
    failed: usize,
    unfinished: usize,
}

/// What all of it was planned to come to.
#[derive(Debug, Serialize)]
struct Planned {
    hits: usize,
    builds: usize,
    actions: u64,
    /// For how long the last builds took, one after the other.
    last_build_ms: u64,
    /// How many were never built.
    never_built: usize,
    /// The repositories whose roots the server did not know.
    roots: Vec<String>,
    complete: bool,
}

/// An environment in a configuration.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    pub(super) spec: String,
    /// Repository, module and name; null where the spec does not tell.
    pub(super) environment: Option<[String; 3]>,
    pub(super) config: Config,
    pub(super) key: Option<String>,
    pub(super) outcome: Outcome,
    /// Its root `Directory`.
    pub(super) root: Option<String>,
    pub(super) duration_ms: Option<u64>,
    /// In seconds since 1970.
    pub(super) kept_until: Option<i64>,
    pub(super) error: Option<Failure>,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The server had it.
    Hit,
    /// It was built.
    Built,
    /// The server does not have it, or does not keep it.
    Failed,
    /// A signal came first.
    Unfinished,
}

/// The sources of a spec.
#[derive(Debug, Serialize)]
pub(super) struct Sources {
    pub(super) spec: String,
    roots: Vec<Source>,
    pub(super) error: Option<Failure>,
}

#[derive(Debug, Serialize)]
struct Source {
    repository: String,
    r#type: &'static str,
    tree: Option<String>,
}

impl Report {
    pub(super) fn new(server: Option<String>) -> Self {
        Self {
            version: VERSION,
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

impl Item {
    pub(super) fn new(spec: &str, target: Option<&Target>, config: &Config) -> Self {
        let parts = |target: &Target| [target.repository.clone(), target.module.to_string(), target.name.clone()];
        Self {
            spec: spec.to_owned(),
            environment: target.map(parts),
            config: config.clone(),
            key: None,
            outcome: Outcome::Unfinished,
            root: None,
            duration_ms: None,
            kept_until: None,
            error: None,
        }
    }

    pub(super) fn failed(mut self, failure: Failure) -> Self {
        self.fail(failure);
        self
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.outcome = Outcome::Failed;
        self.error = Some(failure);
    }
}

impl fmt::Display for Item {
    /// `MODULE:NAME A=x B:=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.environment {
            Some([_, module, name]) if module.is_empty() => f.write_str(name)?,
            Some([_, module, name]) => write!(f, "{module}:{name}")?,
            None => f.write_str("-")?,
        }
        self.config.iter().try_for_each(|(name, value)| match value.as_str() {
            Some(text) => write!(f, " {name}={text}"),
            None => write!(f, " {name}:={value}"),
        })
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

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Built => "built",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        }
    }
}

impl Sources {
    pub(super) fn new(spec: &str, outcome: Result<Vec<FetchedSource>, Failure>) -> Self {
        let source = |source: FetchedSource| Source {
            repository: source.repository,
            r#type: source.kind,
            tree: source.tree.map(|tree| tree.to_string()),
        };
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
