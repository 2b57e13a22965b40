//! Blobs that are in use and must stay.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;

/// The blobs that are pinned, each with how often.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins {
    counts: Arc<Mutex<HashMap<Digest, usize>>>,
}

impl Pins {
    fn counts(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pins blobs while what is returned lives.
    pub(super) fn pin(&self, digests: Vec<Digest>) -> Pin {
        let mut counts = self.counts();
        for digest in &digests {
            *counts.entry(*digest).or_default() += 1;
        }
        drop(counts);
        Pin { pins: self.clone(), digests }
    }

    /// Says whether a blob is pinned.
    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.counts().contains_key(digest)
    }
}

/// Keeps blobs from being evicted while it lives.
#[derive(Debug)]
pub struct Pin {
    pins: Pins,
    digests: Vec<Digest>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = self.pins.counts();
        for digest in &self.digests {
            let last = counts.get_mut(digest).is_none_or(|count| {
                *count -= 1;
                *count == 0
            });
            if last {
                counts.remove(digest);
            }
        }
    }
}
