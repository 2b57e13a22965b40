//! The derivations that something needs, read from the store of an evaluation.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Build, BuildError};
use crate::digest::Digest;
use crate::nix::{Derivation, MAX_DERIVATION_BYTES, StorePath};
use crate::store::{Directory, Node, StoreError};

/// Most derivations that one environment may need.
const MAX_DERIVATIONS: usize = 200_000;

/// Derivations with all that they need, however indirectly.
pub(super) struct Graph {
    derivations: BTreeMap<StorePath, Derivation>,
}

impl Graph {
    /// Reads derivations and all that they need.
    pub(super) async fn read(
        build: &Build<'_>,
        store: &Directory,
        roots: impl IntoIterator<Item = StorePath>,
    ) -> Result<Self, BuildError> {
        let mut derivations = BTreeMap::new();
        let mut level: BTreeSet<StorePath> = roots.into_iter().collect();
        while !level.is_empty() {
            if derivations.len() + level.len() > MAX_DERIVATIONS {
                return Err(BuildError::refused(build, format!("it needs more than {MAX_DERIVATIONS} derivations")));
            }
            let mut next = BTreeSet::new();
            for (path, derivation) in read_level(build, store, level).await? {
                next.extend(derivation.input_derivations.keys().cloned());
                derivations.insert(path, derivation);
            }
            next.retain(|path| !derivations.contains_key(path));
            level = next;
        }
        Ok(Self { derivations })
    }

    /// Returns a derivation that was read.
    pub(super) fn get(&self, path: &StorePath) -> &Derivation {
        self.derivations.get(path).expect("a graph has all that its derivations need")
    }

    /// Returns the path of an output.
    ///
    /// # Errors
    /// `Failed` when the derivation has no such output.
    pub(super) fn output(&self, build: &Build<'_>, path: &StorePath, name: &str) -> Result<StorePath, BuildError> {
        let output = self.get(path).outputs.get(name);
        let unknown =
            || BuildError::refused(build, format!("`{path}` has no output `{name}`, which another derivation needs"));
        Ok(output.ok_or_else(unknown)?.path.clone())
    }
}

async fn read_level(
    build: &Build<'_>,
    store: &Directory,
    level: BTreeSet<StorePath>,
) -> Result<Vec<(StorePath, Derivation)>, BuildError> {
    let digest = |path: &StorePath| match store.get(path.base_name()) {
        Some(Node::File { digest, .. }) if digest.size() <= MAX_DERIVATION_BYTES as u64 => Ok(*digest),
        _ => Err(BuildError::refused(build, format!("the derivation `{path}` was not left behind by the evaluation"))),
    };
    let digests: Vec<Digest> = level.iter().map(digest).collect::<Result<_, _>>()?;
    let texts = build.store.get_batch(&digests).await?;
    let one = |(path, digest): (StorePath, Digest)| {
        let text = texts.get(&digest).ok_or(StoreError::Missing { digest, role: "derivation" })?;
        let derivation = Derivation::parse(text);
        let derivation =
            derivation.map_err(|error| BuildError::refused(build, format!("the derivation `{path}`: {error}")))?;
        Ok((path, derivation))
    };
    level.into_iter().zip(digests).map(one).collect()
}
