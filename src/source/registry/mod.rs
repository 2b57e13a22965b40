//! Registries elsewhere: images that bases name, pulled by digest.
//!
//! The requests are those of `fetch`: attempts, resumption, redirects, trust. What is added here is who asks
//! (`repository`, `challenge`, `token`, `credentials`, `shown`) and what an image consists of (`image`). Nothing is used
//! before its digest and size were checked, and nobody is asked whom the operator has not allowed.

mod challenge;
mod credentials;
mod error;
mod image;
mod repository;
mod shown;
mod token;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::NamedTempFile;

pub use credentials::{AuthFileError, AuthFiles};
pub use error::RegistryError;

use super::{Fetcher, SourceOptions};
use crate::oci::{Descriptor, OciDigest, Platform, Reference};
use repository::Repository;
use shown::LastShown;

/// The longest time that the documents of an image, or a tag, may take.
const LONGEST_DOCUMENTS: Duration = Duration::from_secs(300);
/// The longest time that a layer may take.
const LONGEST_LAYER: Duration = Duration::from_secs(6 * 3600);

/// The way to all registries from which the operator lets images be pulled. Clones share connections.
#[derive(Clone)]
pub struct Registries {
    fetcher: Fetcher,
    options: Arc<SourceOptions>,
    last_shown: LastShown,
}

/// The documents of an image for one platform, as the registry has them: compared with their digests, and read once.
#[derive(Debug, Clone)]
pub struct PulledImage {
    /// The manifest.
    pub manifest: Bytes,
    /// The configuration that it names.
    pub config: Bytes,
}

impl Registries {
    /// Returns a client which keeps files where, and pulls from where, the options say.
    pub(super) fn new(fetcher: Fetcher, options: Arc<SourceOptions>) -> Self {
        Self { fetcher, options, last_shown: LastShown::default() }
    }

    /// Pulls the documents of an image, of an index those of the image that runs best on `platform`.
    ///
    /// # Errors
    /// `Unpinned` when the reference has no digest.
    pub async fn pull(&self, reference: &Reference, platform: &Platform) -> Result<PulledImage, RegistryError> {
        let unpinned = || RegistryError::Unpinned { reference: reference.to_string() };
        let digest = reference.digest.ok_or_else(unpinned)?;
        let pulling = async { image::pull(&self.open(reference).await?, digest, platform).await };
        within(LONGEST_DOCUMENTS, reference, pulling).await
    }

    /// Pulls a layer that a manifest of the same repository names: a file with the archive as the registry has it.
    /// Equal layers that are pulled at the same time wait for each other.
    ///
    /// # Errors
    /// When it cannot be had, or is another one.
    ///
    /// # Cancel safety
    /// Dropping the future leaves at most a part of the file, with which the next pull goes on.
    pub async fn layer(&self, reference: &Reference, layer: &Descriptor) -> Result<NamedTempFile, RegistryError> {
        let pulling = async { self.open(reference).await?.blob(layer).await };
        within(LONGEST_LAYER, reference, pulling).await
    }

    /// Returns the digest that a tag has now; without a tag, that of `latest`.
    ///
    /// # Errors
    /// When the registry does not say, or may not be asked.
    pub async fn digest_of_tag(&self, reference: &Reference) -> Result<OciDigest, RegistryError> {
        let tag = reference.tag.as_deref().unwrap_or("latest");
        let looking = async { image::digest_of_tag(&self.open(reference).await?, tag).await };
        within(LONGEST_DOCUMENTS, reference, looking).await
    }

    async fn open<'a>(&'a self, reference: &'a Reference) -> Result<Repository<'a>, RegistryError> {
        Repository::open(&self.fetcher, &self.options, &self.last_shown, reference).await
    }
}

async fn within<T>(
    limit: Duration,
    reference: &Reference,
    work: impl Future<Output = Result<T, RegistryError>> + Send,
) -> Result<T, RegistryError> {
    let late = |_| RegistryError::Timeout { reference: reference.to_string(), seconds: limit.as_secs() };
    tokio::time::timeout(limit, Box::pin(work)).await.map_err(late)?
}
