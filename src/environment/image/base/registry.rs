//! Bases that other registries have: only those that are pinned by a digest.

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::NamedTempFile;

use super::super::super::{Build, BuildError};
use crate::oci::{Descriptor, OciDigest, Platform, Reference};
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

    /// Returns a file with a layer of the image, as the registry has it.
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
        None => format!("write `{reference}@sha256:HASH`, with the digest that it has"),
    };
    Err(BuildError::Unpinned { environment: build.parts.target(), reference: text.clone(), fix })
}

/// Returns the reference that a text states.
pub(super) fn parse(build: &Build<'_>, text: &str) -> Result<Reference, BuildError> {
    text.parse().map_err(|error| BuildError::refused(build, format!("base.image: {error}")))
}
