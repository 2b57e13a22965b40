//! From derivations to objects of the store: what is missing is built, each thing after what it needs, many at once.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::super::{Build, BuildError};
use super::graph::Graph;
use super::{one, sources};
use crate::nix::StorePath;
use crate::store::Directory;

/// Derivations of one environment that are built at a time; more wait here than at the executor.
const AT_ONCE: usize = 64;

/// Something to be built, and with what.
pub(super) struct Realisation<'a> {
    build: &'a Build<'a>,
    graph: &'a Graph,
    store: &'a Directory,
}

/// The derivations that have to be built, with the outputs that are wanted of each.
type Missing = BTreeMap<StorePath, BTreeSet<String>>;

impl<'a> Realisation<'a> {
    /// Returns a realisation of derivations in a graph; their sources are in the store of the evaluation.
    pub(super) fn new(build: &'a Build<'a>, graph: &'a Graph, store: &'a Directory) -> Self {
        Self { build, graph, store }
    }

    /// Sees to it that outputs of derivations are known, with all that they refer to.
    pub(super) async fn realise(&self, wanted: BTreeMap<StorePath, BTreeSet<String>>) -> Result<(), BuildError> {
        let missing = self.missing(wanted).await?;
        self.check_supported(&missing)?;
        let mut after: BTreeMap<&StorePath, Vec<&StorePath>> = BTreeMap::new();
        let mut waits: BTreeMap<&StorePath, usize> = BTreeMap::new();
        for path in missing.keys() {
            let needs = self.graph.get(path).input_derivations.keys().filter(|input| missing.contains_key(*input));
            waits.insert(path, needs.clone().count());
            needs.for_each(|input| after.entry(input).or_default().push(path));
        }
        let total = u32::try_from(missing.len()).unwrap_or(u32::MAX);
        let mut ready: Vec<&StorePath> =
            waits.iter().filter(|(_, count)| **count == 0).map(|(path, _)| *path).collect();
        let (mut running, mut done) = (FuturesUnordered::new(), 0);
        self.build.progress.actions(done, total);
        loop {
            while running.len() < AT_ONCE
                && let Some(path) = ready.pop()
            {
                running.push(async move { (path, self.one(path).await) });
            }
            let Some((path, built)) = running.next().await else { return Ok(()) };
            built?;
            done += 1;
            self.build.progress.actions(done, total);
            for next in after.remove(path).unwrap_or_default() {
                let count = waits.get_mut(next).expect("all that is missing waits for a number of others");
                *count -= 1;
                if *count == 0 {
                    ready.push(next);
                }
            }
        }
    }

    /// Finds out what has to be built: what is not known, and of what that needs the same. What is known needs nothing.
    async fn missing(&self, wanted: BTreeMap<StorePath, BTreeSet<String>>) -> Result<Missing, BuildError> {
        let mut missing = Missing::new();
        let mut looked = BTreeSet::new();
        let mut waiting: Vec<(StorePath, BTreeSet<String>)> = wanted.into_iter().collect();
        while let Some((path, outputs)) = waiting.pop() {
            if !looked.insert((path.clone(), outputs.clone())) {
                continue;
            }
            if let Some(known) = missing.get_mut(&path) {
                known.extend(outputs);
                continue;
            }
            if self.is_known(&path, &outputs).await? {
                continue;
            }
            let inputs = &self.graph.get(&path).input_derivations;
            waiting.extend(inputs.iter().map(|(path, outputs)| (path.clone(), outputs.clone())));
            missing.insert(path, outputs);
        }
        Ok(missing)
    }

    async fn is_known(&self, path: &StorePath, outputs: &BTreeSet<String>) -> Result<bool, BuildError> {
        let paths: Vec<StorePath> =
            outputs.iter().map(|name| self.graph.output(self.build, path, name)).collect::<Result<_, _>>()?;
        Ok(self.build.nix.paths.closure(paths).await?.is_some())
    }

    fn check_supported(&self, missing: &Missing) -> Result<(), BuildError> {
        for path in missing.keys() {
            let derivation = self.graph.get(path);
            derivation
                .check_supported()
                .map_err(|error| BuildError::refused(self.build, format!("the derivation `{path}`: {error}")))?;
        }
        Ok(())
    }

    /// Builds one derivation whose inputs are known. Whoever else needs it at the same time waits.
    async fn one(&self, path: &StorePath) -> Result<(), BuildError> {
        let nix = self.build.nix;
        let _turn = nix.turns.take(&path.to_string()).await;
        let derivation = self.graph.get(path);
        if self.is_known(path, &derivation.outputs.keys().cloned().collect()).await? {
            return Ok(());
        }
        sources::take_in(self.build, self.store, &derivation.input_sources).await?;
        let mut inputs: BTreeSet<StorePath> = derivation.input_sources.clone();
        for (input, outputs) in &derivation.input_derivations {
            for name in outputs {
                inputs.insert(self.graph.output(self.build, input, name)?);
            }
        }
        let inputs = super::closure(self.build, inputs).await?;
        one::build(self.build, path, derivation, &inputs).await
    }
}
