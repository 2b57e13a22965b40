//! The media types of images: those of OCI, and those that Docker used before.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose media types a document uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// The image specification of OCI.
    Oci,
    /// Docker's image manifest, version 2, schema 2.
    Docker,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerCompression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// What a blob of an image is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum MediaType {
    /// The manifest of an image for one platform.
    Manifest(Family),
    /// A list of manifests, of which each is for a platform.
    Index(Family),
    /// The configuration of an image.
    Config(Family),
    /// A layer: changes of a root file system, as a tar archive.
    Layer(Family, LayerCompression),
    /// Anything else, which only an index may name.
    Other(String),
}

const KNOWN: [(MediaType, &str); 12] = {
    use Family::{Docker, Oci};
    use LayerCompression::{Gzip, None, Zstd};
    [
        (MediaType::Manifest(Oci), "application/vnd.oci.image.manifest.v1+json"),
        (MediaType::Index(Oci), "application/vnd.oci.image.index.v1+json"),
        (MediaType::Config(Oci), "application/vnd.oci.image.config.v1+json"),
        (MediaType::Layer(Oci, None), "application/vnd.oci.image.layer.v1.tar"),
        (MediaType::Layer(Oci, Gzip), "application/vnd.oci.image.layer.v1.tar+gzip"),
        (MediaType::Layer(Oci, Zstd), "application/vnd.oci.image.layer.v1.tar+zstd"),
        (MediaType::Manifest(Docker), "application/vnd.docker.distribution.manifest.v2+json"),
        (MediaType::Index(Docker), "application/vnd.docker.distribution.manifest.list.v2+json"),
        (MediaType::Config(Docker), "application/vnd.docker.container.image.v1+json"),
        (MediaType::Layer(Docker, None), "application/vnd.docker.image.rootfs.diff.tar"),
        (MediaType::Layer(Docker, Gzip), "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        (MediaType::Layer(Docker, Zstd), "application/vnd.docker.image.rootfs.diff.tar.zstd"),
    ]
};

impl MediaType {
    /// Returns the name that stands in documents and headers.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(text) => text,
            known => KNOWN.iter().find(|(media_type, _)| media_type == known).map_or("", |(_, text)| text),
        }
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        let known = KNOWN.into_iter().find(|(_, name)| *name == text);
        known.map_or(Self::Other(text), |(media_type, _)| media_type)
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.as_str().to_owned()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_media_type_has_one_name() {
        for family in [Family::Oci, Family::Docker] {
            let layers = [LayerCompression::None, LayerCompression::Gzip, LayerCompression::Zstd];
            let layers = layers.map(|compression| MediaType::Layer(family, compression));
            let others = [MediaType::Manifest(family), MediaType::Index(family), MediaType::Config(family)];
            for media_type in layers.into_iter().chain(others) {
                assert!(!media_type.as_str().is_empty());
                assert_eq!(MediaType::from(media_type.to_string()), media_type);
            }
        }
        let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
        assert_eq!(MediaType::from(foreign.to_owned()), MediaType::Other(foreign.into()));
    }
}
