//! Objects that nobody builds: the sources that an evaluation has copied to its store.

use std::collections::BTreeSet;

use super::super::{Build, BuildError};
use crate::nix::{PathInfo, StorePath, ValidPath, nar_facts};
use crate::store::Directory;

/// Makes sources known, with the sources that they refer to.
pub(super) async fn take_in(
    build: &Build<'_>,
    store: &Directory,
    sources: &BTreeSet<StorePath>,
) -> Result<(), BuildError> {
    let paths = &build.nix.paths;
    let mut waiting: Vec<StorePath> = sources.iter().cloned().collect();
    let mut looked = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !looked.insert(path.clone()) {
            continue;
        }
        let known = match paths.get(path.hash_part()).await? {
            Some(known) if known.path == path => known,
            _ => learn(build, store, path).await?,
        };
        waiting.extend(known.info.references);
    }
    Ok(())
}

/// Finds out what Nix has to know of a source.
async fn learn(build: &Build<'_>, store: &Directory, path: StorePath) -> Result<ValidPath, BuildError> {
    let absent = || BuildError::refused(build, format!("the source `{path}` was not left behind by the evaluation"));
    let node = store.get(path.base_name()).ok_or_else(absent)?.clone();
    let all = store.iter().filter_map(|(name, _)| StorePath::from_base_name(name).ok());
    let facts = nar_facts(build.store, node.clone(), &build.nix.scratch, all).await;
    let (nar, references) = facts.map_err(|source| BuildError::archive(build, &path, source))?;
    let info = PathInfo { nar, references, content_address: None };
    let known = ValidPath::of(build.store, path, node, info, None).await?;
    build.nix.paths.put(&known).await?;
    Ok(known)
}
