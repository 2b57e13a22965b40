//! Images that actions run in.

use async_trait::async_trait;

use crate::digest::Digest;
use crate::oci::{KnownImages, OciDigest};
use crate::store::StoreError;

/// Finds images in the CAS.
#[async_trait]
pub trait Images: Send + Sync {
    /// Returns the root of the tree (`oci::StoredImage`) of the image whose manifest this is, or `None` when there is
    /// no such image.
    async fn tree(&self, manifest: &OciDigest) -> Result<Option<Digest>, StoreError>;
}

/// Knows no image.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoImages;

#[async_trait]
impl Images for NoImages {
    async fn tree(&self, _: &OciDigest) -> Result<Option<Digest>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl Images for KnownImages {
    async fn tree(&self, manifest: &OciDigest) -> Result<Option<Digest>, StoreError> {
        Ok(self.images_of_manifest(manifest).await?.first().map(|image| image.root))
    }
}
