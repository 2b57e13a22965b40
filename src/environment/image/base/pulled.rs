//! Bases that are pulled from registries as the operator allows.

use async_trait::async_trait;
use tempfile::NamedTempFile;

use super::registry::{BaseImages, Pulled};
use crate::oci::{Descriptor, OciDigest, Platform, Reference};
use crate::source::{PulledImage, Registries, RegistryError, SourceError};

#[async_trait]
impl BaseImages for Registries {
    async fn digest_of_tag(&self, reference: &Reference) -> Result<Option<OciDigest>, SourceError> {
        match Self::digest_of_tag(self, reference).await {
            Ok(digest) => Ok(Some(digest)),
            Err(RegistryError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn pull(&self, reference: &Reference, platform: &Platform) -> Result<Pulled, SourceError> {
        let PulledImage { manifest, config } = Self::pull(self, reference, platform).await?;
        Ok(Pulled { manifest, config })
    }

    async fn layer(&self, reference: &Reference, layer: &Descriptor) -> Result<NamedTempFile, SourceError> {
        Ok(Self::layer(self, reference, layer).await?)
    }
}
