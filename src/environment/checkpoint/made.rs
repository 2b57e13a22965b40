//! What the worker left, as `checkpoint/outcome.rs` says, and nothing else: whoever wakes it up does so by it.

use super::super::action::Ran;
use super::super::image::parts;
use super::super::{Build, BuildError, FailureReason};
use super::name;
use crate::checkpoint::{LAYER_PREFIX, MADE, MEMORY, OUTCOME, Order, Outcome};
use crate::digest::Digest;
use crate::oci::StoredLayer;
use crate::spec::{Form, Made, shown};
use crate::store::{Directory, Node};

/// Largest outcome that is read.
const MAX_OUTCOME: u64 = 1 << 20;
/// Most layers.
const MAX_LAYERS: usize = 16;
/// Most files that CRIU writes.
const MAX_FILES: usize = 10_000;
/// Most chunks of all of them.
const MAX_CHUNKS: usize = 1 << 20;
/// Longest name of a file.
const MAX_NAME: usize = 200;
/// What names of files and chunks end with.
const COMPRESSED: &str = ".zst";
/// How many digits the name of a chunk has.
const DIGITS: usize = 6;

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
    let files = parts::directory(build, memory).await?;
    let (count, mut chunks) = (files.iter().count(), 0);
    if count == 0 || count > MAX_FILES {
        return Ok(Err(format!("`{MADE}/{MEMORY}` has {count} entries; 1 to {MAX_FILES} are taken")));
    }
    for (name, node) in files.iter() {
        let wrong = || Ok(Err(format!("`{MADE}/{MEMORY}/{}` is not as it should be", shown(name))));
        match node {
            Node::File { .. } if name.strip_suffix(COMPRESSED).is_some_and(is_name) => {}
            Node::Directory { digest } if is_name(name) => {
                let directory = parts::directory(build, *digest).await?;
                if !are_chunks(&directory) {
                    return wrong();
                }
                chunks += directory.iter().count();
            }
            _ => return wrong(),
        }
    }
    if chunks > MAX_CHUNKS {
        return Ok(Err(format!("`{MADE}/{MEMORY}` has {chunks} chunks; {MAX_CHUNKS} are the most")));
    }
    Ok(Ok(()))
}

/// Says whether a name is one of a file that CRIU or runc writes.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fits)
}

/// Says whether a directory has chunks from number 0 on, and nothing else.
fn are_chunks(directory: &Directory) -> bool {
    let are = directory.iter().enumerate().all(|(number, (name, node))| {
        matches!(node, Node::File { .. }) && name == format!("{number:0DIGITS$}{COMPRESSED}")
    });
    are && directory.iter().next().is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::digest::DigestFunction;

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

    #[test]
    fn names_are_plain_and_chunks_are_numbered_from_zero() {
        for name in ["pages-1.img", "core-12.img", "descriptors.json", "tmpfs-dev-73.tar.gz.img", "x_y"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a b", "a\nb", "é", &"x".repeat(MAX_NAME + 1)] {
            assert!(!is_name(name), "{name}");
        }
        let digest = DigestFunction::Blake3.empty();
        let chunks = |names: &[&str], node: &Node| {
            let mut tree = crate::store::MerkleTree::default();
            for at in names {
                tree.insert(&name(at), node.clone()).expect("free");
            }
            let (root, directories) = tree.encode(DigestFunction::Blake3);
            let bytes = directories.into_iter().find(|(digest, _)| *digest == root).expect("the root").1;
            are_chunks(&Directory::parse(DigestFunction::Blake3, &bytes).expect("just written"))
        };
        let (file, directory) = (Node::File { digest, executable: false }, Node::Directory { digest });
        assert!(chunks(&["000000.zst", "000001.zst"], &file));
        for wrong in [&[][..], &["000001.zst"], &["000000.zst", "000002.zst"], &["0.zst"], &["000000.zst", "x"]] {
            assert!(!chunks(wrong, &file), "{wrong:?}");
        }
        assert!(!chunks(&["000000.zst"], &directory));
    }
}
