//! Registries elsewhere: images that bases name, pulled by digest.
//!
//! The requests are those of `fetch`: attempts, resumption, redirects, trust. What is added here is who asks
//! (`repository`, `challenge`, `token`, `credentials`) and what an image consists of (`image`). Nothing is used before its digest and size
//! were checked, and nobody is asked whom the operator has not allowed.

mod challenge;
mod credentials;
mod error;
mod image;
mod repository;
mod token;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempPath;

pub use credentials::{AuthFileError, AuthFiles};
pub use error::RegistryError;

use super::{Fetcher, SourceOptions};
use crate::oci::{Descriptor, ImageConfig, Manifest, OciDigest, Platform, Reference};
use repository::Repository;

/// The longest time that a pull may take.
const LONGEST_PULL: Duration = Duration::from_secs(6 * 3600);
/// The longest time that looking up a tag may take.
const LONGEST_LOOK_UP: Duration = Duration::from_secs(120);

/// The way to all registries from which the operator lets images be pulled.
#[derive(Clone)]
pub struct Registries {
    fetcher: Fetcher,
    options: Arc<SourceOptions>,
}

/// An image for one platform, every byte of which was checked.
#[derive(Debug)]
pub struct PulledImage {
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, the lowest first.
    pub layers: Vec<PulledLayer>,
}

/// A layer that was pulled.
#[derive(Debug, Clone)]
pub struct PulledLayer {
    /// What it is.
    pub descriptor: Descriptor,
    /// The archive as the registry has it, compressed or not. Equal layers share a file, which goes with the last of them.
    pub file: Arc<TempPath>,
}

impl Registries {
    /// Returns a client which keeps files where, and pulls from where, the options say.
    pub(super) fn new(fetcher: Fetcher, options: Arc<SourceOptions>) -> Self {
        Self { fetcher, options }
    }

    /// Pulls an image, of an index that which runs best on `platform`.
    ///
    /// # Errors
    /// `Unpinned` with what to write when the reference has no digest.
    ///
    /// # Cancel safety
    /// Dropping the future leaves at most unfinished layers, with which the next pull goes on.
    pub async fn pull(&self, reference: &Reference, platform: &Platform) -> Result<PulledImage, RegistryError> {
        let Some(digest) = reference.digest else { return Err(self.unpinned(reference).await) };
        let pulling = async {
            let repository = Repository::open(&self.fetcher, &self.options, reference).await?;
            image::pull(&repository, digest, platform).await
        };
        self.within(LONGEST_PULL, reference, pulling).await
    }

    /// Returns the digest that a tag has now; without a tag, that of `latest`.
    ///
    /// # Errors
    /// When the registry does not say, or may not be asked.
    pub async fn digest_of_tag(&self, reference: &Reference) -> Result<OciDigest, RegistryError> {
        let looking = async {
            let repository = Repository::open(&self.fetcher, &self.options, reference).await?;
            image::digest_of_tag(&repository, reference.tag.as_deref().unwrap_or("latest")).await
        };
        self.within(LONGEST_LOOK_UP, reference, looking).await
    }

    async fn unpinned(&self, reference: &Reference) -> RegistryError {
        let (pinned, source) = match self.digest_of_tag(reference).await {
            Ok(digest) => (Some(reference.pinned(digest).to_string()), None),
            Err(error) => (None, Some(Box::new(error))),
        };
        RegistryError::Unpinned { reference: reference.to_string(), pinned, source }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        reference: &Reference,
        work: impl Future<Output = Result<T, RegistryError>> + Send,
    ) -> Result<T, RegistryError> {
        let late = |_| RegistryError::Timeout { reference: reference.to_string(), seconds: limit.as_secs() };
        tokio::time::timeout(limit, Box::pin(work)).await.map_err(late)?
    }
}
