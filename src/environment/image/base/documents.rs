//! An image as its documents and archives state it, checked against each other.

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};

use super::super::super::{Build, BuildError};
use super::super::check_count;
use super::super::composition::{Image, step};
use super::super::parts::refused;
use super::archive::addition;
use crate::oci::{Descriptor, History, ImageConfig, Manifest, OciDigest, Platform, ReadLayer};

/// Layers that are read at a time.
const AT_ONCE: usize = 2;

/// The documents of an image.
pub(super) struct Documents {
    pub manifest: Manifest,
    pub config: ImageConfig,
}

/// How a layer that a manifest names is read.
pub(super) type ReadBy<'a> = &'a (dyn Fn(usize, Descriptor) -> BoxFuture<'a, Result<ReadLayer, BuildError>> + Sync);

impl Documents {
    /// Reads a manifest and the configuration that it names.
    ///
    /// # Errors
    /// `Failed` when they are none, or do not belong together.
    pub(super) fn parse(build: &Build<'_>, manifest: &[u8], config: &[u8]) -> Result<Self, BuildError> {
        let manifest = Manifest::parse(manifest).map_err(|error| refused(build, "base", &error))?;
        if manifest.config.size != config.len() as u64 || manifest.config.digest != OciDigest::of(config) {
            let reason =
                format!("base: the configuration is not `{}`, which the manifest names", manifest.config.digest);
            return Err(BuildError::refused(build, reason));
        }
        let config = ImageConfig::parse(config).map_err(|error| refused(build, "base", &error))?;
        manifest.check_config(&config).map_err(|error| refused(build, "base", &error))?;
        Ok(Self { manifest, config })
    }

    /// Refuses an image that is for another platform than the index said that names it.
    ///
    /// # Errors
    /// `Failed`.
    pub(super) fn check_platform(&self, build: &Build<'_>, named: Option<&Platform>) -> Result<(), BuildError> {
        let found = &self.config.platform;
        match named {
            Some(named) if (&named.os, &named.architecture) != (&found.os, &found.architecture) => {
                let reason = format!(
                    "base: its configuration is for `{}`, the index says `{}`",
                    super::shown_platform(found),
                    super::shown_platform(named)
                );
                Err(BuildError::refused(build, reason))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the layers, and returns the image that they come to.
    ///
    /// # Errors
    /// `Failed` when one is not what manifest and configuration say.
    pub(super) async fn image(self, build: &Build<'_>, read_by: ReadBy<'_>) -> Result<Image, BuildError> {
        let Self { manifest, config } = self;
        check_count(build, manifest.layers.len())?;
        let reading: Vec<_> =
            manifest.layers.iter().cloned().enumerate().map(|(number, layer)| read_by(number, layer)).collect();
        let layers: Vec<ReadLayer> = stream::iter(reading).buffered(AT_ONCE).try_collect().await?;
        for (number, ((read, layer), diff_id)) in layers.iter().zip(&manifest.layers).zip(&config.diff_ids).enumerate()
        {
            let wrong = |what: &str, digest: &OciDigest| {
                BuildError::refused(build, format!("base: the {what} of layer {number} is not `{digest}`"))
            };
            if read.blob != layer.blob() {
                return Err(wrong("blob", &layer.digest));
            }
            if OciDigest::from_digest(&read.archive) != Some(*diff_id) {
                return Err(wrong("archive", diff_id));
            }
        }
        let mut history = history(&config).into_iter();
        let additions = layers.into_iter().map(|read| addition(read, history.next().unwrap_or_default())).collect();
        let mut image = Image::empty(build, config).await?;
        image.lay(build, additions).await?;
        Ok(image)
    }
}

/// Returns a step for each layer of a configuration: its own, where they can be told.
pub(super) fn history(config: &ImageConfig) -> Vec<History> {
    let own: Vec<&History> = config.history.iter().filter(|step| !step.empty_layer).collect();
    if own.len() == config.diff_ids.len() {
        return own.into_iter().cloned().collect();
    }
    config.diff_ids.iter().map(|_| step("base".to_owned())).collect()
}
