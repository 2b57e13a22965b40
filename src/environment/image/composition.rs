//! An image being put together: its layers so far, what they come to, and at the end its documents.

use std::iter::once;

use futures::{StreamExt, TryStreamExt, stream};

use super::super::action::compose;
use super::super::publish::Made;
use super::super::{Build, BuildError};
use crate::digest::{Digest, DigestFunction};
use crate::oci::{
    Annotations, Descriptor, Family, History, ImageConfig, Layer, LayerCompression, Manifest, MediaType, OciDigest,
    StoredImage, StoredLayer, apply_layers,
};
use crate::spec::ImageFacts;

/// Most layers of an image: what the overlay file system of container engines takes.
pub(super) const MAX_LAYERS: usize = 127;
/// When every image was made.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// Layers that are hashed at a time.
const AT_ONCE: usize = 3;

/// An image being put together.
pub(super) struct Image {
    /// Its configuration; layers and history are written at the end.
    pub config: ImageConfig,
    /// What the layers come to.
    pub root: Layer,
    layers: Vec<Finished>,
}

/// A layer to be laid over an image.
pub(super) struct Addition {
    pub layer: Layer,
    /// How it came to be.
    pub history: History,
}

/// A layer whose archive is known.
pub(super) struct Finished {
    pub stored: StoredLayer,
    pub archive: Digest,
    pub history: History,
}

impl Addition {
    /// Returns a layer of the CAS.
    ///
    /// # Errors
    /// When its attributes cannot be read.
    pub(super) async fn read(build: &Build<'_>, stored: StoredLayer, history: History) -> Result<Self, BuildError> {
        let attributes = super::parts::attributes(build, &stored.attributes).await?;
        Ok(Self { layer: Layer { root: stored.root, attributes }, history })
    }
}

/// Returns the step of a history that left a layer.
pub(super) fn step(created_by: String) -> History {
    History { created: Some(CREATED.to_owned()), created_by: Some(created_by), ..History::default() }
}

impl Image {
    /// Returns the empty image with this configuration.
    pub(super) async fn empty(build: &Build<'_>, config: ImageConfig) -> Result<Self, BuildError> {
        let root = apply_layers::<Layer>(build.store, build.function, &[]).await;
        let root = root.map_err(|error| BuildError::layer(build, "base", error))?;
        Ok(Self { config, root, layers: Vec::new() })
    }

    /// Returns an image that is known, layers, archives and what they come to.
    pub(super) fn known(config: ImageConfig, root: Layer, layers: Vec<Finished>) -> Self {
        Self { config, root, layers }
    }

    /// Returns the number of layers.
    pub(super) fn count(&self) -> usize {
        self.layers.len()
    }

    /// Lays layers over it, the lowest first.
    ///
    /// # Errors
    /// When one does not fit to those below, or a store fails.
    pub(super) async fn lay(&mut self, build: &Build<'_>, additions: Vec<Addition>) -> Result<(), BuildError> {
        if additions.is_empty() {
            return Ok(());
        }
        let hashing: Vec<_> = additions.iter().map(|addition| finish(build, addition)).collect();
        let hashed = stream::iter(hashing).buffered(AT_ONCE).try_collect::<Vec<_>>();
        let all: Vec<&Layer> = once(&self.root).chain(additions.iter().map(|addition| &addition.layer)).collect();
        let applied = async {
            let applied = apply_layers(build.store, build.function, &all).await;
            applied.map_err(|error| BuildError::layer(build, "layers", error))
        };
        let (finished, root) = futures::try_join!(hashed, applied)?;
        self.layers.extend(finished);
        self.root = root;
        Ok(())
    }

    /// Returns what the layers come to, stored.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn root_file_system(&self, build: &Build<'_>) -> Result<StoredLayer, BuildError> {
        stored(build, &self.root).await
    }

    /// Writes the documents, and puts everything into one tree.
    ///
    /// # Errors
    /// When the configuration is one that no program can be started with, or the store fails.
    pub(super) async fn finish(mut self, build: &Build<'_>, actions: Vec<Digest>) -> Result<Made, BuildError> {
        let root_file_system = self.root_file_system(build).await?;
        self.config.created = Some(CREATED.to_owned());
        self.config.diff_ids = self.layers.iter().map(|layer| oci(&layer.archive)).collect();
        self.config.history = self.layers.iter().map(|layer| layer.history.clone()).collect();
        let wrong = |error| BuildError::refused(build, format!("its configuration cannot be used: {error}"));
        self.config.execution.check().map_err(wrong)?;
        let config = self.config.canonical();
        let layer = |layer: &Finished| Descriptor {
            media_type: MediaType::Layer(Family::Oci, LayerCompression::None),
            digest: oci(&layer.archive),
            size: layer.archive.size(),
            annotations: Annotations::new(),
            platform: None,
        };
        let manifest = Manifest {
            family: Family::Oci,
            config: Descriptor::of(MediaType::Config(Family::Oci), &config),
            layers: self.layers.iter().map(layer).collect(),
            annotations: Annotations::new(),
        }
        .canonical();
        let facts = ImageFacts {
            manifest: DigestFunction::Sha256.digest(&manifest),
            config: DigestFunction::Sha256.digest(&config),
            layers: self.layers.iter().map(|layer| layer.archive).collect(),
        };
        let image = StoredImage {
            manifest: build.store.put(build.function, manifest.into()).await?,
            config: build.store.put(build.function, config.into()).await?,
            layers: self.layers.iter().map(|layer| layer.stored).collect(),
            root_file_system,
        };
        let root = compose(build, image.nodes()).await?;
        Ok(Made { root, actions, nix: None, image: Some(facts), checkpoint: None })
    }
}

fn oci(archive: &Digest) -> OciDigest {
    OciDigest::from_digest(archive).expect("archives of layers are named by SHA-256")
}

async fn finish(build: &Build<'_>, addition: &Addition) -> Result<Finished, BuildError> {
    let Addition { layer, history } = addition;
    let stored = stored(build, layer).await?;
    let archive = build.images.archives.archive(build.store, stored, &layer.attributes).await;
    let place = history.created_by.as_deref().unwrap_or("a layer");
    let archive = archive.map_err(|error| BuildError::layer(build, place, error))?;
    Ok(Finished { stored, archive, history: history.clone() })
}

/// Stores the attributes of a layer whose tree is stored.
async fn stored(build: &Build<'_>, layer: &Layer) -> Result<StoredLayer, BuildError> {
    let attributes = build.store.put(build.function, layer.attributes.canonical().into()).await?;
    Ok(StoredLayer { root: layer.root, attributes })
}
