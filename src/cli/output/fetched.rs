//! What `envserve fetch --json` prints, and what it prints of sources and for a probe.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::Version;
use crate::client::{Fetched, FetchedSource, Prepared, Request};
use crate::spec::{Descriptor, EnvKey, Form, FormName, GitId, KindName};

/// An environment that lies on this host.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct FetchedEnvironment<'a> {
    /// The version of this form.
    version: Version<1>,
    /// What the environment is looked up by: HASH/SIZE.
    key: EnvKey,
    /// The kind of the environment.
    kind: KindName,
    /// Where it lies: the directory, store path, layout or archive.
    directory: String,
    /// Whether it was here before; then no connection was opened.
    present: bool,
    /// Bytes that came over the wire.
    downloaded_bytes: u64,
    /// What is known about it.
    descriptor: &'a Descriptor,
    /// Of a closure: the root of the store that it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// Of a closure: the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<PlacedOutput>>,
    /// Of a checkpoint: what copies of the service start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<CheckpointStart<'a>>,
    /// With `--load`: what the program calls the image that it was handed.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<String>,
}

/// An output of a closure.
#[derive(Serialize, JsonSchema)]
struct PlacedOutput {
    /// Its name.
    name: String,
    /// Its store path.
    path: String,
    /// Where that lies on this host.
    place: String,
}

/// What copies of a service start from.
#[derive(Serialize, JsonSchema)]
struct CheckpointStart<'a> {
    /// The form in which they start.
    form: FormName,
    /// Why it is this one.
    why: &'a str,
    /// Milliseconds that a copy takes without any form.
    without_ms: u64,
    /// The form `memory`.
    memory: &'a Form,
    /// The form `filesystem`.
    filesystem: &'a Form,
    /// The root file system of the image.
    root: String,
    /// The configuration of the image.
    config: String,
    /// What lies over the image in this form, the lowest layer first.
    layers: Vec<String>,
    /// What CRIU wrote, for the form `memory`.
    images: Option<String>,
}

impl<'a> FetchedEnvironment<'a> {
    pub(in crate::cli) fn new(request: &Request, fetched: &'a Fetched, loaded: Option<String>) -> Self {
        let stored = fetched.stored.as_ref();
        let outputs = stored.map(|stored| {
            let placed = stored.places().map(|(output, place)| PlacedOutput {
                name: output.name.clone(),
                path: output.path.to_string(),
                place: shown(&place),
            });
            placed.collect()
        });
        Self {
            version: Version,
            key: request.parts.key(),
            kind: fetched.descriptor.kind,
            directory: shown(&fetched.directory),
            present: fetched.present,
            downloaded_bytes: fetched.downloaded,
            descriptor: &fetched.descriptor,
            store: stored.map(|stored| shown(stored.root.path())),
            outputs,
            checkpoint: fetched.checkpoint.as_ref().map(CheckpointStart::new),
            loaded,
        }
    }
}

impl<'a> CheckpointStart<'a> {
    fn new(prepared: &'a Prepared) -> Self {
        let made = &prepared.facts.made;
        Self {
            form: prepared.choice.form,
            why: &prepared.choice.why,
            without_ms: made.without_ms(),
            memory: &made.memory,
            filesystem: &made.filesystem,
            root: shown(&prepared.root),
            config: shown(&prepared.config),
            layers: prepared.layers.iter().map(|path| shown(path)).collect(),
            images: prepared.images.as_deref().map(shown),
        }
    }
}

/// The sources that were fetched.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct FetchedSources<'a> {
    /// The version of this form.
    version: Version<1>,
    /// What became of each source; one for `--distdir`, one for `--backup-to-remote`.
    sources: Vec<Source<'a>>,
}

/// A source, and what became of it.
#[derive(Serialize, JsonSchema)]
struct Source<'a> {
    /// Its repository in the spec.
    repository: &'a str,
    /// The type of its root.
    #[serde(rename = "type")]
    kind: &'a str,
    /// Where its file lies, if it is one and was asked for.
    path: Option<String>,
    /// The tree that the server has, if it was to have it.
    tree: Option<GitId>,
}

impl<'a> FetchedSources<'a> {
    pub(in crate::cli) fn new(sources: &'a [FetchedSource]) -> Self {
        let source = |source: &'a FetchedSource| Source {
            repository: &source.repository,
            kind: source.kind,
            path: source.path.as_deref().map(shown),
            tree: source.tree,
        };
        Self { version: Version, sources: sources.iter().map(source).collect() }
    }
}

/// Whether an environment is there.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ProbedEnvironment {
    /// The version of this form.
    pub(in crate::cli) version: Version<1>,
    /// What it is looked up by: HASH/SIZE; null where only a build tells.
    pub(in crate::cli) key: Option<EnvKey>,
    /// Whether it is there, and where.
    pub(in crate::cli) state: ProbedState,
}

/// Whether an environment is there, and where.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum ProbedState {
    /// It is on this host.
    Here,
    /// The server has it.
    Hit,
    /// It would have to be built.
    Miss,
}

impl ProbedState {
    /// Returns the word for it.
    pub(in crate::cli) fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Hit => "hit",
            Self::Miss => "miss",
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
