//! One build: its inputs, and the places that it works with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::future::try_join_all;

use super::priority::Priority;
use super::progress::{Phase, ProgressSink};
use super::{BuildError, CheckpointOptions, ImageBuilds, NixBuilds, definition};
use crate::digest::DigestFunction;
use crate::execute::Execution;
use crate::source::{Sources, lookup};
use crate::spec::{Descriptor, KeyParts, Origin, RelativePath, Source};
use crate::store::{BlobStore, Node};

/// How an environment comes to those that it uses.
#[async_trait]
pub trait Dependencies: Send + Sync {
    /// Returns the descriptor of an environment, from the cache or after building it.
    async fn environment(&self, parts: KeyParts) -> Result<Arc<Descriptor>, BuildError>;
}

/// Everything that a kind needs to build one environment.
pub struct Build<'a> {
    /// What is asked for.
    pub parts: &'a KeyParts,
    /// Remote-execution properties of every action.
    pub properties: &'a BTreeMap<String, String>,
    /// Function of every digest made here.
    pub function: DigestFunction,
    /// Roots.
    pub sources: &'a Sources,
    /// The endpoint's CAS.
    pub store: &'a dyn BlobStore,
    /// The endpoint's executor.
    pub execution: &'a dyn Execution,
    /// What builds of derivations share.
    pub nix: &'a NixBuilds,
    /// What builds of images share.
    pub images: &'a ImageBuilds,
    /// How checkpoints are made.
    pub checkpoints: &'a CheckpointOptions,
    /// The environments it uses.
    pub dependencies: &'a dyn Dependencies,
    /// Whether actions are run even if their results are known: what those name is gone.
    pub fresh: bool,
    /// When it began.
    pub started: Instant,
    /// The priority of its actions.
    pub priority: &'a Priority,
    /// Where it tells of its progress.
    pub progress: &'a ProgressSink,
}

impl Build<'_> {
    /// Returns the nodes that the sources stand for, side by side, in their order; their blobs are in the CAS.
    ///
    /// # Errors
    /// When a source is not known, or has no such path.
    pub(super) async fn inputs(
        &self,
        inputs: &BTreeMap<RelativePath, Source>,
    ) -> Result<Vec<(RelativePath, Node)>, BuildError> {
        self.progress.phase(Phase::Roots);
        let resolve = |(at, source)| async move {
            let at = RelativePath::clone(at);
            let node = self.source(at.as_str(), source).await?.node;
            Ok((at, node))
        };
        try_join_all(inputs.iter().map(resolve)).await
    }

    /// Returns what a source stands for; its blobs are in the CAS. Messages call it by `input`.
    ///
    /// # Errors
    /// When it is not known, or has no such path.
    pub(super) async fn source(&self, input: &str, source: &Source) -> Result<Resolved, BuildError> {
        let (root, source_name, environment) = match &source.origin {
            Origin::Root { binding } => {
                let (name, tree) = definition::bound_root(self.parts, binding.as_deref())?;
                (self.sources.directory(tree).await?, name, None)
            }
            Origin::Environment(reference) => {
                let parts = definition::dependency(self.sources, self.parts, reference).await?;
                let name = format!("environment `{}`", parts.target());
                let descriptor = self.dependencies.environment(parts).await?;
                if descriptor.checkpoint.is_some() {
                    let reason = format!(
                        "input `{input}`: {name} is a checkpoint, with what was in the memory of a service, and no input \
                         of other environments"
                    );
                    return Err(BuildError::refused(self, reason));
                }
                (descriptor.root, name, Some(descriptor))
            }
        };
        let missing = || BuildError::NoPath {
            environment: self.parts.target(),
            input: input.to_owned(),
            path: source.path.clone(),
            source_name,
        };
        let node = lookup(self.store, root, &source.path).await?.ok_or_else(missing)?;
        let of_image = environment.as_ref().is_some_and(|descriptor| descriptor.image.is_some());
        Ok(Resolved { node, of_image, environment: environment.filter(|_| source.path.is_root()) })
    }
}

/// What a source stands for.
pub(super) struct Resolved {
    /// The file, directory or symlink.
    pub node: Node,
    /// Whether it lies in an image environment.
    pub of_image: bool,
    /// The environment, when it is the whole of one.
    pub environment: Option<Arc<Descriptor>>,
}
