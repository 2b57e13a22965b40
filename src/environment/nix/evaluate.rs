//! Evaluation: an action on a worker with Nix, from an expression to derivations.
//!
//! When it needs something built first (import from derivation), that is built as ever, and it begins again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;

use super::super::action::{self, Ran, Task};
use super::super::{Build, BuildError, FailureReason};
use super::graph::Graph;
use super::realise::Realisation;
use super::{path, question};
use crate::digest::Digest;
use crate::nix::StorePath;
use crate::spec::NixFields;
use crate::store::{Directory, Node, StoreError};

/// Most rounds of building what evaluation needs.
const MAX_ROUNDS: usize = 200;
/// Largest file that is read from what evaluation leaves behind.
const MAX_RESULT_BYTES: u64 = 1 << 20;

/// What an expression evaluates to.
pub(super) struct Evaluated {
    /// The derivation.
    pub derivation: StorePath,
    /// The outputs that are wanted of it, in order.
    outputs: Vec<String>,
    /// It, and all that it needs.
    pub graph: Graph,
    /// The store of the evaluation: derivations and sources.
    pub store: Directory,
}

#[derive(Deserialize)]
struct Chosen {
    derivation: String,
    outputs: Vec<String>,
}

impl Evaluated {
    /// Returns the names of the wanted outputs.
    pub(super) fn outputs(&self) -> BTreeSet<String> {
        self.outputs.iter().cloned().collect()
    }

    /// Returns the wanted outputs and their paths, in order.
    ///
    /// # Errors
    /// `Failed` when the derivation has no such output.
    pub(super) fn output_paths(&self, build: &Build<'_>) -> Result<Vec<(String, StorePath)>, BuildError> {
        let derivation = self.graph.get(&self.derivation);
        let one = |name: &String| match derivation.outputs.get(name) {
            Some(output) => Ok((name.clone(), output.path.clone())),
            None => {
                let names: Vec<&str> = derivation.outputs.keys().map(String::as_str).collect();
                let reason = format!("`{}` has no output `{name}`; it has {}", self.derivation, names.join(", "));
                Err(BuildError::refused(build, reason))
            }
        };
        self.outputs.iter().map(one).collect()
    }
}

/// Evaluates the expression of an environment. The actions that this takes are added to `actions`.
pub(super) async fn evaluate(
    build: &Build<'_>,
    fields: &NixFields,
    actions: &mut Vec<Digest>,
) -> Result<Evaluated, BuildError> {
    let inputs = question::inputs(build, fields).await?;
    let mut built = BTreeMap::new();
    for _ in 0..MAX_ROUNDS {
        let ran = run(build, question::input_root(build, fields, inputs.clone(), &built).await?).await?;
        actions.push(ran.action);
        let store = store(build, &ran).await?;
        let Some(needed) = ran.outputs.get(&path("work/needed")) else {
            let chosen = read(build, &ran, ran.outputs.get(&path("work/result"))).await?;
            let chosen: Chosen = serde_json::from_slice(&chosen)
                .map_err(|error| BuildError::refused(build, format!("what it printed is not understood: {error}")))?;
            let derivation = store_path(build, &chosen.derivation)?;
            let graph = Graph::read(build, &store, [derivation.clone()]).await?;
            let evaluated = Evaluated { derivation, outputs: chosen.outputs, graph, store };
            evaluated.output_paths(build)?;
            return Ok(evaluated);
        };
        let needed = String::from_utf8_lossy(&read(build, &ran, Some(needed)).await?).into_owned();
        let wanted = wanted(build, &needed)?;
        let graph = Graph::read(build, &store, wanted.keys().cloned()).await?;
        Realisation::new(build, &graph, &store).realise(wanted.clone()).await?;
        let before = built.len();
        for (derivation, outputs) in wanted {
            for output in outputs {
                let path = graph.output(build, &derivation, &output)?;
                built.insert(format!("{derivation}!{output}"), path);
            }
        }
        if built.len() == before {
            return Err(BuildError::refused(
                build,
                format!("it asks again for what was built for it: {}", needed.trim()),
            ));
        }
    }
    Err(BuildError::refused(build, format!("it needs more than {MAX_ROUNDS} times something built first")))
}

/// Runs one round.
async fn run(build: &Build<'_>, input_root: Digest) -> Result<Ran, BuildError> {
    let task = Task {
        arguments: ["/bin/sh", "evaluate.sh"].map(str::to_owned).to_vec(),
        environment: &BTreeMap::new(),
        input_root,
        outputs: ["work/store/nix/store", "work/result", "work/needed"].map(path).to_vec(),
        timeout: Some(build.nix.options.evaluation_seconds),
        properties: &build.nix.options.evaluator,
    };
    action::run(build, task).await.map_err(|error| error.within(|reason| FailureReason::Evaluation { reason }))
}

/// Returns which outputs of which derivations are needed: `DERIVATION!OUTPUT` between spaces.
fn wanted(build: &Build<'_>, needed: &str) -> Result<BTreeMap<StorePath, BTreeSet<String>>, BuildError> {
    let mut wanted: BTreeMap<StorePath, BTreeSet<String>> = BTreeMap::new();
    for one in needed.split_whitespace() {
        let (derivation, output) = one.split_once('!').unwrap_or((one, "out"));
        wanted.entry(store_path(build, derivation)?).or_default().insert(output.to_owned());
    }
    Ok(wanted)
}

fn store_path(build: &Build<'_>, text: &str) -> Result<StorePath, BuildError> {
    StorePath::parse(text).map_err(|error| BuildError::refused(build, error.to_string()))
}

/// Returns the directory with all derivations and sources.
async fn store(build: &Build<'_>, ran: &Ran) -> Result<Directory, BuildError> {
    // Nothing may have been put there: a constant evaluates without a store, and is no derivation.
    ran.directory(build, &path("work/store/nix/store")).await
}

/// Reads a small file that evaluation left behind.
async fn read(build: &Build<'_>, ran: &Ran, node: Option<&Node>) -> Result<Bytes, BuildError> {
    match node {
        Some(Node::File { digest, .. }) if digest.size() <= MAX_RESULT_BYTES => {
            let missing = StoreError::Missing { digest: *digest, role: "result of an evaluation" };
            Ok(build.store.get(digest).await?.ok_or(missing)?)
        }
        _ => {
            let reason = Box::new(FailureReason::Output { reason: "it left no result of a usable size".to_owned() });
            Err(ran.failed(build, FailureReason::Evaluation { reason }).await?)
        }
    }
}
