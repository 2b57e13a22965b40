//! Kind `checkpoint`: a service of an image, started and warmed up by one action, which keeps it in two forms.
//!
//! ```text
//! image ─► its configuration, its root file system as an archive, the order ─► worker ─► what it left (made.rs) ─► one tree
//! ```
//!
//! The worker is this program itself (`checkpoint/`), at a host that can make containers and has CRIU.

mod made;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join;

use super::action::{self, Ran, Task, compose};
use super::image::parts;
use super::progress::Phase;
use super::publish::Made;
use super::{Build, BuildError, FailureReason};
use crate::checkpoint::{COMMAND, CONFIG, MADE, ORDER, Order, ROOT_ARCHIVE, Stored};
use crate::digest::Digest;
use crate::execute::{CheckpointWorker, ExecuteError};
use crate::oci::StoredImage;
use crate::spec::{CheckpointFacts, CheckpointFields, Descriptor, ImageFacts, RelativePath, Service, Source};
use crate::store::Node;

/// Where workers find the program, and runc and CRIU. An embedded executor has all three without that.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Has an embedded executor run it.
const PROPERTY: (&str, &str) = ("checkpoint", "criu");
/// On which host: what an action came to on another one is not taken for its result.
const HOST_PROPERTY: &str = "checkpoint-host";
/// Exit code of a worker that lacks something.
const LACKING: i32 = 125;
/// Bytes that are shown of what such a worker says.
const SHOWN: usize = 2000;

/// How checkpoints are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// Properties of the actions that make them, beside those of the spec.
    pub worker: BTreeMap<String, String>,
}

/// Builds the environment.
pub(super) async fn build(build: &Build<'_>, fields: &CheckpointFields) -> Result<Made, BuildError> {
    let properties = properties(build).await?;
    build.progress.phase(Phase::Roots);
    let (image, facts, stored) = image(build, &fields.image).await?;
    let variables = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    let task = Task {
        arguments: COMMAND.map(str::to_owned).to_vec(),
        environment: &variables,
        input_root: input_root(build, &stored, &fields.service).await?,
        outputs: vec![name(MADE)],
        timeout: None,
        properties: &properties,
    };
    // What others have put into the action cache is not taken: CRIU does as root what it says.
    let ran = action::run(&Build { fresh: true, ..*build }, task).await.map_err(told)?;
    let left = made::read(build, &ran).await.map_err(told)?;
    let Ran { action, .. } = ran;
    let stored = Stored { image: image.root, layers: left.layers, memory: left.memory };
    let root = compose(build, stored.nodes()).await?;
    let service = fields.service.clone();
    let checkpoint = CheckpointFacts { image: facts, service, made: left.made, sensitive: true };
    Ok(Made { root, actions: vec![action], nix: None, image: None, checkpoint: Some(checkpoint) })
}

fn name(name: &str) -> RelativePath {
    RelativePath::parse(name).expect("it is a name")
}

/// Returns the properties by which the action comes to a worker that can make checkpoints.
async fn properties(build: &Build<'_>) -> Result<BTreeMap<String, String>, BuildError> {
    let environment = || build.parts.target();
    let failed = |source| BuildError::Execute { environment: environment(), source: Box::new(source) };
    let mut properties = build.checkpoints.worker.clone();
    match build.execution.checkpoints().await.map_err(failed)? {
        CheckpointWorker::Own(host) => {
            properties.insert(PROPERTY.0.to_owned(), PROPERTY.1.to_owned());
            properties.insert(HOST_PROPERTY.to_owned(), host.to_string());
        }
        CheckpointWorker::Elsewhere if properties.is_empty() => {
            return Err(BuildError::CheckpointWorker { environment: environment() });
        }
        CheckpointWorker::Elsewhere => {}
    }
    Ok(properties)
}

/// Returns the image that the service runs in.
///
/// # Errors
/// `Failed` when the source is none.
async fn image(build: &Build<'_>, source: &Source) -> Result<(Arc<Descriptor>, ImageFacts, StoredImage), BuildError> {
    let resolved = build.source("image", source).await?;
    let facts = resolved.environment.as_ref().and_then(|descriptor| descriptor.image.clone());
    let (Some(descriptor), Some(facts)) = (resolved.environment, facts) else {
        let reason = "image: it is no environment of kind `image`, whose name `{\"env\": NAME}` would give";
        return Err(BuildError::refused(build, reason.to_owned()));
    };
    let wrong = |error| BuildError::StoredImage { environment: build.parts.target(), source: Box::new(error) };
    let stored = StoredImage::read(build.store, descriptor.root).await.map_err(wrong)?;
    Ok((descriptor, facts, stored))
}

/// Returns what the worker is told.
async fn input_root(build: &Build<'_>, image: &StoredImage, service: &Service) -> Result<Digest, BuildError> {
    let root = &image.root_file_system;
    let attributes = parts::attributes(build, &root.attributes).await?;
    let order = Order { version: Order::VERSION, service: service.clone() };
    let order = serde_json::to_vec(&order).expect("an order has text as keys");
    let archive = build.images.runs.archive(build, root, &attributes);
    let order = async { Ok(build.store.put(build.function, order.into()).await?) };
    let (archive, order) = try_join(archive, order).await?;
    let file = |at: &str, digest| (name(at), Node::File { digest, executable: false });
    compose(build, vec![file(ORDER, order), file(CONFIG, image.config), file(ROOT_ARCHIVE, archive)]).await
}

/// Tells a worker that lacks something from a service that is at fault.
fn told(error: BuildError) -> BuildError {
    match error {
        BuildError::Failed(failure) if matches!(failure.reason, FailureReason::Exit { code: LACKING }) => {
            let source = Box::new(ExecuteError::WorkerLacks { said: error_of(&failure.log_tail) });
            BuildError::Execute { environment: failure.environment, source }
        }
        error => error.within(|reason| FailureReason::Checkpoint { reason }),
    }
}

/// Returns what a program says at its end, in one line: its error, and what can be done about it.
fn error_of(log: &[u8]) -> String {
    let end = String::from_utf8_lossy(&log[log.len().saturating_sub(SHOWN)..]);
    let error = end.rfind("error: ").map_or(&*end, |at| &end[at + "error: ".len()..]);
    let lines = error.lines().map(|line| line.trim().trim_start_matches("hint: ")).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_one_line_with_its_hint() {
        let log = b"working in `/x`\nerror: `runc` is not installed\nhint: install the package `runc`\n";
        assert_eq!(error_of(log), "`runc` is not installed; install the package `runc`");
        assert_eq!(error_of(b"envserve: not found\n"), "envserve: not found");
        assert_eq!(error_of(&[b'x'; 5000]).len(), SHOWN);
    }
}
