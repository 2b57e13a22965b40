//! Keys: what the cache is looked up by.
//!
//! A key is always a SHA-256, whatever function an endpoint names its blobs by,
//! so one spec has one key everywhere. No clock, path, host or variable of the
//! environment enters it.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::json;

use crate::digest::{Digest, DigestFunction};

use super::config::Config;
use super::description::Description;
use super::error::SpecError;
use super::json;
use super::object::Node;
use super::path::RelativePath;
use super::place::{Place, shown};

#[cfg(test)]
mod tests;

/// The version of the way in which keys are made; it is part of every shard.
pub const KEY_VERSION: u32 = 1;

const FILE: &str = "key";

/// The key of an environment: a SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvKey(Digest);

impl EnvKey {
    /// Returns the digest that the key is.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

/// A digest that was made by another function than keys are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key is a sha256 digest, but `{digest}` is a {} digest", digest.function())]
pub struct EnvKeyError {
    /// The digest.
    pub digest: Digest,
}

impl TryFrom<Digest> for EnvKey {
    type Error = EnvKeyError;

    fn try_from(digest: Digest) -> Result<Self, EnvKeyError> {
        match digest.function() {
            DigestFunction::Sha256 => Ok(Self(digest)),
            DigestFunction::Blake3 => Err(EnvKeyError { digest }),
        }
    }
}

/// `HASH/SIZE`, as that of the digest.
impl fmt::Display for EnvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for EnvKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a key is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyParts {
    /// The repository that defines the environment, and all that it reaches.
    pub description: Description,
    /// The directory of the environments file.
    pub module: RelativePath,
    /// The name of the environment.
    pub name: String,
    /// The configuration, restricted to the variables that the environment sees.
    pub effective_config: Config,
}

impl KeyParts {
    /// Returns the bytes of which the key is the digest (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        json::canonical(&json!({
            "repo_key": self.description.digest().hash(),
            "target_name": [self.module, self.name],
            "effective_config": self.effective_config,
        }))
    }

    /// Returns the key.
    pub fn key(&self) -> EnvKey {
        EnvKey(DigestFunction::Sha256.digest(&self.canonical()))
    }

    /// Returns what messages call the environment: `NAME`, or `MODULE:NAME` outside the root module.
    pub fn target(&self) -> String {
        if self.module.is_root() { self.name.clone() } else { format!("{}:{}", self.module, self.name) }
    }

    /// Returns the parts from the bytes of a key and of the description that it names.
    ///
    /// # Errors
    /// When one is malformed or not canonical, or the key names another description.
    pub fn parse(key: &[u8], description: &[u8]) -> Result<Self, SpecError> {
        let node = Node::new(Place::new(FILE), json::parse(FILE, key)?);
        let mut object = node.object_with(&["repo_key", "target_name", "effective_config"])?;
        let stated = object.required("repo_key", Node::string)?;
        let (module, name) = object.required("target_name", Node::target)?;
        let effective_config = object.required("effective_config", Config::read)?;
        let description = Description::parse(description)?;
        let given = description.digest().hash();
        if stated != given {
            return Err(SpecError::ForeignDescription { stated: shown(&stated), given });
        }
        let parts = Self { description, module, name, effective_config };
        if parts.canonical() != key {
            return Err(SpecError::NotCanonical { file: FILE });
        }
        Ok(parts)
    }
}
