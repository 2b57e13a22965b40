//! What a request asks for, in the form in which it is looked up.
//!
//! To read a request is to parse and check canonical JSON and to hash it, which takes longer than a hit itself. Who
//! asks for one environment mostly asks with the same bytes, so those of the last requests are remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::dispatch::Properties;
use crate::spec::{EnvKey, KeyParts, Shard, SpecError};

/// Most requests that are remembered.
const MAX_KNOWN: usize = 10_000;
/// Longest request that is.
const MAX_BYTES: usize = 16 << 10;

/// An environment that is asked for, with certain properties.
#[derive(Debug)]
pub struct Wanted {
    /// The parts of its key.
    pub parts: KeyParts,
    /// The properties.
    pub properties: Properties,
    /// Where it is looked up.
    pub shard: Shard,
    /// By what it is looked up.
    pub key: EnvKey,
    /// What messages call it.
    pub environment: String,
}

impl Wanted {
    pub(super) fn new(parts: KeyParts, properties: Properties, shard: Shard) -> Arc<Self> {
        let (key, environment) = (parts.key(), parts.target());
        Arc::new(Self { parts, properties, shard, key, environment })
    }
}

/// Requests by their bytes.
#[derive(Default)]
pub(super) struct Known {
    wanted: Mutex<HashMap<blake3::Hash, Arc<Wanted>>>,
}

impl Known {
    /// Returns what a request asks for: as it was read before, or by `read`.
    pub(super) fn understand(
        &self,
        key: &[u8],
        description: &[u8],
        properties: Properties,
        read: impl FnOnce(Properties) -> Result<Arc<Wanted>, SpecError>,
    ) -> Result<Arc<Wanted>, SpecError> {
        if key.len() + description.len() > MAX_BYTES {
            return read(properties);
        }
        let hash = hash(key, description, &properties);
        if let Some(known) = self.lock().get(&hash) {
            return Ok(Arc::clone(known));
        }
        let wanted = read(properties)?;
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash, Arc::clone(&wanted));
        Ok(wanted)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<blake3::Hash, Arc<Wanted>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the hash of a request. Each part is preceded by its length, so that no two requests run together.
fn hash(key: &[u8], description: &[u8], properties: &Properties) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let pairs = properties.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    for part in [key, description].into_iter().chain(pairs) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_differ_in_any_part_have_different_hashes() {
        let properties = |pairs: &[(&str, &str)]| -> Properties {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let hashes = [
            hash(b"a", b"b", &properties(&[])),
            hash(b"ab", b"", &properties(&[])),
            hash(b"", b"ab", &properties(&[])),
            hash(b"a", b"b", &properties(&[("x", "y")])),
            hash(b"a", b"b", &properties(&[("xy", "")])),
            hash(b"a", b"b", &properties(&[("x", "y"), ("z", "")])),
        ];
        assert_eq!(std::collections::HashSet::from(hashes).len(), hashes.len());
    }
}
