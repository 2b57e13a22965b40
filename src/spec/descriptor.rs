//! The descriptor: what the cache answers for a key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

use super::checkpoint::CheckpointFacts;
use super::error::SpecError;
use super::json;
use super::kind::KindName;
use super::place::shown;
use super::provides::Provides;

/// The version of the form of descriptors.
pub const DESCRIPTOR_VERSION: u32 = 1;

const FILE: &str = "descriptor";

/// What is known about an environment that was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// The version of the form, [`DESCRIPTOR_VERSION`].
    #[schemars(description = "The version of the form.", extend("const" = DESCRIPTOR_VERSION))]
    pub version: u32,
    /// The kind of the environment.
    pub kind: KindName,
    /// The root directory.
    pub root: Digest,
    /// The `Tree` message that lists everything in it.
    pub tree: Digest,
    /// What it gives to those who enter it.
    pub provides: Provides,
    /// What only a `nix` environment has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nix: Option<NixFacts>,
    /// What only an `image` environment has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageFacts>,
    /// What only a `checkpoint` environment has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointFacts>,
    /// How it came to be.
    pub provenance: Provenance,
}

/// What a `nix` environment is besides its tree, which has the closure in `nix/store` and the file `registration`:
/// the input of `nix-store --load-db`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NixFacts {
    /// The outputs asked for, in that order.
    pub outputs: Vec<NixOutput>,
    /// The variables of the shell, for an environment that is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<BTreeMap<String, String>>,
}

/// An output of a derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NixOutput {
    /// Its name.
    pub name: String,
    /// The base name of its store path: `HASH-NAME`.
    pub path: String,
}

/// What an `image` environment is besides its tree, in which the documents and layers lie as `oci::StoredImage` says.
///
/// All digests are SHA-256 with the size, whatever the function of the CAS: those that registries know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "The parts of an image. All digests are SHA-256, those that registries know.")]
pub struct ImageFacts {
    /// The OCI manifest, which names the layers as plain archives.
    pub manifest: Digest,
    /// The configuration.
    pub config: Digest,
    /// The archives of the layers, the lowest first.
    pub layers: Vec<Digest>,
}

/// How an environment came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The program that built it, and its version.
    pub builder: String,
    /// The actions executed for it.
    pub actions: Vec<Digest>,
    /// When it was built, in seconds since 1970.
    pub built_at: u64,
    /// How long that took, in milliseconds.
    pub duration_ms: u64,
}

impl Descriptor {
    /// Returns the bytes that are stored (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        json::canonical(self)
    }

    /// Returns the digest of these bytes, by which actions name checkpoints.
    pub fn digest(&self) -> Digest {
        self.root.function().digest(&self.canonical())
    }

    /// Returns the descriptor that stored bytes state.
    ///
    /// # Errors
    /// [`SpecError::UnknownVersion`] when it is of another version, and others when it is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, SpecError> {
        let value = json::parse(FILE, bytes)?;
        match value.get("version") {
            Some(version) if *version != DESCRIPTOR_VERSION => {
                let found = shown(&version.to_string());
                Err(SpecError::UnknownVersion { file: FILE, found, known: DESCRIPTOR_VERSION })
            }
            _ => serde_json::from_value(value).map_err(|source| SpecError::Malformed { file: FILE, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::digest::DigestFunction;
    use crate::spec::path::RelativePath;

    fn descriptor() -> Descriptor {
        let digest = DigestFunction::Blake3.empty();
        Descriptor {
            version: DESCRIPTOR_VERSION,
            kind: KindName::Tree,
            root: digest,
            tree: digest,
            provides: Provides {
                path: vec![RelativePath::parse("bin").unwrap()],
                vars: BTreeMap::from([("HOME".into(), "{{@root}}".into())]),
            },
            nix: None,
            image: None,
            checkpoint: None,
            provenance: Provenance {
                builder: "envserve 0.1.0".into(),
                actions: vec![digest],
                built_at: 1_700_000_000,
                duration_ms: 1500,
            },
        }
    }

    #[test]
    fn the_form_of_version_1_stays_the_same() {
        let empty = format!("{:?}", DigestFunction::Blake3.empty());
        let expected = format!(r#"{{"kind":"tree","provenance":{{"actions":["{empty}"],"builder":"envserve 0.1.0","#,)
            + r#""built_at":1700000000,"duration_ms":1500},"provides":{"path":["bin"],"vars":{"HOME":"{{@root}}"}},"#
            + &format!(r#""root":"{empty}","tree":"{empty}","version":1}}"#);
        assert_eq!(String::from_utf8(descriptor().canonical()).unwrap(), expected);
        assert_eq!(Descriptor::parse(expected.as_bytes()).unwrap(), descriptor());
    }

    #[test]
    fn another_version_is_told_apart_from_corruption() {
        let text = String::from_utf8(descriptor().canonical()).unwrap();
        let error =
            Descriptor::parse(text.replace("\"version\":1", "\"version\":2,\"new\":[]").as_bytes()).unwrap_err();
        assert!(matches!(&error, SpecError::UnknownVersion { found, .. } if found == "2"));
        assert_eq!(error.to_string(), "descriptor has version `2`, and this program reads version `1`");
        for (from, to) in [("1500", "1500,\"new\":1"), ("\"version\":1", "\"x\":1"), ("bin", "../bin"), ("blake3:", "")]
        {
            let error = Descriptor::parse(text.replace(from, to).as_bytes()).unwrap_err();
            assert!(matches!(error, SpecError::Malformed { .. }), "{from}: {error:?}");
        }
        assert!(matches!(Descriptor::parse(b"[]"), Err(SpecError::Malformed { .. })));
        assert!(matches!(Descriptor::parse(&text.as_bytes()[1..]), Err(SpecError::Syntax { .. })));
    }
}
