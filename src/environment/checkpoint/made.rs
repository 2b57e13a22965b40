//! What the worker left, as `checkpoint/outcome.rs` says, and nothing else: whoever wakes it up does so by it.

use super::super::action::Ran;
use super::super::image::parts;
use super::super::{Build, BuildError, FailureReason};
use super::name;
use crate::checkpoint::{LAYER_PREFIX, MADE, MEMORY, OUTCOME, Order, Outcome, image_files};
use crate::digest::Digest;
use crate::oci::StoredLayer;
use crate::spec::{Form, Made};
use crate::store::{Directory, Listing, Node, StoreError, collect_tree};

/// Largest outcome that is read.
const MAX_OUTCOME: u64 = 1 << 20;
/// Most layers.
const MAX_LAYERS: usize = 16;
/// Most files that CRIU writes.
const MAX_FILES: usize = 10_000;
/// Most pieces of all of them.
const MAX_PIECES: usize = 1 << 20;

/// What the worker left.
pub(super) struct Left {
    /// The forms.
    pub(super) made: Made,
    /// The layers that they use, the lowest first.
    pub(super) layers: Vec<StoredLayer>,
    /// What CRIU wrote.
    pub(super) memory: Option<Digest>,
}

/// Reads what the worker left.
///
/// # Errors
/// `Failed` when it is not as it has to be.
pub(super) async fn read(build: &Build<'_>, ran: &Ran) -> Result<Left, BuildError> {
    let left = ran.directory(build, &name(MADE)).await?;
    let outcome = match left.get(OUTCOME) {
        Some(Node::File { digest, .. }) if digest.size() <= MAX_OUTCOME => {
            parts::document(build, digest, "outcome of a checkpoint").await?
        }
        _ => return Err(unusable(build, ran, format!("it left no `{MADE}/{OUTCOME}` that can be read")).await?),
    };
    let used = match outcome_of(&outcome) {
        Ok(outcome) => outcome,
        Err(reason) => return Err(unusable(build, ran, reason).await?),
    };
    let memory = match (&used.made.memory, left.get(MEMORY)) {
        (Form::Refused { .. }, _) => None,
        (Form::Published { .. }, Some(Node::Directory { digest })) => {
            if let Err(reason) = check_memory(build, *digest).await? {
                return Err(unusable(build, ran, reason).await?);
            }
            Some(*digest)
        }
        (Form::Published { .. }, _) => {
            return Err(unusable(build, ran, format!("it left no directory `{MADE}/{MEMORY}`")).await?);
        }
    };
    let layers = layers(build, ran, &left, used.layers).await?;
    Ok(Left { made: used.made, layers, memory })
}

/// Returns the failure of an action that did not leave what it should.
async fn unusable(build: &Build<'_>, ran: &Ran, reason: String) -> Result<BuildError, BuildError> {
    ran.failed(build, FailureReason::Output { reason }).await
}

/// Reads an outcome, with as many layers as its forms use.
fn outcome_of(bytes: &[u8]) -> Result<Outcome, String> {
    let outcome: Outcome = serde_json::from_slice(bytes)
        .map_err(|error| format!("`{OUTCOME}` is not of the form that is known: {error}"))?;
    if outcome.version != Order::VERSION {
        return Err(format!("`{OUTCOME}` is of version {}, and {} is known", outcome.version, Order::VERSION));
    }
    let used = |form: &Form| match form {
        Form::Published { layers, .. } => *layers,
        Form::Refused { .. } => 0,
    };
    let used = used(&outcome.made.memory).max(used(&outcome.made.filesystem));
    if used > outcome.layers || used > MAX_LAYERS {
        return Err(format!("a form has {used} layers, of {} that there are", outcome.layers));
    }
    Ok(Outcome { layers: used, ..outcome })
}

async fn layers(build: &Build<'_>, ran: &Ran, left: &Directory, count: usize) -> Result<Vec<StoredLayer>, BuildError> {
    let mut layers = Vec::new();
    for number in 0..count {
        let archive = format!("{LAYER_PREFIX}{number}.tar");
        let Some(Node::File { digest, .. }) = left.get(&archive) else {
            return Err(unusable(build, ran, format!("it left no file `{MADE}/{archive}`")).await?);
        };
        // Programs compare times of what they wrote with times in the image.
        let layer = parts::upper_layer(build, ran, digest, true).await?;
        let attributes = build.store.put(build.function, layer.attributes.canonical().into()).await?;
        layers.push(StoredLayer { root: layer.root, attributes });
    }
    Ok(layers)
}

/// Says what is wrong with the directory that CRIU filled, if anything is.
async fn check_memory(build: &Build<'_>, memory: Digest) -> Result<Result<(), String>, BuildError> {
    let tree = collect_tree(build.store, memory).await?;
    let wrong = |source| StoreError::Directory { digest: memory, source };
    let listing = Listing::parse(memory, &tree).map_err(wrong)?;
    let (files, pieces) = match image_files(&listing) {
        Ok(files) => (files.len(), listing.files.len()),
        Err(error) => return Ok(Err(error.to_string())),
    };
    if files == 0 || files > MAX_FILES || pieces > MAX_PIECES {
        return Ok(Err(format!("its memory has {files} files in {pieces} pieces")));
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn outcome(memory: &Value, filesystem: &Value, layers: usize) -> Value {
        let host = json!({
            "version": 1, "cpu-vendor": "", "cpu-family": "", "cpu-model": "", "cpu-flags": "", "cpu-capabilities": "",
            "xsave-features": "", "xsave-size": "", "kernel-release": "", "criu-version": "", "runc-version": "",
            "user-map": "",
        });
        let made = json!({"host": host, "cold_ms": 9, "warmup_ms": 1, "memory": memory, "filesystem": filesystem});
        json!({"version": 1, "made": made, "layers": layers})
    }

    fn published(layers: usize) -> Value {
        json!({"published": {"ready_ms": 5, "layers": layers}})
    }

    fn read(outcome: &Value) -> Result<usize, String> {
        outcome_of(outcome.to_string().as_bytes()).map(|outcome| outcome.layers)
    }

    #[test]
    fn layers_that_no_form_uses_are_left_out() {
        let refused = json!({"refused": {"reason": "slower than cold"}});
        assert_eq!(read(&outcome(&published(1), &published(2), 2)), Ok(2));
        assert_eq!(read(&outcome(&published(1), &refused, 2)), Ok(1));
        assert_eq!(read(&outcome(&refused, &refused, 2)), Ok(0));
    }

    #[test]
    fn an_outcome_that_is_not_of_the_form_is_refused() {
        let good = outcome(&published(1), &published(2), 2);
        assert!(read(&outcome(&published(3), &published(2), 2)).unwrap_err().contains("3 layers, of 2"));
        assert!(read(&outcome(&published(1), &published(99), 99)).is_err());
        for (field, value) in [("version", json!(2)), ("more", json!(1)), ("made", json!(null)), ("layers", json!(-1))]
        {
            let mut changed = good.clone();
            changed[field] = value;
            assert!(read(&changed).is_err(), "{field}");
        }
        assert!(outcome_of(b"").is_err() && outcome_of(b"\xff{}").is_err());
    }
}
