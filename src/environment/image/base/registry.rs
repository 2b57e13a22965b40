//! Bases that other registries have: only those that are pinned by a digest.

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::NamedTempFile;

use super::super::super::{Build, BuildError};
use super::super::composition::Image;
use super::archive;
use super::documents::Documents;
use crate::oci::{Descriptor, OciDigest, Platform, ReadLayer, Reference};
use crate::source::SourceError;
use crate::spec::Base;

/// Where images of other registries come from. Everything that is returned was compared with its digest.
#[async_trait]
pub trait BaseImages: Send + Sync {
    /// Returns the digest that a reference without one has now; `None` where nothing is there.
    ///
    /// It is told to people only; nothing is built from it.
    async fn digest_of_tag(&self, reference: &Reference) -> Result<Option<OciDigest>, SourceError>;

    /// Returns the documents of a pinned image: of an index, those of the manifest that runs best on the platform.
    async fn pull(&self, reference: &Reference, platform: &Platform) -> Result<Pulled, SourceError>;

    /// Returns a file with a layer of the image, as the registry has it. Asked for only when nobody knows the layer.
    async fn layer(&self, reference: &Reference, layer: &Descriptor) -> Result<NamedTempFile, SourceError>;
}

/// The documents of an image.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The manifest.
    pub manifest: Bytes,
    /// The configuration that it names.
    pub config: Bytes,
}

/// Refuses a base whose reference names no digest.
///
/// # Errors
/// `Unpinned`, with what to write instead; `Failed` when the reference is none.
pub(in super::super) async fn check_pinned(build: &Build<'_>, base: Option<&Base>) -> Result<(), BuildError> {
    let Some(Base::Registry { reference: text }) = base else { return Ok(()) };
    let reference = parse(build, text)?;
    if reference.is_pinned() {
        return Ok(());
    }
    let found = match &build.images.bases {
        Some(bases) => bases.digest_of_tag(&reference).await.ok().flatten(),
        None => None,
    };
    let fix = match found {
        Some(digest) => format!("write `{}`, which it is now", reference.pinned(digest)),
        None => format!("write `{reference}@sha256:HASH`, with the digest that it has now"),
    };
    Err(BuildError::Unpinned { environment: build.parts.target(), reference: text.clone(), fix })
}

/// Returns an image of a registry.
///
/// # Errors
/// `Failed` when it is none, or this server takes none from registries; those of the registry.
pub(super) async fn image(build: &Build<'_>, platform: &Platform, text: &str) -> Result<Image, BuildError> {
    let reference = &parse(build, text)?;
    let Some(bases) = &build.images.bases else {
        let reason = format!("base: this server takes no images from registries, such as `{text}`");
        return Err(BuildError::refused(build, reason));
    };
    let Pulled { manifest, config } = bases.pull(reference, platform).await?;
    let documents = Documents::parse(build, &manifest, &config)?;
    let read = |number: usize, layer: Descriptor| async move {
        let place = format!("base: layer {number}, `{}`", layer.digest);
        let open = async { Ok(bases.layer(reference, &layer).await?) };
        archive::read(build, &place, &layer.blob(), Box::pin(open)).await
    };
    let read = |number, layer| -> futures::future::BoxFuture<'_, Result<ReadLayer, BuildError>> {
        Box::pin(read(number, layer))
    };
    documents.image(build, &read).await
}

/// Returns the reference that a text states.
fn parse(build: &Build<'_>, text: &str) -> Result<Reference, BuildError> {
    text.parse().map_err(|error| BuildError::refused(build, format!("base.image: {error}")))
}
