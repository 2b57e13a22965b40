//! The action cache as it may be answered from: whole results only.

use std::collections::HashSet;

use prost::Message;

use super::{Closure, ExecuteError};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::store::{ActionCache, BlobStore, wire};

/// Returns the cached result of an action when all that it reaches is in the CAS; otherwise there is none.
///
/// # Errors
/// When the cache or the store cannot tell.
pub async fn cached_result(
    store: &dyn BlobStore,
    actions: &dyn ActionCache,
    action: &Digest,
) -> Result<Option<reapi::ActionResult>, ExecuteError> {
    let Some(result) = actions.get(action).await? else { return Ok(None) };
    match missing_outputs(store, action.function(), &result).await {
        Ok(missing) if missing.is_empty() => Ok(Some(result)),
        Ok(missing) => {
            tracing::info!(?action, blob = ?missing[0], "cached result has lost an output: a miss");
            Ok(None)
        }
        Err(error @ ExecuteError::Invalid { .. }) => {
            tracing::warn!(?action, %error, "cached result cannot be used: a miss");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns the blobs that a result needs and that are not in the CAS, each once:
/// files, stdout and stderr, trees, and whatever the trees reach.
///
/// # Errors
/// `Invalid` when the result or one of its trees is malformed.
pub async fn missing_outputs(
    store: &dyn BlobStore,
    function: DigestFunction,
    result: &reapi::ActionResult,
) -> Result<Vec<Digest>, ExecuteError> {
    let digest = |field, message: &reapi::Digest| {
        wire::digest(function, field, Some(message)).map_err(|error| invalid(field, error.to_string()))
    };
    let mut needed = Vec::new();
    let mut missing = Vec::new();
    for file in &result.output_files {
        let message = file.digest.as_ref().ok_or_else(|| invalid("output_files", "has no digest"))?;
        needed.push(digest("output_files", message)?);
    }
    for log in [&result.stdout_digest, &result.stderr_digest].into_iter().flatten() {
        needed.push(digest("stdout_digest", log)?);
    }
    for directory in &result.output_directories {
        if directory.tree_digest.is_none() && directory.root_directory_digest.is_none() {
            return Err(invalid("output_directories", "has no digest"));
        }
        if let Some(message) = &directory.tree_digest {
            let tree = digest("tree_digest", message)?;
            match store.get(&tree).await? {
                Some(bytes) => needed.extend(tree_files(function, &bytes)?),
                None => missing.push(tree),
            }
        }
        if let Some(message) = &directory.root_directory_digest {
            let closure = Closure::read(store, digest("root_directory_digest", message)?).await?;
            missing.extend(closure.missing(store).await?);
        }
    }
    missing.extend(store.find_missing(&needed).await?);
    let mut seen = HashSet::new();
    missing.retain(|digest| seen.insert(*digest));
    Ok(missing)
}

/// Returns the contents of all files of a `Tree` blob.
fn tree_files(function: DigestFunction, bytes: &[u8]) -> Result<Vec<Digest>, ExecuteError> {
    const FIELD: &str = "tree_digest";
    let tree = reapi::Tree::decode(bytes).map_err(|_| invalid(FIELD, "does not name a Tree"))?;
    let directories = tree.root.iter().chain(&tree.children);
    let files = directories.flat_map(|directory| &directory.files);
    files
        .map(|file| wire::digest(function, FIELD, file.digest.as_ref()))
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(FIELD, format!("names a Tree in which {error}")))
}

fn invalid(field: &'static str, reason: impl Into<String>) -> ExecuteError {
    ExecuteError::Invalid { what: "action result", field, reason: reason.into() }
}
