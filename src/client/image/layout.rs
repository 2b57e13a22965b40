//! An image as an OCI layout: a directory with everything by digest.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::archive::Layers;
use super::parts::Parts;
use crate::client::brought::Brought;
use crate::client::connect::Reached;
use crate::client::events::Events;
use crate::client::materialize::prepare;
use crate::client::{Client, ClientError};
use crate::oci::{
    Annotations, Descriptor, Family, ImageConfig, Index, LayerCompression, Manifest, MediaType, OciDigest,
};
use crate::store::blocking;

/// What the image is called in the layout.
const NAME: (&str, &str) = ("org.opencontainers.image.ref.name", "latest");
const BLOBS: &str = "blobs/sha256";

impl Client {
    /// Makes the layout.
    pub(super) async fn bring_layout(
        &self,
        parts: &Parts,
        compression: LayerCompression,
        place: PathBuf,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<PathBuf>, ClientError> {
        let layers = match self.bring_layers(parts, cas, events).await? {
            Ok(layers) => layers,
            Err(lost) => return Ok(Brought::Lost(lost)),
        };
        let downloaded = layers.documents.downloaded;
        let target = place.clone();
        let (lock, partial) = blocking(move || prepare(&target)).await?;
        if place.is_dir() {
            return Ok(Brought::Here { place, downloaded });
        }
        let blobs = partial.join(BLOBS);
        fs::create_dir_all(&blobs).map_err(ClientError::io("make the directory", &blobs))?;
        let descriptors = self.write_blobs(parts, &layers, compression, &blobs).await?;
        write_documents(parts, &layers, compression, descriptors, &partial)?;
        fs::rename(&partial, &place).map_err(ClientError::io("put in place", &place))?;
        drop(lock);
        Ok(Brought::Here { place, downloaded })
    }

    /// Writes the layers, and returns what names them.
    async fn write_blobs(
        &self,
        parts: &Parts,
        layers: &Layers,
        compression: LayerCompression,
        blobs: &Path,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let mut descriptors = Vec::new();
        for number in 0..parts.image.layers.len() {
            let path = blobs.join(format!("layer-{number}"));
            let file = File::create(&path).map_err(ClientError::io("make", &path))?;
            let (written, _) = self.write_archive(parts, layers, number, compression, blobs, file).await?;
            let digest = OciDigest::from_digest(&written.blob).expect("layers are hashed with SHA-256");
            let target = blobs.join(digest.hash());
            fs::rename(&path, &target).map_err(ClientError::io("put in place", &target))?;
            let media_type = MediaType::Layer(Family::Oci, compression);
            let size = written.blob.size();
            descriptors.push(Descriptor { media_type, digest, size, annotations: Annotations::new(), platform: None });
        }
        Ok(descriptors)
    }
}

/// Writes configuration, manifest and index.
fn write_documents(
    parts: &Parts,
    layers: &Layers,
    compression: LayerCompression,
    descriptors: Vec<Descriptor>,
    directory: &Path,
) -> Result<(), ClientError> {
    let (config, manifest) =
        (&layers.documents.bytes[&parts.image.config], &layers.documents.bytes[&parts.image.manifest]);
    parts.check("configuration", parts.facts.config, config)?;
    parts.check("manifest", parts.facts.manifest, manifest)?;
    let parsed = Manifest::parse(manifest).map_err(parts.unusable())?;
    let platform = ImageConfig::parse(config).map_err(parts.unusable())?.platform;
    let manifest = match compression {
        LayerCompression::None => manifest.to_vec(),
        LayerCompression::Gzip | LayerCompression::Zstd => Manifest { layers: descriptors, ..parsed }.canonical(),
    };
    let mut named = Descriptor::of(MediaType::Manifest(Family::Oci), &manifest);
    named.annotations.insert(NAME.0.into(), NAME.1.into());
    named.platform = Some(platform);
    let blob = |bytes: &[u8]| format!("{BLOBS}/{}", OciDigest::of(bytes).hash());
    let index = Index { family: Family::Oci, manifests: vec![named], annotations: Annotations::new() };
    let files = [
        (blob(config), config.to_vec()),
        (blob(&manifest), manifest),
        ("index.json".to_owned(), index.canonical()),
        ("oci-layout".to_owned(), json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes()),
    ];
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::write(&path, bytes).map_err(ClientError::io("write", &path))?;
    }
    Ok(())
}
