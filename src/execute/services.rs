//! Services that actions have beside them.

use async_trait::async_trait;

use crate::checkpoint::KnownCheckpoints;
use crate::digest::Digest;
use crate::spec::Descriptor;
use crate::store::StoreError;

/// Finds checkpoints.
#[async_trait]
pub trait Services: Send + Sync {
    /// Returns the checkpoint whose descriptor has this digest, or `None` when there is none. What it names is given to
    /// CRIU, which does as root what it says: so only what was made by those who may.
    async fn checkpoint(&self, descriptor: &Digest) -> Result<Option<Descriptor>, StoreError>;
}

/// Knows no checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoServices;

#[async_trait]
impl Services for NoServices {
    async fn checkpoint(&self, _: &Digest) -> Result<Option<Descriptor>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl Services for KnownCheckpoints {
    async fn checkpoint(&self, descriptor: &Digest) -> Result<Option<Descriptor>, StoreError> {
        self.get(descriptor).await
    }
}
