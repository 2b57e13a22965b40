//! Shards: the parts of the key space, one for each execution backend.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::digest::{Digest, DigestFunction};

use super::json;
use super::key::{EnvKey, EnvKeyError, KEY_VERSION};

/// The name of a part of the key space: a SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(Digest);

impl Shard {
    /// Returns the digest that the shard is.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

impl TryFrom<Digest> for Shard {
    type Error = EnvKeyError;

    fn try_from(digest: Digest) -> Result<Self, EnvKeyError> {
        EnvKey::try_from(digest).map(|key| Self(key.digest()))
    }
}

/// `HASH/SIZE`, as that of the digest.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a shard is made from: who executes and how, not the address by which someone reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardParts {
    /// The function by which the endpoint names blobs.
    pub digest_function: DigestFunction,
    /// The remote-execution properties.
    pub properties: BTreeMap<String, String>,
    /// The instance name at the endpoint.
    pub instance: String,
    /// The stable id of the endpoint, if it gives one.
    pub id: Option<String>,
    /// The properties of the rule by which an executor other than the usual one was chosen.
    pub dispatch: Option<BTreeMap<String, String>>,
    /// The fingerprint of the host, for what runs only on hosts like it.
    pub host: Option<String>,
}

impl ShardParts {
    /// Returns the bytes of which the shard is the digest (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        let mut document = json!({
            "version": KEY_VERSION,
            "digest_function": self.digest_function,
            "properties": self.properties,
            "dispatch": self.dispatch.iter().collect::<Vec<_>>(),
            "endpoint": {"instance": self.instance, "id": self.id},
        });
        if let Some(host) = &self.host {
            document["host"] = host.as_str().into();
        }
        json::canonical(&document)
    }

    /// Returns the shard.
    pub fn shard(&self) -> Shard {
        Shard(DigestFunction::Sha256.digest(&self.canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> ShardParts {
        ShardParts {
            digest_function: DigestFunction::Blake3,
            properties: BTreeMap::from([("OSFamily".into(), "linux".into())]),
            instance: "main".into(),
            id: Some("farm-1".into()),
            dispatch: None,
            host: None,
        }
    }

    /// Recompute with `printf '%s' 'EXPECTED BYTES' | sha256sum`; a change needs a new `KEY_VERSION`.
    #[test]
    fn a_shard_stays_the_same_in_every_version_of_the_program() {
        let bytes = concat!(
            r#"{"digest_function":"blake3","dispatch":[],"endpoint":{"id":"farm-1","instance":"main"},"#,
            r#""properties":{"OSFamily":"linux"},"version":1}"#
        );
        assert_eq!(String::from_utf8(parts().canonical()).unwrap(), bytes);
        assert_eq!(parts().shard().digest().hash(), "bf51eff750722a2df680931ec4dcfe887a7a97e4776ebb5ae710a31f01edfb01");
    }

    #[test]
    fn whatever_tells_two_backends_apart_gives_two_shards() {
        let changes: [fn(&mut ShardParts); 9] = [
            |_| {},
            |parts| parts.digest_function = DigestFunction::Sha256,
            |parts| parts.properties.clear(),
            |parts| parts.instance.clear(),
            |parts| parts.id = None,
            |parts| parts.id = Some(String::new()),
            |parts| parts.dispatch = Some(BTreeMap::new()),
            |parts| parts.dispatch = Some(BTreeMap::from([("ISA".into(), "arm".into())])),
            |parts| parts.host = Some(String::new()),
        ];
        let shards = changes.map(|change| {
            let mut parts = parts();
            change(&mut parts);
            parts.shard()
        });
        assert_eq!(std::collections::BTreeSet::from(shards).len(), shards.len());
    }
}
