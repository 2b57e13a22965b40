//! Kind `tree`: files put together, and perhaps a command run on them.

use std::collections::BTreeMap;

use super::action::{self, Task, compose};
use super::publish::Made;
use super::{Build, BuildError, FailureReason};
use crate::digest::Digest;
use crate::spec::{RelativePath, TreeFields};

pub(super) async fn build(build: &Build<'_>, fields: &TreeFields) -> Result<Made, BuildError> {
    let inputs = build.inputs(&fields.inputs).await?;
    let root = compose(build, inputs).await?;
    match &fields.cmd {
        None => Ok(Made { root, actions: Vec::new(), nix: None, image: None, checkpoint: None }),
        Some(command) => run(build, fields, command, root).await,
    }
}

async fn run(
    build: &Build<'_>,
    fields: &TreeFields,
    command: &[String],
    input_root: Digest,
) -> Result<Made, BuildError> {
    let task = Task {
        arguments: command.to_vec(),
        environment: &fields.env,
        input_root,
        outputs: fields.outs.clone(),
        timeout: fields.timeout,
        properties: &BTreeMap::new(),
    };
    let ran = action::run(build, task).await?;
    let missing = |path: &&RelativePath| !ran.outputs.contains_key(*path);
    let missing: Vec<RelativePath> = fields.outs.iter().filter(missing).cloned().collect();
    if !missing.is_empty() {
        return Err(ran.failed(build, FailureReason::MissingOutputs { paths: missing }).await?);
    }
    let root = compose(build, ran.outputs.into_iter().collect()).await?;
    Ok(Made { root, actions: vec![ran.action], nix: None, image: None, checkpoint: None })
}
