//! The layers of an image as archives, written here from their trees.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::parts::{Documents, Parts};
use super::root::keeper;
use crate::client::connect::Reached;
use crate::client::destination::Stored;
use crate::client::download::download;
use crate::client::events::Events;
use crate::client::{Client, ClientError};
use crate::container::Owner;
use crate::digest::Digest;
use crate::oci::{Attributes, LayerCompression, WrittenLayer, write_layer};
use crate::store::{BlobStore, FileBlobStore, StoreError, blocking};

/// All that layers are made of, in the store of the client.
pub(super) struct Layers {
    pub(super) documents: Documents,
    /// The root of each, and what it does not say.
    layers: Vec<(Digest, Attributes)>,
}

impl Client {
    /// Brings all that the layers of an image are made of; or returns what the endpoint does not have.
    ///
    /// # Errors
    /// When a layer is malformed, the file system refuses or the endpoint.
    pub(super) async fn bring_layers(
        &self,
        parts: &Parts,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Result<Layers, Vec<Digest>>, ClientError> {
        parts.check_documents()?;
        let attributes = parts.attributes_of(&parts.image.layers)?;
        let mut wanted = vec![parts.image.config, parts.image.manifest];
        wanted.extend(&attributes);
        let mut documents = match self.documents(&wanted, cas).await? {
            Ok(documents) => documents,
            Err(lost) => return Ok(Err(lost)),
        };
        let mut layers = Vec::with_capacity(attributes.len());
        let mut files = Vec::new();
        for (layer, attributes) in parts.image.layers.iter().zip(&attributes) {
            let listing = parts.directories.listing(layer.root).map_err(parts.unusable())?;
            files.extend(listing.files.iter().map(|file| file.digest));
            layers.push((layer.root, parts.parse_attributes(&documents.bytes[attributes])?));
        }
        let store = self.store().await?.clone();
        let (root, missing) = (self.root().to_owned(), store.find_missing(&files).await?);
        let missing = {
            let store = store.clone();
            blocking(move || copy_kept(&root, &store, missing)).await?
        };
        documents.downloaded += missing.iter().map(Digest::size).sum::<u64>();
        let lost = download(cas, Stored { wanted: missing, store }, events).await?;
        if lost.is_empty() { Ok(Ok(Layers { documents, layers })) } else { Ok(Err(lost)) }
    }

    /// Writes a layer as an archive, which must be the one that the descriptor names. Returns the sink too.
    ///
    /// # Errors
    /// `Differs` when it is another; else when the sink refuses.
    pub(super) async fn write_archive<W: Write + Send + 'static>(
        &self,
        parts: &Parts,
        layers: &Layers,
        number: usize,
        compression: LayerCompression,
        scratch: &Path,
        sink: W,
    ) -> Result<(WrittenLayer, W), ClientError> {
        let store = parts.store(self.store().await?);
        let (root, attributes) = &layers.layers[number];
        let written = write_layer(&store, *root, attributes, compression, scratch, sink).await;
        let (written, sink) = written.map_err(parts.unusable())?;
        parts.check_digest("layer", parts.facts.layers[number], written.archive)?;
        Ok((written, sink))
    }
}

/// Copies to the store what is kept as files of images, and returns what is not.
fn copy_kept(root: &Path, store: &FileBlobStore, missing: Vec<Digest>) -> Result<Vec<Digest>, ClientError> {
    let Some(first) = missing.first() else { return Ok(missing) };
    let alike = keeper(root, Owner::current()?, first)?.alike(&missing.iter().copied().collect::<HashSet<_>>())?;
    let mut absent = Vec::new();
    for digest in missing {
        let Some(path) = alike.get(&digest) else {
            absent.push(digest);
            continue;
        };
        let file = File::open(path).map_err(ClientError::io("open", path))?;
        match store.write_from(&digest, file) {
            Ok(()) => {}
            // Who links it next will notice as well.
            Err(StoreError::Mismatch { .. }) => absent.push(digest),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(absent)
}
