//! Environments: from a description in an environments file to a descriptor in the CAS. A file per kind.
//!
//! A kind plans actions and has them run; where blobs lie, who executes and how
//! the environments it uses come about is handed in with `Build`.

mod action;
mod build;
mod checkpoint;
mod definition;
mod error;
mod image;
mod nix;
mod plan;
mod priority;
mod progress;
mod publish;
mod tree;

pub use build::{Build, Dependencies};
pub use checkpoint::CheckpointOptions;
pub use definition::{Files, definition, definition_at, describe, environments_at, joined};
pub use error::{BuildError, Failure, FailureReason};
pub use image::{BaseImages, ImageBuilds, ImageOptions, Pulled, Runs};
pub use nix::{NixBuilds, NixOptions};
pub use plan::{Known, Met, Plan, plan, survey};
pub use priority::Priority;
pub use progress::{Phase, Progress, ProgressSink};
pub use publish::Published;

use crate::spec::Kind;

/// How often a build begins. A corrupt blob is found when it is read, so each attempt may find another.
const ATTEMPTS: u32 = 8;

/// Builds an environment that is not in the cache. When a blob is lost on the way (evicted, or found corrupt),
/// the build begins again, which puts it back.
///
/// # Errors
/// `BuildError::Failed` when the environment itself is at fault; every other error leaves open whether it could be built.
///
/// # Cancel safety
/// Dropping the future stops the action that runs. Nothing is published before the end.
pub async fn build(build: &Build<'_>) -> Result<Published, BuildError> {
    let mut fresh = build.fresh;
    for _ in 1..ATTEMPTS {
        match build_once(&Build { fresh, ..*build }).await {
            Err(error) if error.is_lost_blob() => {
                tracing::warn!(environment = build.parts.target(), %error, "a blob was lost during the build: once more");
            }
            result => return result,
        }
        fresh = true;
    }
    build_once(&Build { fresh, ..*build }).await
}

async fn build_once(build: &Build<'_>) -> Result<Published, BuildError> {
    let definition = definition(build.sources, build.parts).await?;
    let environment = definition.expand(&build.parts.effective_config)?;
    let made = match &environment.kind {
        Kind::Tree(fields) => tree::build(build, fields).await?,
        Kind::Nix(fields) => nix::build(build, fields).await?,
        Kind::Image(fields) => image::build(build, fields).await?,
        Kind::Checkpoint(fields) => checkpoint::build(build, fields).await?,
    };
    publish::publish(build, definition.kind_name(), made, environment.provides).await
}
