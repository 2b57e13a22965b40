//! Layers of images: their archives, made while they are sent.
//!
//! Every blob is verified by the store when it is read. The end of an archive is kept back until its hash is seen to be
//! the one that was asked for; otherwise the body is broken off, which the client notices.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::Sender;

use super::super::body::{PIECE_BYTES, WrongLength, made, part};
use super::Registry;
use super::error::{Asked, RegistryError};
use super::find::Found;
use crate::digest::Digest;
use crate::oci::{Attributes, LayerArchive, LayerCompression, LayerError, OciDigest, StoredImage, StoredLayer};
use crate::store::{BlobStore, StoreError};

/// Layers whose lists are kept: how many, and how much memory they may take.
const MAX_LISTS: usize = 32;
const MAX_LIST_BYTES: usize = 64 << 20;

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("a layer comes out as `{made}` and not as `{expected}`")]
    Other { made: Digest, expected: Digest },
    #[error(transparent)]
    Length(#[from] WrongLength),
}

/// Lists of the layers that were sent last.
#[derive(Default)]
pub(super) struct Lists(Mutex<VecDeque<(StoredLayer, Arc<LayerArchive>)>>);

impl Lists {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(StoredLayer, Arc<LayerArchive>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the list of a layer.
    async fn get(&self, store: &dyn BlobStore, layer: StoredLayer) -> Result<Arc<LayerArchive>, RegistryError> {
        let found = self.lock().iter().find(|(listed, _)| *listed == layer).map(|(_, list)| Arc::clone(list));
        if let Some(list) = found {
            return Ok(list);
        }
        let missing = || StoreError::Missing { digest: layer.attributes, role: "attributes of a layer" };
        let attributes = store.get(&layer.attributes).await?.ok_or_else(missing)?;
        let attributes = Attributes::parse(&attributes)?;
        let list = Arc::new(LayerArchive::list(store, layer.root, &attributes).await?);
        let mut lists = self.lock();
        lists.push_front((layer, Arc::clone(&list)));
        let mut weight = 0;
        let mut fits = |(_, list): &(StoredLayer, Arc<LayerArchive>)| {
            weight += list.weight();
            weight <= MAX_LIST_BYTES
        };
        let kept = lists.iter().take(MAX_LISTS).take_while(|entry| fits(entry)).count();
        lists.truncate(kept);
        Ok(list)
    }
}

/// A layer that can be sent.
pub(super) struct Layer {
    found: Found,
    list: Arc<LayerArchive>,
    compression: LayerCompression,
    /// SHA-256 and size of what is sent.
    pub(super) blob: Digest,
}

impl Registry {
    /// Returns a layer of an image, all of whose files are in the CAS: where they are not, it is built again.
    ///
    /// # Errors
    /// When it is not what was asked for any more, or cannot be had.
    pub(super) async fn layer(
        &self,
        mut found: Found,
        number: usize,
        compression: LayerCompression,
        digest: &OciDigest,
    ) -> Result<Layer, RegistryError> {
        let other = || RegistryError::OtherVersion { asked: Asked::Blob, digest: *digest };
        let archive = *found.image.facts.layers.get(number).ok_or_else(other)?;
        let mut list = self.list(&found, number).await?;
        let lost = lost(&found, &list).await?;
        if !lost.is_empty() {
            self.build_again(Asked::Blob, &mut found, &lost).await?;
            list = self.list(&found, number).await?;
        }
        let blob = self.compressed(&found, &list, archive, compression).await?;
        if OciDigest::from_digest(&blob) != Some(*digest) {
            return Err(other());
        }
        Ok(Layer { found, list, compression, blob })
    }

    async fn list(&self, found: &Found, number: usize) -> Result<Arc<LayerArchive>, RegistryError> {
        let store = found.resolver.store();
        let stored = StoredImage::read(store, found.image.root).await?;
        let missing = || StoreError::Missing { digest: found.image.root, role: "image with so many layers" };
        self.lists.get(store, *stored.layers.get(number).ok_or_else(missing)?).await
    }

