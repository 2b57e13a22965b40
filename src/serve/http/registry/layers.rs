//! Layers of images: their archives, made while they are sent.
//!
//! Every blob is verified by the store when it is read. When a layer is sent for the first time, its end is kept back
//! until its hash is seen to be the one that was asked for; otherwise the body is broken off, which the client notices.
//! The same list and the same blobs make the same archive, so later its length is enough, which costs no time. What a
//! layer is when it is compressed goes to the CAS when it is first made, and is sent from there as long as it lasts.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use tempfile::NamedTempFile;
use tokio::sync::mpsc::Sender;

use super::super::body::{WrongLength, made, part};
use super::Registry;
use super::error::{Asked, RegistryError};
use super::find::Found;
use crate::digest::Digest;
use crate::oci::{
    Attributes, Compressed, LayerArchive, LayerCompression, LayerError, OciDigest, StoredImage, StoredLayer,
};
use crate::store::pieces::{PIECE_BYTES, send_file};
use crate::store::{BlobStore, StoreError, blocking, hash_file};

/// Layers whose lists are kept: how many, and how much memory they may take.
const MAX_LISTS: usize = 32;
const MAX_LIST_BYTES: usize = 64 << 20;

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("cannot read a compressed layer")]
    Compressed(#[source] Box<RegistryError>),
    #[error("cannot read a file that was just written")]
    Read(#[from] io::Error),
    #[error("a layer comes out as `{made}` and not as `{expected}`")]
    Other { made: Digest, expected: Digest },
    #[error(transparent)]
    Length(#[from] WrongLength),
}

/// The list of a layer.
struct List {
    layer: StoredLayer,
    archive: LayerArchive,
    /// The archive that was once seen to come of it.
    seen: OnceLock<Digest>,
}

/// Lists of the layers that were sent last.
#[derive(Default)]
pub(super) struct Lists(Mutex<VecDeque<Arc<List>>>);

impl Lists {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<List>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the list of a layer.
    async fn get(&self, store: &dyn BlobStore, layer: StoredLayer) -> Result<Arc<List>, RegistryError> {
        if let Some(list) = self.lock().iter().find(|list| list.layer == layer) {
            return Ok(Arc::clone(list));
        }
        let missing = || StoreError::Missing { digest: layer.attributes, role: "attributes of a layer" };
        let attributes = store.get(&layer.attributes).await?.ok_or_else(missing)?;
        let attributes = Attributes::parse(&attributes)?;
        let archive = LayerArchive::list(store, layer.root, &attributes).await?;
        let list = Arc::new(List { layer, archive, seen: OnceLock::new() });
        let mut lists = self.lock();
        lists.push_front(Arc::clone(&list));
        let mut weight = 0;
        let mut fits = |list: &List| {
            weight += list.archive.weight();
            weight <= MAX_LIST_BYTES
        };
        let kept = lists.iter().take(MAX_LISTS).take_while(|list| fits(list)).count();
        lists.truncate(kept);
        Ok(list)
    }
}

/// A layer that can be sent.
pub(super) struct Layer {
    found: Found,
    list: Arc<List>,
    compression: LayerCompression,
    /// SHA-256 and size of what is sent.
    pub(super) blob: Digest,
    kept: Option<Digest>,
}

impl Registry {
    /// Returns a layer of an image, all of whose files are in the CAS.
    ///
    /// # Errors
    /// When it is not what was asked for any more, or is not whole.
    pub(super) async fn layer(
        &self,
        found: Found,
        number: usize,
        compression: LayerCompression,
        digest: &OciDigest,
    ) -> Result<Layer, RegistryError> {
        let other = || RegistryError::OtherVersion { asked: Asked::Blob, digest: *digest };
        let archive = *found.image.facts.layers.get(number).ok_or_else(other)?;
        let list = self.list(&found, number).await?;
        check_whole(&found, &list).await?;
        let Compressed { blob, kept } = self.compressed(&found, &list, archive, compression).await?;
        if OciDigest::from_digest(&blob) != Some(*digest) {
            return Err(other());
        }
        Ok(Layer { found, list, compression, blob, kept })
    }

    async fn list(&self, found: &Found, number: usize) -> Result<Arc<List>, RegistryError> {
        let store = found.resolver.store();
        let stored = StoredImage::read(store, found.image.root).await?;
        let missing = || StoreError::Missing { digest: found.image.root, role: "image with so many layers" };
        self.lists.get(store, *stored.layers.get(number).ok_or_else(missing)?).await
    }

    /// Returns what a layer becomes when it is compressed. That is computed once.
    async fn compressed(
        &self,
        found: &Found,
        list: &List,
        archive: Digest,
        compression: LayerCompression,
    ) -> Result<Compressed, RegistryError> {
        let known = self.known().await?;
        if let Some(compressed) = known.compressed(&archive, compression).await? {
            return Ok(compressed);
        }
        let _one_of_few = self.compressing.acquire().await.expect("it is never closed");
        // Who had the place before may have done it.
        if let Some(compressed) = known.compressed(&archive, compression).await? {
            return Ok(compressed);
        }
        let scratch = Arc::clone(&self.scratch);
        let make = move || NamedTempFile::new_in(&scratch).map_err(StoreError::io("make a file in", &scratch));
        let file = blocking(make).await?;
        let (written, file) = list.archive.write(found.resolver.store(), compression, &self.scratch, file).await?;
        check(archive, written.archive)?;
        let kept = keep(found, written.blob, file).await?;
        let compressed = Compressed { blob: written.blob, kept };
        known.put_compressed(&archive, compression, &compressed).await?;
        Ok(compressed)
    }

    /// Returns what all layers of an image become when they are compressed, the lowest first.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(super) async fn all_compressed(
        &self,
        found: &Found,
        compression: LayerCompression,
    ) -> Result<Vec<Digest>, RegistryError> {
        let mut blobs = Vec::new();
        for (number, archive) in found.image.facts.layers.iter().enumerate() {
            let compressed = match self.known().await?.compressed(archive, compression).await? {
                Some(compressed) => compressed,
                None => {
                    let list = self.list(found, number).await?;
                    check_whole(found, &list).await?;
                    self.compressed(found, &list, *archive, compression).await?
                }
            };
            blobs.push(compressed.blob);
        }
        Ok(blobs)
    }
}

/// Puts a compressed layer into the CAS, if there is room. Returns what it is called there.
async fn keep(found: &Found, blob: Digest, file: NamedTempFile) -> Result<Option<Digest>, StoreError> {
    let function = found.resolver.function();
    let (file, digest) = blocking(move || {
        let digest = if function == blob.function() { blob } else { hash_file(function, file.path())? };
        Ok::<_, StoreError>((file, digest))
    })
    .await?;
    match found.resolver.store().put_file(&digest, file.path()).await {
        Ok(()) => Ok(Some(digest)),
        Err(error @ StoreError::Full { .. }) => {
            tracing::debug!(%error, "a compressed layer is not kept: it is made anew whenever it is asked for");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn check(expected: Digest, made: Digest) -> Result<(), RegistryError> {
    let oci = |digest| OciDigest::from_digest(&digest).expect("archives are hashed with SHA-256");
    if expected == made {
        return Ok(());
    }
    Err(RegistryError::Corrupt { digest: OciDigest::from_digest(&expected).unwrap_or(oci(made)), made: oci(made) })
}

/// Checks that all files of a layer are in the CAS.
///
/// # Errors
/// `Missing` when one is not.
async fn check_whole(found: &Found, list: &List) -> Result<(), StoreError> {
    let files: Vec<Digest> = list.archive.files().into_iter().filter(|file| file.size() > 0).collect();
    match found.resolver.store().find_missing(&files).await?.first() {
        Some(digest) => Err(StoreError::Missing { digest: *digest, role: "file of a layer" }),
        None => Ok(()),
    }
}

/// Returns the bytes of a layer, or of a part of it. Nothing is read before the first are asked for.
pub(super) fn body(registry: Arc<Registry>, layer: Layer, range: Range<u64>) -> Body {
    let size = layer.blob.size();
    let pieces = made(|sender| async move {
        let sent = send(&registry, &layer, sender).await;
        if let Err(error) = &sent {
            tracing::error!(manifest = %layer.found.manifest, error = error as &dyn Error,
                "broke off a layer: every image is checked anew");
            registry.doubt(&layer.found.resolver);
        }
        sent
    });
    Body::from_stream(part(pieces, range, size))
}

async fn send(registry: &Registry, layer: &Layer, sender: Sender<Bytes>) -> Result<(), BrokenOff> {
    let Layer { found, list, compression, blob: expected, kept } = layer;
    let (compression, expected) = (*compression, *expected);
    if let Some(kept) = kept.filter(|kept| kept.function() == found.resolver.function()) {
        let file = registry.file(&found.resolver, &kept).await;
        if let Some(file) = file.map_err(|error| BrokenOff::Compressed(Box::new(error)))? {
            return Ok(send_file(file, &sender).await?);
        }
    }
    if compression == LayerCompression::None && list.seen.get() == Some(&expected) {
        return Ok(list.archive.send(found.resolver.store(), &registry.scratch, sender).await?);
    }
    let sink = Sink { sender, gathered: BytesMut::new() };
    let (written, sink) = list.archive.write(found.resolver.store(), compression, &registry.scratch, sink).await?;
    if written.blob != expected {
        return Err(BrokenOff::Other { made: written.blob, expected });
    }
    list.seen.get_or_init(|| written.archive);
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
