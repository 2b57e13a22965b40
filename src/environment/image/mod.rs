//! Kind `image`: layers over a base, commands run in it, and the documents that make it a container image.
//!
//! ```text
//! base ─► layers, configuration, root file system ─► a layer for each tree, some for closures ─► one for each command
//!                                                                         configuration, manifest, one tree ◄──┘
//! ```
//!
//! Everything of it is a tree in the CAS; archives are written only to learn their digests, and only once.

mod base;
mod closure;
mod composition;
mod layers;
pub(super) mod parts;
mod run;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{OptionFuture, try_join, try_join_all};

use super::progress::Phase;
use super::publish::Made;
use super::{Build, BuildError};
use crate::oci::KnownArchives;
use crate::spec::ImageFields;

pub use base::{BaseImages, Pulled};
use composition::{Addition, MAX_LAYERS, step};
pub use run::Runs;

/// What builds of this kind share.
pub struct ImageBuilds {
    /// What is known of layers and archives.
    pub archives: KnownArchives,
    /// Registries from which bases are taken; none where that is not allowed.
    pub bases: Option<Arc<dyn BaseImages>>,
    /// How commands are run.
    pub runs: Runs,
}

/// How images are built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// Properties of the actions that run commands, beside those of the spec.
    pub worker: BTreeMap<String, String>,
}

/// Builds the environment.
pub(super) async fn build(build: &Build<'_>, fields: &ImageFields) -> Result<Made, BuildError> {
    base::check_pinned(build, fields.base.as_ref()).await?;
    check_count(build, fields.layers.len() + fields.run.len())?;
    build.progress.phase(Phase::Roots);
    let places: Vec<String> = (0..fields.layers.len()).map(|number| format!("layers[{number}]")).collect();
    let sources: Vec<_> =
        fields.layers.iter().zip(&places).map(|(layer, place)| build.source(place, &layer.from)).collect();
    let base = fields.base.as_ref().and_then(|base| base.source());
    let base = OptionFuture::from(base.map(|source| build.source("base", source)));
    let (base, sources) = try_join(async { base.await.transpose() }, try_join_all(sources)).await?;

    let mut image = base::start(build, fields, base).await?;
    settings::apply(&mut image.config, &fields.config);
    let layers = layers::layers(build, fields, &sources, &image).await?;
    check_count(build, image.count() + layers.len() + fields.run.len())?;
    image.lay(build, layers).await?;
    let mut actions = Vec::new();
    for command in &fields.run {
        let root = image.root_file_system(build).await?;
        let ran = run::run_step(build, &root, &image.config, command).await?;
        actions.push(ran.action);
        let addition = Addition::read(build, ran.layer, step(command.cmd.join(" "))).await?;
        image.lay(build, vec![addition]).await?;
    }
    image.finish(build, actions).await
}

/// Refuses more layers than the overlay file systems of container engines take.
fn check_count(build: &Build<'_>, count: usize) -> Result<(), BuildError> {
    if count <= MAX_LAYERS {
        return Ok(());
    }
    Err(BuildError::refused(build, format!("it has {count} layers; container engines take at most {MAX_LAYERS}")))
}