    /// Returns what a layer becomes when it is compressed. That is computed once.
    async fn compressed(
        &self,
        found: &Found,
        list: &LayerArchive,
        archive: Digest,
        compression: LayerCompression,
    ) -> Result<Digest, RegistryError> {
        let known = self.known().await?;
        if let Some(blob) = known.compressed(&archive, compression).await? {
            return Ok(blob);
        }
        let _one_of_few = self.compressing.acquire().await.expect("it is never closed");
        // Who had the place before may have done it.
        if let Some(blob) = known.compressed(&archive, compression).await? {
            return Ok(blob);
        }
        let (written, _) = list.write(found.resolver.store(), compression, &self.scratch, io::sink()).await?;
        check(archive, written.archive)?;
        known.put_compressed(&archive, compression, &written.blob).await?;
        Ok(written.blob)
    }

    /// Returns what all layers of an image become when they are compressed, the lowest first.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(super) async fn all_compressed(
        &self,
        found: &mut Found,
        compression: LayerCompression,
    ) -> Result<Vec<Digest>, RegistryError> {
        let mut blobs = Vec::new();
        for (number, archive) in found.image.facts.layers.clone().into_iter().enumerate() {
            let blob = match self.known().await?.compressed(&archive, compression).await? {
                Some(blob) => blob,
                None => {
                    let list = self.list(found, number).await?;
                    let lost = lost(found, &list).await?;
                    if !lost.is_empty() {
                        self.build_again(Asked::Manifest, found, &lost).await?;
                    }
                    self.compressed(found, &list, archive, compression).await?
                }
            };
            blobs.push(blob);
        }
        Ok(blobs)
    }
}

fn check(expected: Digest, made: Digest) -> Result<(), RegistryError> {
    let oci = |digest| OciDigest::from_digest(&digest).expect("archives are hashed with SHA-256");
    if expected == made {
        return Ok(());
    }
    Err(RegistryError::Corrupt { digest: OciDigest::from_digest(&expected).unwrap_or(oci(made)), made: oci(made) })
}

/// Returns files of a layer that are not in the CAS.
async fn lost(found: &Found, list: &LayerArchive) -> Result<Vec<Digest>, RegistryError> {
    let files: Vec<Digest> = list.files().into_iter().filter(|file| file.size() > 0).collect();
    Ok(found.resolver.store().find_missing(&files).await?)
}

/// Returns the bytes of a layer, or of a part of it. Nothing is read before the first are asked for.
pub(super) fn body(registry: Arc<Registry>, layer: Layer, range: Range<u64>) -> Body {
    let size = layer.blob.size();
    let pieces = made(|sender| async move {
        let Layer { found, list, compression, blob } = layer;
        let sent = send(&registry, &found, &list, compression, blob, sender).await;
        if let Err(error) = &sent {
            tracing::error!(manifest = %found.manifest, error = error as &dyn Error,
                "broke off a layer: every image is checked anew");
            registry.doubt_all(&found.resolver);
        }
        sent
    });
    Body::from_stream(part(pieces, range, size))
}

async fn send(
    registry: &Registry,
    found: &Found,
    list: &LayerArchive,
    compression: LayerCompression,
    expected: Digest,
    sender: Sender<Bytes>,
) -> Result<(), BrokenOff> {
    let sink = Sink { sender, gathered: BytesMut::new() };
    let (written, sink) = list.write(found.resolver.store(), compression, &registry.scratch, sink).await?;
    if written.blob != expected {
        return Err(BrokenOff::Other { made: written.blob, expected });
    }
    // Nobody takes it who has gone, or who wanted the beginning alone.
    let _ = sink.sender.send(sink.gathered.freeze()).await;
    Ok(())
}

/// Sends what is written to it, in pieces, and keeps the last one.
struct Sink {
    sender: Sender<Bytes>,
    gathered: BytesMut,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.gathered.is_empty() && self.gathered.len() + bytes.len() > PIECE_BYTES {
            let piece = self.gathered.split().freeze();
            self.sender.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        self.gathered.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
