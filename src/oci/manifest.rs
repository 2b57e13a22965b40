//! Manifests: the configuration and the layers of an image; and indexes: manifests by platform.
//!
//! Written as canonical JSON, so equal images have equal digests. What is read may be written in any way, but not so
//! that it could be taken for a manifest by one and for an index by another.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::ImageConfig;
use super::descriptor::{Descriptor, Platform};
use super::document::{Annotations, DocumentError, check_object, fields, nullable, parse, wrong};
use super::media_type::{Family, MediaType};
use crate::spec::json;

const MANIFEST: &str = "a manifest";
const INDEX: &str = "an index";

/// Most layers of an image, and most manifests of an index.
pub const MAX_DESCRIPTORS: usize = 1000;

/// The manifest of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Whose media type it has.
    pub family: Family,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Free texts. Docker's form has none: they are not written there.
    pub annotations: Annotations,
}

/// A list of manifests for platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Whose media type it has.
    pub family: Family,
    /// The manifests. Some may be of types that are not known.
    pub manifests: Vec<Descriptor>,
    /// Free texts. Docker's form has none: they are not written there.
    pub annotations: Annotations,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestForm {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<MediaType>,
    config: Descriptor,
    #[serde(deserialize_with = "nullable")]
    layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexForm {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<MediaType>,
    #[serde(deserialize_with = "nullable")]
    manifests: Vec<Descriptor>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations,
}

impl Manifest {
    /// Returns the manifest that bytes of unknown origin state.
    ///
    /// # Errors
    /// When they are none, have fields of an index, name blobs of other types than images have, or too many.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let value = parse(MANIFEST, bytes)?;
        refuse(MANIFEST, &value, &["manifests", "fsLayers"])?;
        for descriptor in value.get("config").into_iter().chain(elements(&value, "layers")) {
            check_object(MANIFEST, "descriptor", Some(descriptor))?;
            check_object(MANIFEST, "platform", descriptor.get("platform"))?;
        }
        let form: ManifestForm = fields(MANIFEST, value)?;
        check_version(MANIFEST, form.schema_version)?;
        let family = match form.media_type {
            None => Family::Oci,
            Some(MediaType::Manifest(family)) => family,
            Some(other) => return Err(wrong(MANIFEST, "mediaType", other.as_str())),
        };
        check_all(MANIFEST, "layers", &form.layers)?;
        form.config.check(MANIFEST)?;
        if !matches!(form.config.media_type, MediaType::Config(_)) {
            return Err(wrong(MANIFEST, "config.mediaType", form.config.media_type.as_str()));
        }
        if let Some(layer) = form.layers.iter().find(|layer| !matches!(layer.media_type, MediaType::Layer(..))) {
            return Err(wrong(MANIFEST, "layers.mediaType", layer.media_type.as_str()));
        }
        Ok(Self { family, config: form.config, layers: form.layers, annotations: form.annotations })
    }

    /// Returns the bytes that are stored and sent (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        json::canonical(&ManifestForm {
            schema_version: 2,
            media_type: Some(self.media_type()),
            config: self.config.clone(),
            layers: self.layers.clone(),
            annotations: written(self.family, &self.annotations),
        })
    }

    /// Returns its media type.
    pub fn media_type(&self) -> MediaType {
        MediaType::Manifest(self.family)
    }

    /// Returns the descriptor of its canonical bytes.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.media_type(), &self.canonical())
    }

    /// Checks that a configuration is of as many layers.
    ///
    /// # Errors
    /// `Layers` when it is not.
    pub fn check_config(&self, config: &ImageConfig) -> Result<(), DocumentError> {
        let (layers, diff_ids) = (self.layers.len(), config.diff_ids.len());
        if layers == diff_ids { Ok(()) } else { Err(DocumentError::Layers { layers, diff_ids }) }
    }
}

impl Index {
    /// Returns the index that bytes of unknown origin state.
    ///
    /// # Errors
    /// When they are none, have fields of a manifest, or too many entries.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let value = parse(INDEX, bytes)?;
        refuse(INDEX, &value, &["config", "layers", "fsLayers"])?;
        for descriptor in elements(&value, "manifests") {
            check_object(INDEX, "descriptor", Some(descriptor))?;
            check_object(INDEX, "platform", descriptor.get("platform"))?;
        }
        let form: IndexForm = fields(INDEX, value)?;
        check_version(INDEX, form.schema_version)?;
        let family = match form.media_type {
            None => Family::Oci,
            Some(MediaType::Index(family)) => family,
            Some(other) => return Err(wrong(INDEX, "mediaType", other.as_str())),
        };
        check_all(INDEX, "manifests", &form.manifests)?;
        Ok(Self { family, manifests: form.manifests, annotations: form.annotations })
    }

    /// Returns the bytes that are stored and sent (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        json::canonical(&IndexForm {
            schema_version: 2,
            media_type: Some(MediaType::Index(self.family)),
            manifests: self.manifests.clone(),
            annotations: written(self.family, &self.annotations),
        })
    }

    /// Returns the manifest, or index, that runs best on a platform; the first of equal ones.
    ///
    /// Entries without a platform, and of types that are not known, are none to choose.
    pub fn choose(&self, platform: &Platform) -> Option<&Descriptor> {
        let usable = |entry: &&Descriptor| matches!(entry.media_type, MediaType::Manifest(_) | MediaType::Index(_));
        let rated = self.manifests.iter().filter(usable).filter_map(|entry| {
            let distance = platform.distance(entry.platform.as_ref()?)?;
            Some((distance, entry))
        });
        rated.min_by_key(|(distance, _)| *distance).map(|(_, entry)| entry)
    }
}

fn written(family: Family, annotations: &Annotations) -> Annotations {
    match family {
        Family::Oci => annotations.clone(),
        Family::Docker => Annotations::new(),
    }
}

fn elements<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn refuse(document: &'static str, value: &Value, others: &[&'static str]) -> Result<(), DocumentError> {
    check_object(document, "itself", Some(value))?;
    match others.iter().find(|field| value.get(**field).is_some()) {
        Some(field) => Err(wrong(document, field, "there")),
        None => Ok(()),
    }
}

fn check_version(document: &'static str, version: u32) -> Result<(), DocumentError> {
    if version == 2 { Ok(()) } else { Err(wrong(document, "schemaVersion", &version.to_string())) }
}

fn check_all(document: &'static str, what: &'static str, entries: &[Descriptor]) -> Result<(), DocumentError> {
    if entries.len() > MAX_DESCRIPTORS {
        return Err(DocumentError::TooMany { document, what, limit: MAX_DESCRIPTORS });
    }
    entries.iter().try_for_each(|entry| entry.check(document))
}

#[cfg(test)]
mod tests;
