//! What a daemon builds with: the endpoint that is part of it, or one elsewhere.

use std::sync::Arc;

use super::remote::{RemoteBackend, RemoteError};
use super::resolve::Resolver;

/// The endpoint of a daemon.
#[derive(Clone)]
pub enum Backend {
    /// Part of this daemon.
    Embedded {
        /// Who answers the native protocol.
        native: Resolver,
        /// Who answers in SHA-256: the same, or another over the same stores.
        compatible: Resolver,
    },
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
            Self::Embedded { native, .. } => Ok(native),
            Self::Remote(remote) => remote.resolver().await,
        }
    }

    /// Returns who answers them in SHA-256, for protocols that know no other function.
    ///
    /// # Errors
    /// When the endpoint is elsewhere, and was never reached or does not offer SHA-256.
    pub async fn compatible(&self) -> Result<&Resolver, RemoteError> {
        match self {
            Self::Embedded { compatible, .. } => Ok(compatible),
            Self::Remote(remote) => remote.compatible().await,
        }
    }

    /// Returns the number of builds that run now.
    pub(super) fn builds_in_flight(&self) -> usize {
        let reached = match self {
            Self::Embedded { native, compatible } => Resolver::distinct([Some(native), Some(compatible)]),
            Self::Remote(remote) => remote.reached(),
        };
        reached.into_iter().map(Resolver::builds_in_flight).sum()
    }
}
