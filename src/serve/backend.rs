//! What a daemon builds with: the endpoint that is part of it, or one elsewhere.

use std::sync::Arc;

use super::remote::{RemoteBackend, RemoteError};
use super::resolve::Resolver;

/// The endpoint of a daemon.
#[derive(Clone)]
pub enum Backend {
    /// Part of this daemon.
    Embedded(Resolver),
    /// Elsewhere.
    Remote(Arc<RemoteBackend>),
}

impl Backend {
    /// Returns who answers requests for environments.
    ///
    /// # Errors
    /// When the endpoint is elsewhere, and was never reached.
    pub async fn resolver(&self) -> Result<&Resolver, RemoteError> {
        match self {
            Self::Embedded(resolver) => Ok(resolver),
            Self::Remote(remote) => remote.resolver().await,
        }
    }

    /// Returns the number of builds that run now.
    pub(super) fn builds_in_flight(&self) -> usize {
        match self {
            Self::Embedded(resolver) => resolver.builds_in_flight(),
            Self::Remote(remote) => remote.reached().map_or(0, Resolver::builds_in_flight),
        }
    }
}
