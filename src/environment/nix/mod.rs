//! Kind `nix`: what an expression evaluates to, built derivation by derivation.
//!
//! One action evaluates, on a worker that has Nix; then there is an action for each derivation, on any worker that
//! allows user namespaces. An object of the store that is known already, whoever needed it, is taken as it is.

mod checks;
mod evaluate;
mod fixed;
mod graph;
mod one;
mod question;
mod realise;
mod shell;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bytes::Bytes;

use super::action::compose;
use super::publish::Made;
use super::{Build, BuildError};
use crate::nix::{StorePath, ValidPath, ValidPaths, registration};
use crate::source::Turns;
use crate::spec::{NixFacts, NixFields, NixMode, NixOutput, RelativePath};
use crate::store::Node;

use realise::Realisation;

/// What builds of this kind share.
pub struct NixBuilds {
    /// The objects that are known.
    pub paths: ValidPaths,
    /// Who builds which derivation now.
    pub turns: Turns,
    /// How the operator wants them built.
    pub options: NixOptions,
    /// Where large files wait while they are looked at.
    pub scratch: PathBuf,
}

/// How an operator wants derivations built.
#[derive(Debug, Clone)]
pub struct NixOptions {
    /// Properties that choose a worker with Nix.
    pub evaluator: BTreeMap<String, String>,
    /// Properties that give an action the network, for fixed outputs; none of them gets it without any.
    pub network: BTreeMap<String, String>,
    /// Seconds that one evaluation may take.
    pub evaluation_seconds: u64,
}

impl Default for NixOptions {
    fn default() -> Self {
        Self { evaluator: BTreeMap::new(), network: BTreeMap::new(), evaluation_seconds: 600 }
    }
}

/// Builds the environment.
pub(super) async fn build(build: &Build<'_>, fields: &NixFields) -> Result<Made, BuildError> {
    if build.fresh {
        build.nix.paths.doubt_all();
    }
    // Those of the derivations are many, and belong to other environments as well.
    let mut actions = Vec::new();
    let evaluated = evaluate::evaluate(build, fields, &mut actions).await?;
    let realisation = Realisation::new(build, &evaluated.graph, &evaluated.store);
    realisation.realise(BTreeMap::from([(evaluated.derivation.clone(), evaluated.outputs())])).await?;
    let outputs = evaluated.output_paths(build)?;
    let closure = closure(build, outputs.iter().map(|(_, path)| path.clone())).await?;
    let variables = match fields.mode {
        NixMode::Build => None,
        NixMode::Shell => Some(shell::variables(build, &outputs, &closure).await?),
    };
    let root = compose_root(build, &closure).await?;
    let output = |(name, path): (String, StorePath)| NixOutput { name, path: path.base_name().to_owned() };
    let facts = NixFacts { outputs: outputs.into_iter().map(output).collect(), variables };
    Ok(Made { root, actions, nix: Some(facts), image: None, checkpoint: None })
}

/// Returns objects that were built or found, with all that they refer to.
///
/// # Errors
/// `LostPath` when one of them has gone since.
async fn closure(
    build: &Build<'_>,
    roots: impl IntoIterator<Item = StorePath>,
) -> Result<BTreeMap<StorePath, ValidPath>, BuildError> {
    let roots: BTreeSet<StorePath> = roots.into_iter().collect();
    let lost = || BuildError::LostPath { paths: roots.iter().cloned().collect() };
    build.nix.paths.closure(roots.clone()).await?.ok_or_else(lost)
}

/// Puts the tree of the environment together: the closure, and the text that registers it.
async fn compose_root(
    build: &Build<'_>,
    closure: &BTreeMap<StorePath, ValidPath>,
) -> Result<crate::digest::Digest, BuildError> {
    let text = Bytes::from(registration(closure));
    let digest = build.store.put(build.function, text).await?;
    let mut nodes = store_nodes("nix/store", closure);
    nodes.push((path("registration"), Node::File { digest, executable: false }));
    compose(build, nodes).await
}

/// Returns objects as nodes of a directory.
fn store_nodes(directory: &str, closure: &BTreeMap<StorePath, ValidPath>) -> Vec<(RelativePath, Node)> {
    let directory = path(directory);
    let at = |path: &StorePath| directory.join(path.base_name()).expect("a base name is one component");
    closure.iter().map(|(path, known)| (at(path), known.node.clone())).collect()
}

/// Returns a path that is written here.
fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).expect("it is written with care")
}
