//! Descriptors: what names a blob of an image, and the platforms among which an index chooses.

use serde::{Deserialize, Serialize};

use super::digest::OciDigest;
use super::document::{Annotations, DocumentError, MAX_BLOB_BYTES, nullable, wrong};
use super::media_type::MediaType;
use crate::digest::Digest;

/// Names a blob. What OCI adds to it (`urls`, `data`, `artifactType`) is read over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: MediaType,
    /// Its hash.
    pub digest: OciDigest,
    /// Its bytes.
    pub size: u64,
    /// Free texts.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// For which platform the image is, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Returns the descriptor of a blob in memory.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        let (digest, size) = (OciDigest::of(bytes), bytes.len() as u64);
        Self { media_type, digest, size, annotations: Annotations::new(), platform: None }
    }

    /// Returns hash and size.
    pub fn blob(&self) -> Digest {
        self.digest.with_size(self.size)
    }

    /// Checks what the types do not say.
    pub(super) fn check(&self, document: &'static str) -> Result<(), DocumentError> {
        if self.size > MAX_BLOB_BYTES {
            return Err(wrong(document, "size", &self.size.to_string()));
        }
        Ok(())
    }
}

/// What an image runs on, in the words of Go: `linux`, `amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system.
    pub os: String,
    /// The architecture of the processor.
    pub architecture: String,
    /// Its variant: `v7` of `arm`, `v3` of `amd64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform of Linux on an architecture, without a variant.
    pub fn linux(architecture: &str) -> Self {
        Self { os: "linux".into(), architecture: architecture.into(), variant: None }
    }

    /// Returns how well an image for another platform runs here: the less the better; `None` is not at all.
    ///
    /// A variant without a number is the first of its architecture; on `arm`, the seventh. Older variants run on newer
    /// ones.
    pub fn distance(&self, image: &Self) -> Option<u32> {
        if self.os != image.os || self.architecture != image.architecture {
            return None;
        }
        match (self.level(), image.level()) {
            (Some(here), Some(there)) => here.checked_sub(there),
            _ => (self.variant == image.variant).then_some(0),
        }
    }

    /// Returns the number of the variant, or `None` when it has none.
    fn level(&self) -> Option<u32> {
        match self.variant.as_deref() {
            None | Some("") => Some(match self.architecture.as_str() {
                "arm" => 7,
                "arm64" => 8,
                _ => 1,
            }),
            Some(variant) => variant.strip_prefix('v')?.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(architecture: &str, variant: &str) -> Platform {
        Platform { variant: (!variant.is_empty()).then(|| variant.to_owned()), ..Platform::linux(architecture) }
    }

    #[test]
    fn older_variants_run_on_newer_ones() {
        let distance =
            |architecture, here, there| platform(architecture, here).distance(&platform(architecture, there));
        assert_eq!(distance("amd64", "", "v1"), Some(0));
        assert_eq!(distance("amd64", "v3", ""), Some(2));
        assert_eq!(distance("amd64", "", "v3"), None);
        assert_eq!(distance("arm64", "v8", ""), Some(0));
        assert_eq!(distance("arm", "", "v6"), Some(1));
        assert_eq!(distance("arm", "v6", "v7"), None);
        assert_eq!(distance("ppc64le", "power9", "power9"), Some(0));
        assert_eq!(distance("ppc64le", "power9", "power8"), None);
        assert_eq!(platform("amd64", "").distance(&platform("arm64", "")), None);
    }
}
