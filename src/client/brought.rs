//! How bringing an environment to this host ended.

use crate::digest::Digest;

/// How bringing an environment to this host ended.
pub(super) enum Brought<T> {
    /// It is here.
    Here { place: T, downloaded: u64 },
    /// These blobs are not at the endpoint.
    Lost(Vec<Digest>),
}

impl<T> Brought<T> {
    /// Returns the same with another name for the place.
    pub(super) fn map<U>(self, name: impl FnOnce(T) -> U) -> Brought<U> {
        match self {
            Self::Here { place, downloaded } => Brought::Here { place: name(place), downloaded },
            Self::Lost(digests) => Brought::Lost(digests),
        }
    }
}
